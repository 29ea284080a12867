package compat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const newPassword = "another horse, another battery"

// deed is one request that has to be confirmed.
type deed struct {
	method, path string
	body         house.Object
}

var (
	passwordDeed   = deed{http.MethodPost, "/_matrix/client/v3/account/password", house.Object{"new_password": newPassword}}
	deactivateDeed = deed{http.MethodPost, "/_matrix/client/v3/account/deactivate", house.Object{}}
	deviceDeed     = deed{http.MethodDelete, "/_matrix/client/v3/devices/LAPTOP", house.Object{}}
	devicesDeed    = deed{http.MethodPost, "/_matrix/client/v3/delete_devices", house.Object{"devices": []string{"LAPTOP"}}}
)

func (d deed) with(more house.Object) deed {
	body := house.Object{}
	for name, value := range d.body {
		body[name] = value
	}
	for name, value := range more {
		body[name] = value
	}
	return deed{d.method, d.path, body}
}

// proofOf is what a client sends once it asked for a password.
func proofOf(user, clear, session string) house.Object {
	auth := house.Object{"type": "m.login.password", "identifier": house.Object{"type": "m.id.user", "user": user}, "password": clear}
	if session != "" {
		auth["session"] = session
	}
	return house.Object{"auth": auth}
}

func send(h *house.House, token string, d deed) house.Answer {
	h.T.Helper()
	return h.Do(house.Call{Method: d.method, Path: d.path, Bearer: token, Body: house.JSON(d.body)})
}

// challenge reads a 401 that asks for the password, in the form of C-S "User-Interactive Authentication API" (LEG-46).
func challenge(t *testing.T, a house.Answer, errcode string) (session string) {
	t.Helper()
	a.Want(t, http.StatusUnauthorized, errcode)
	house.WantWire(t, web.MatrixWire, a)
	var got struct {
		Session string
		Flows   []struct{ Stages []string }
		Params  *struct{}
		// Completed must be an empty list, not null.
		Completed json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Session == "" || len(got.Flows) != 1 || strings.Join(got.Flows[0].Stages, " ") != "m.login.password" || got.Params == nil || string(got.Completed) != "[]" {
		t.Fatalf("it asks by %s", a.Body)
	}
	return got.Session
}

// confirmed asks, and does it with the password.
func confirmed(h *house.House, token string, d deed) house.Answer {
	h.T.Helper()
	session := challenge(h.T.(*testing.T), send(h, token, d), "")
	return send(h, token, d.with(proofOf("alice", house.AlicesPassword, session)))
}

// TestAppChangesPassword: POST account/password (LEG-45, LEG-48).
func TestAppChangesPassword(t *testing.T) {
	t.Run("LEG-48 it signs all others out unless told otherwise, and stays itself", func(t *testing.T) {
		for name, c := range map[string]struct {
			more house.Object
			want []string
		}{
			"not said": {nil, []string{"PHONE"}},
			"true":     {house.Object{"logout_devices": true}, []string{"PHONE"}},
			"null":     {house.Object{"logout_devices": nil}, []string{"PHONE"}},
			"false":    {house.Object{"logout_devices": false}, []string{"LAPTOP", "PHONE"}},
		} {
			t.Run(name, func(t *testing.T) {
				h := house.New(t, house.Unlimited)
				h.Add("alice", "bob")
				phone, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("bob", "PHONE")
				h.LoginOn("alice", "LAPTOP")
				browser := h.SignedInAs("alice")
				a := confirmed(h, phone.AccessToken, passwordDeed.with(c.more))
				if a.Status != http.StatusOK || a.Body != `{}` {
					t.Fatalf("got %d %s", a.Status, a.Body)
				}
				h.WantSessions("alice", c.want...)
				h.WantDevices("alice", c.want...)
				h.WantActive(phone.AccessToken, "PHONE")
				h.WantActive(bob.AccessToken, "PHONE")
				browser.Get("/account/").WantTo(t, "/account/login") // whoever knew the old password may sit there
				h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_FORBIDDEN")
				h.TryLogin("alice", house.Object{"password": newPassword}).Want(t, http.StatusOK, "")
			})
		}
	})
	t.Run("LEG-48 a password that the policy refuses changes nothing", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for _, weak := range []string{"short", "password123", house.AlicesPassword} {
			confirmed(h, phone.AccessToken, passwordDeed.with(house.Object{"new_password": weak})).Want(t, http.StatusBadRequest, "M_WEAK_PASSWORD")
		}
		h.LoginOn("alice", "LAPTOP")
		h.WantSessions("alice", "LAPTOP", "PHONE")
	})
	t.Run("LEG-8 without a new one", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for body, errcode := range map[string]string{`{}`: "M_MISSING_PARAM", ``: "M_MISSING_PARAM", `{"new_password":1}`: "M_BAD_JSON", `[]`: "M_BAD_JSON", `{`: "M_NOT_JSON", `{"new_password":"x","auth":1}`: "M_BAD_JSON", `{"new_password":"x","logout_devices":1}`: "M_BAD_JSON"} {
			h.Do(house.Call{Method: http.MethodPost, Path: passwordDeed.path, Bearer: phone.AccessToken, Body: body}).Want(t, http.StatusBadRequest, errcode)
		}
	})
}

// TestAppDeletesDevices: DELETE devices/{deviceId} and POST delete_devices (LEG-45).
func TestAppDeletesDevices(t *testing.T) {
	for name, d := range map[string]deed{"one": deviceDeed, "several": devicesDeed.with(house.Object{"devices": []string{"LAPTOP", "NOWHERE"}})} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice", "bob")
			phone, laptop, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("alice", "LAPTOP"), h.LoginOn("bob", "LAPTOP")
			a := confirmed(h, phone.AccessToken, d)
			if a.Status != http.StatusOK || a.Body != `{}` {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			h.WantInactive(laptop.AccessToken)
			h.WantSessions("alice", "PHONE")
			h.WantDevices("alice", "PHONE")
			// Another person's device of the same name is another one.
			h.WantActive(bob.AccessToken, "LAPTOP")
			h.WantDevices("bob", "LAPTOP")
			// It is gone already: that is no error.
			confirmed(h, phone.AccessToken, d).Want(t, http.StatusOK, "")
		})
	}
	t.Run("its own", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		confirmed(h, phone.AccessToken, devicesDeed.with(house.Object{"devices": []string{"PHONE"}})).Want(t, http.StatusOK, "")
		h.WantInactive(phone.AccessToken)
		h.WantDevices("alice")
	})
	t.Run("names that are made up are not kept without end", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		h.LoginOn("alice", "LAPTOP")
		h.Fake.Fail(http.StatusBadGateway, "")
		made := devicesDeed.with(house.Object{"devices": []string{"A", "B"}})
		confirmed(h, phone.AccessToken, made).Want(t, http.StatusOK, "")
		confirmed(h, phone.AccessToken, made).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
		confirmed(h, phone.AccessToken, deviceDeed).Want(t, http.StatusOK, "") // a session ends whatever waits
		h.WantSessions("alice", "PHONE")
		if n := h.Waiting(); n != 3 {
			t.Errorf("%d jobs wait", n)
		}
	})
	t.Run("a device without a session at a homeserver that nothing is written to", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		h.Config.Kind = matrixauth.SynapseReadOnly
		h.Crash()
		confirmed(h, phone.AccessToken, deviceDeed).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
		if n := h.Waiting(); n != 0 {
			t.Errorf("%d jobs wait", n)
		}
	})
	t.Run("what is no list of devices", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for devices, errcode := range map[string]string{`null`: "M_MISSING_PARAM", `"LAPTOP"`: "M_BAD_JSON", `[1]`: "M_BAD_JSON", `[null]`: "M_BAD_JSON", `[""]`: "M_INVALID_PARAM",
			`["` + strings.Repeat("a", bound.Identifier+1) + `"]`:      "M_INVALID_PARAM",
			`["a"` + strings.Repeat(`,"a"`, bound.DevicesAtOnce) + `]`: "M_INVALID_PARAM"} {
			h.Do(house.Call{Method: http.MethodPost, Path: devicesDeed.path, Bearer: phone.AccessToken, Body: `{"devices":` + devices + `}`}).Want(t, http.StatusBadRequest, errcode)
		}
	})
	t.Run("what the homeserver could never delete, which would hold up all that comes after it", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for _, id := range []string{"a%00b", "%FF"} {
			h.Do(house.Call{Method: http.MethodDelete, Path: "/_matrix/client/v3/devices/" + id, Bearer: phone.AccessToken}).Want(t, http.StatusBadRequest, "M_INVALID_PARAM")
		}
	})
	t.Run("the homeserver has the other methods of a device", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodOptions, http.MethodPost} {
			h.Do(house.Call{Method: method, Path: deviceDeed.path, Bearer: phone.AccessToken}).WantStatus(t, house.PassedOn)
		}
		for _, path := range []string{"/_matrix/client/v3/devices/", "/_matrix/client/v3/devices/A/B", "/_matrix/client/v3/devices", "/_matrix/client/v4/devices/A"} {
			h.Do(house.Call{Method: http.MethodDelete, Path: path, Bearer: phone.AccessToken}).WantStatus(t, house.PassedOn)
		}
	})
}

// TestAppDeactivates: POST account/deactivate (LEG-45).
func TestAppDeactivates(t *testing.T) {
	for name, erase := range map[string]bool{"kept": false, "erased": true} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice", "bob")
			phone, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("bob", "PHONE")
			a := confirmed(h, phone.AccessToken, deactivateDeed.with(house.Object{"erase": erase}))
			if a.Status != http.StatusOK || a.Body != `{"id_server_unbind_result":"success"}` {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			h.WantInactive(phone.AccessToken)
			h.Settle()
			if state := h.State("alice"); !strings.Contains(state, "deactivated") {
				t.Errorf("the homeserver has %s", state)
			}
			h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
			h.WantActive(bob.AccessToken, "PHONE")
		})
	}
}

// TestConfirm is the one proof before all of it (LEG-46).
func TestConfirm(t *testing.T) {
	all := map[string]deed{"password": passwordDeed, "deactivate": deactivateDeed, "device": deviceDeed, "devices": devicesDeed}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice", "bob")
			phone, tablet, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("alice", "LAPTOP"), h.LoginOn("bob", "PHONE")
			before := h.Rows()
			session := challenge(t, send(h, phone.AccessToken, d), "")
			right := proofOf("alice", house.AlicesPassword, session)
			for wrong, c := range map[string]struct {
				token   string
				deed    deed
				errcode string
			}{
				"a wrong password":         {phone.AccessToken, d.with(proofOf("alice", "wrong", session)), "M_FORBIDDEN"},
				"somebody else's password": {phone.AccessToken, d.with(proofOf("bob", house.AlicesPassword, session)), "M_FORBIDDEN"},
				"nobody's":                 {phone.AccessToken, d.with(proofOf("nobody", house.AlicesPassword, session)), "M_FORBIDDEN"},
				"another body":             {phone.AccessToken, d.with(right).with(house.Object{"more": 1}), "M_INVALID_PARAM"},
				"another app of theirs":    {tablet.AccessToken, d.with(right), "M_INVALID_PARAM"},
				"another account":          {bob.AccessToken, d.with(right), "M_INVALID_PARAM"},
				"no session of ours":       {phone.AccessToken, d.with(proofOf("alice", house.AlicesPassword, "9999999999.abc")), "M_INVALID_PARAM"},
				"another stage":            {phone.AccessToken, d.with(house.Object{"auth": house.Object{"type": "m.login.dummy", "session": session}}), "M_UNKNOWN"},
				"no password":              {phone.AccessToken, d.with(house.Object{"auth": house.Object{"type": "m.login.password", "session": session}}), "M_MISSING_PARAM"},
				"a session alone":          {phone.AccessToken, d.with(house.Object{"auth": house.Object{"session": session}}), ""},
			} {
				t.Run(wrong, func(t *testing.T) { challenge(t, send(h, c.token, c.deed), c.errcode) })
			}
			for other, swapped := range all {
				if other != name {
					challenge(t, send(h, phone.AccessToken, swapped.with(right)), "M_INVALID_PARAM")
				}
			}
			if after := h.Rows(); after != before {
				t.Fatalf("something was done:\n%s\nbefore:\n%s", after, before)
			}
			h.Clock.Move(bound.ConfirmLife)
			late := challenge(t, send(h, h.Issue("alice", "BOT").Token, d.with(right)), "M_INVALID_PARAM")
			if late == session {
				t.Error("the session is the same as before")
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		bot := h.Issue("alice", "BOT").Token
		session := challenge(t, send(h, bot, devicesDeed), "")
		h.Clock.Move(bound.ConfirmLife - time.Second)
		again := challenge(t, send(h, bot, devicesDeed.with(proofOf("alice", "wrong", session))), "M_FORBIDDEN")
		h.Clock.Move(time.Second)
		challenge(t, send(h, bot, devicesDeed.with(proofOf("alice", house.AlicesPassword, session))), "M_INVALID_PARAM")
		send(h, bot, devicesDeed.with(proofOf("alice", house.AlicesPassword, again))).Want(t, http.StatusOK, "")
	})
	t.Run("a proof at once, as old scripts send it", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		for _, auth := range []house.Object{
			{"type": "m.login.password", "user": "alice", "password": house.AlicesPassword},
			{"type": "m.login.password", "user": "@alice:" + house.ServerName, "password": house.AlicesPassword},
			{"type": "m.login.password", "password": house.AlicesPassword},
		} {
			send(h, phone.AccessToken, devicesDeed.with(house.Object{"auth": auth})).Want(t, http.StatusOK, "")
		}
	})
	t.Run("it counts as a try at the password", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		phone := h.LoginOn("alice", "PHONE")
		limited := false
		for range 40 {
			a := send(h, phone.AccessToken, devicesDeed.with(proofOf("alice", "wrong", "")))
			if a.Status == http.StatusTooManyRequests {
				a.Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
				limited = true
				break
			}
			challenge(t, a, "M_FORBIDDEN")
		}
		if !limited {
			t.Error("nothing stopped forty guesses")
		}
		if h.LiveDevices("alice")[0] != "PHONE" {
			t.Error("the session is lost")
		}
	})
}

// TestAccountIsForLegacySessions: a client of OAuth is told what Synapse would say, and the tokens of others go on to it.
func TestAccountIsForLegacySessions(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Register("app", "")
	phone, modern := h.LoginOn("alice", "PHONE"), h.OauthSession("alice", "app", "LAPTOP")
	for name, d := range map[string]deed{"password": passwordDeed, "deactivate": deactivateDeed, "device": deviceDeed, "devices": devicesDeed} {
		t.Run(name, func(t *testing.T) {
			proof := d.with(proofOf("alice", house.AlicesPassword, ""))
			send(h, modern.AccessToken, proof).Want(t, http.StatusNotFound, "M_UNRECOGNIZED")
			h.Do(house.Call{Method: d.method, Path: d.path, Body: house.JSON(proof.body)}).Want(t, http.StatusUnauthorized, "M_MISSING_TOKEN")
			send(h, "mct_000000000000000000000000000000_000000", proof).WantStatus(t, house.PassedOn)
			send(h, "syt_a_bridge", proof).WantStatus(t, house.PassedOn) // ASV-4
			dead := h.LoginOn("alice", "GONE")
			h.Logout(dead.AccessToken)
			send(h, dead.AccessToken, proof).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		})
	}
	h.WantSessions("alice", "LAPTOP", "PHONE")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	for _, d := range []deed{passwordDeed, deactivateDeed, deviceDeed, devicesDeed} {
		send(h, phone.AccessToken, d).Want(t, http.StatusUnauthorized, "M_USER_LOCKED") // MOD-1
	}
}

// TestLegacyAccountOff: legacy_account off answers as Synapse does.
func TestLegacyAccountOff(t *testing.T) {
	h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.LegacyAccount = matrixauth.LegacyAccountOff })
	h.Add("alice")
	phone := h.LoginOn("alice", "PHONE")
	for _, d := range []deed{passwordDeed, deactivateDeed, deviceDeed, devicesDeed} {
		send(h, phone.AccessToken, d.with(proofOf("alice", house.AlicesPassword, ""))).Want(t, http.StatusNotFound, "M_UNRECOGNIZED")
	}
	h.Do(house.Call{Path: "/_matrix/client/v3/register/available?username=new"}).Want(t, http.StatusNotFound, "M_UNRECOGNIZED")
	h.WantSessions("alice", "PHONE")
}
