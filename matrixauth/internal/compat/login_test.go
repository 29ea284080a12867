package compat_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestLogin holds the legacy login (LEG-10 to LEG-26).
func TestLogin(t *testing.T) {
	t.Run("flows", loginFlows)
	t.Run("identifiers", loginIdentifiers)
	t.Run("answer", loginAnswers)
	t.Run("device", loginDevices)
	t.Run("display_name", loginDisplayNames)
	t.Run("refusals", loginRefusals)
	t.Run("headers", loginHeaders)
}

// loginFlows: what works is listed, and nothing else, under every alias (LEG-1, LEG-10).
func loginFlows(t *testing.T) {
	h := house.New(t)
	for _, path := range house.EndpointNamed("login").Paths {
		a := h.Do(house.Call{Path: path})
		if want := `{"flows":[{"type":"m.login.password"}]}`; a.Status != http.StatusOK || a.Body != want {
			t.Errorf("%s: got %d %s, want %s", path, a.Status, a.Body, want)
		}
		if a := h.Do(house.Call{Method: http.MethodHead, Path: path}); a.Status != http.StatusOK || a.Body != "" {
			t.Errorf("HEAD %s: got %d %q", path, a.Status, a.Body)
		}
	}
}

// loginIdentifiers: every form in which a client may say who signs in (LEG-16, LEG-17, LEG-18, LEG-19).
func loginIdentifiers(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "carol", Password: house.AlicesPassword, Email: "Straße+tag@Example.org"})
	h.Pass()
	id := func(members ...any) house.Object {
		o := house.Object{}
		for i := 0; i < len(members); i += 2 {
			o[members[i].(string)] = members[i+1]
		}
		return house.Object{"identifier": o}
	}
	top := func(members ...any) house.Object {
		o := id(members...)["identifier"].(house.Object)
		o["identifier"] = nil
		return o
	}
	const alice, carol = "@alice:" + house.ServerName, "@carol:" + house.ServerName
	for _, c := range []struct {
		name string
		more house.Object
		// want is the Matrix id that is signed in; empty for 403.
		want string
	}{
		{"LEG-16 localpart", id("type", "m.id.user", "user", "alice"), alice},
		{"LEG-16 full id", id("type", "m.id.user", "user", alice), alice},
		{"LEG-16 localpart in capitals", id("type", "m.id.user", "user", "ALICE"), alice},
		{"LEG-16 full id in mixed case", id("type", "m.id.user", "user", "@Alice:"+house.ServerName), alice},
		{"LEG-16 another server", id("type", "m.id.user", "user", "@alice:elsewhere.test"), ""},
		{"LEG-16 id without a server", id("type", "m.id.user", "user", "@alice"), ""},
		{"LEG-16 id without a localpart", id("type", "m.id.user", "user", "@:"+house.ServerName), ""},
		{"LEG-16 spaces around", id("type", "m.id.user", "user", " alice\u00a0"), alice},
		{"LEG-16 spaces around a full id", id("type", "m.id.user", "user", "\t"+alice+"\n"), alice},
		{"LEG-16 spaces alone", id("type", "m.id.user", "user", "  "), ""},
		{"LEG-16 a space within", id("type", "m.id.user", "user", "al ice"), ""},
		{"LEG-18 spaces around an address", id("type", "m.id.thirdparty", "medium", "email", "address", " straße+tag@example.org "), carol},
		{"LEG-16 nobody", id("type", "m.id.user", "user", "mallory"), ""},
		{"LEG-16 an email as a user", id("type", "m.id.user", "user", "straße+tag@example.org"), ""},
		{"LEG-17 top-level user", top("user", "alice"), alice},
		{"LEG-17 top-level full id", top("user", alice), alice},
		{"LEG-17 top-level medium and address", top("medium", "email", "address", "straße+tag@example.org"), carol},
		{"LEG-17 identifier wins over user", house.Object{"identifier": house.Object{"type": "m.id.user", "user": "alice"}, "user": "bob"}, alice},
		{"LEG-17 identifier null counts as none", house.Object{"identifier": (*int)(nil), "user": "alice"}, alice},
		{"LEG-18 email as it was given", id("type", "m.id.thirdparty", "medium", "email", "address", "Straße+tag@Example.org"), carol},
		{"LEG-18, MAIL-9 email folded", id("type", "m.id.thirdparty", "medium", "email", "address", "STRASSE+TAG@EXAMPLE.ORG"), carol},
		{"LEG-18 email without the tag", id("type", "m.id.thirdparty", "medium", "email", "address", "straße@example.org"), ""},
		{"LEG-18 email unknown", id("type", "m.id.thirdparty", "medium", "email", "address", "nobody@example.org"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.TryLogin("", c.more)
			if c.want == "" {
				if a.Status != http.StatusForbidden || a.Body != house.WrongPass {
					t.Fatalf("got %d %s, want the answer to a wrong password", a.Status, a.Body)
				}
				return
			}
			a.Want(t, http.StatusOK, "")
			if got := a.Document(t)["user_id"]; got != c.want {
				t.Errorf("signed in as %v, want %v", got, c.want)
			}
		})
	}
	for name, more := range map[string]house.Object{
		"LEG-19 phone":               id("type", "m.id.phone", "country", "GB", "phone", "07700900001"),
		"LEG-19 third-party msisdn":  id("type", "m.id.thirdparty", "medium", "msisdn", "address", "447700900001"),
		"LEG-19 unknown":             id("type", "m.id.pigeon", "user", "alice"),
		"LEG-17 top-level msisdn":    top("medium", "msisdn", "address", "447700900001"),
		"LEG-14 unknown login type":  {"type": "m.login.token", "token": "x"},
		"LEG-14 empty of known type": {"type": "m.login.sso"},
	} {
		t.Run(name, func(t *testing.T) { h.TryLogin("alice", more).Want(t, http.StatusBadRequest, "M_UNKNOWN") })
	}
	for name, more := range map[string]house.Object{
		"no type":    {"type": nil},
		"no medium":  id("type", "m.id.thirdparty", "address", "a@example.org"),
		"no address": top("medium", "email"),
	} {
		t.Run("LEG-8 "+name, func(t *testing.T) { h.TryLogin("alice", more).Want(t, http.StatusBadRequest, "M_MISSING_PARAM") })
	}
	t.Run("a password is never trimmed, here and at the page", func(t *testing.T) {
		const spaced = " a password with blanks around "
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "dave", Password: spaced})
		h.Settle()
		for given, want := range map[string]int{spaced: http.StatusOK, strings.TrimSpace(spaced): http.StatusForbidden, spaced + " ": http.StatusForbidden} {
			if a := h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody("dave", given, nil)}); a.Status != want {
				t.Errorf("%q: got %d, want %d", given, a.Status, want)
			}
			v := h.Browser()
			v.Get("/account/login")
			if a := v.Post("/account/login", "username", "dave", "password", given); (a.Status == http.StatusSeeOther) != (want == http.StatusOK) {
				t.Errorf("%q at the page: got %d", given, a.Status)
			}
		}
	})
	t.Run("LEG-16 a localpart in capitals that an import brought wins over the lower-cased one", func(t *testing.T) {
		h.Must(h.Seed("Bob", "alices other password"))
		body := house.LoginBody("Bob", "alices other password", nil)
		if got := h.SignedIn(h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: body})); got.UserID != "@Bob:"+house.ServerName {
			t.Errorf("signed in as %s, want @Bob", got.UserID)
		}
		if got := h.Login("bob", nil); got.UserID != "@bob:"+house.ServerName {
			t.Errorf("signed in as %s, want @bob", got.UserID)
		}
	})
	t.Run("ASV-2 an application service is told so before all else", func(t *testing.T) {
		for _, body := range []string{
			`{"type":"m.login.application_service"}`,
			`{"type":"m.login.application_service","identifier":7,"password":null,"device_id":"","refresh_token":"x"}`,
		} {
			a := h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: body, Bearer: "an_as_token"})
			a.Want(t, http.StatusBadRequest, "M_APPSERVICE_LOGIN_UNSUPPORTED")
		}
	})
}

// loginAnswers: the members of a successful answer, by what was asked (LEG-15, LEG-25, LEG-26).
func loginAnswers(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	for _, c := range []struct {
		name    string
		more    house.Object
		refresh bool
	}{
		{"without refresh", nil, false},
		{"refresh false", house.Object{"refresh_token": false}, false},
		{"refresh null", house.Object{"refresh_token": (*int)(nil)}, false},
		{"refresh true", house.Object{"refresh_token": true}, true},
		{"refresh by the name of MSC2918", house.Object{"org.matrix.msc2918.refresh_token": true}, true},
		{"refresh by one of two names", house.Object{"refresh_token": false, "org.matrix.msc2918.refresh_token": true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.TryLogin("alice", c.more)
			a.Want(t, http.StatusOK, "")
			shape := `^\{"user_id":"@alice:example\.test","access_token":"mct_\w{88}_\w{6}","device_id":"[A-Z]{10}"\}$`
			if c.refresh {
				shape = `^\{"user_id":"@alice:example\.test","access_token":"mct_\w{88}_\w{6}","device_id":"[A-Z]{10}","refresh_token":"mcr_\w{88}_\w{6}","expires_in_ms":300000\}$`
			}
			if !regexp.MustCompile(shape).MatchString(a.Body) {
				t.Fatalf("got %s, want %s", a.Body, shape)
			}
			s := h.SignedIn(a)
			h.Clock.Move(5 * time.Minute)
			if c.refresh {
				h.WantInactive(s.AccessToken)
				return
			}
			h.Clock.Move(1000 * time.Hour)
			h.WantActive(s.AccessToken, s.DeviceID)
		})
	}
}

// loginDevices: the device that a client names is used again with its keys; without a name one is made
// (LEG-22), and S8 for its old tokens.
func loginDevices(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	t.Run("LEG-22 made if none is named", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			s := h.Login("alice", nil)
			if !regexp.MustCompile(`^[A-Z]{10}$`).MatchString(s.DeviceID) || seen[s.DeviceID] {
				t.Fatalf("device %q", s.DeviceID)
			}
			seen[s.DeviceID] = true
		}
		if s := h.Login("alice", house.Object{"device_id": ""}); len(s.DeviceID) != 10 {
			t.Errorf("an empty device_id made device %q", s.DeviceID)
		}
		if s := h.Login("alice", house.Object{"device_id": (*int)(nil)}); len(s.DeviceID) != 10 {
			t.Errorf("a null device_id made device %q", s.DeviceID)
		}
	})
	t.Run("LEG-22 S8 used again", func(t *testing.T) {
		first := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true, "initial_device_display_name": "Alice's phone"})
		h.WantActive(first.AccessToken, "PHONE")
		h.Fake.ForgetCalls()
		second := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true, "initial_device_display_name": "Something else"})
		if second.DeviceID != "PHONE" {
			t.Errorf("device %q, want PHONE", second.DeviceID)
		}
		h.WantInactive(first.AccessToken)
		h.Refresh(first.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Logout(first.AccessToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(second.AccessToken, "PHONE")
		h.Settle()
		if calls := h.Fake.Calls("delete_device", "update_device_display_name"); len(calls) != 0 {
			t.Errorf("the device was touched at the homeserver: %+v", calls)
		}
		if u, _ := h.Fake.User("alice"); u.Devices["PHONE"] == nil || *u.Devices["PHONE"] != "Alice's phone" {
			t.Errorf("the device lost its name: %v", u.Devices["PHONE"])
		}
	})
	t.Run("LEG-22 the same id of two users", func(t *testing.T) {
		a, b := h.LoginOn("alice", "SHARED"), h.LoginOn("bob", "SHARED")
		h.WantActive(a.AccessToken, "SHARED")
		h.WantActive(b.AccessToken, "SHARED")
		h.Logout(b.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.WantActive(a.AccessToken, "SHARED")
		h.WantDevices("bob")
	})
	t.Run("LEG-22 ids that are unusual", func(t *testing.T) {
		for _, id := range []string{"x", strings.Repeat("D", 255), "a device/with? signs&", "日本", `"quoted"`, "case", "CASE"} {
			s := h.LoginOn("bob", id)
			h.WantActive(s.AccessToken, id)
		}
	})
	t.Run("HTTP-9 ids that cannot be seen are for devices that exist", func(t *testing.T) {
		for _, id := range []string{"PHONE\u202e", "PHONE\u009b31m", "PHONE\u200b", "PHONE\u2028"} {
			h.TryLogin("bob", house.Object{"device_id": id}).Want(t, http.StatusBadRequest, "M_INVALID_PARAM")
			h.Settle()
			if u, _ := h.Fake.User("bob"); slices.Contains(slices.Collect(maps.Keys(u.Devices)), id) {
				t.Errorf("the device %q was left at the homeserver", id)
			}
			// One that the homeserver has from before us goes on, and so does one of a live session.
			_, err := h.Homeserver().UpsertDevice(t.Context(), "bob", id, "")
			h.Must(err)
			for range 2 {
				h.WantActive(h.LoginOn("bob", id).AccessToken, id)
			}
		}
	})
	t.Run("LEG-24 the form of a cross-signing key", func(t *testing.T) {
		before := h.Rows()
		h.TryLogin("alice", house.Object{"device_id": "wjLpTLRqbqBzLs63aYaEv2Boi6cFEbbM/sSRQ2oAKk4"}).Want(t, http.StatusForbidden, "M_FORBIDDEN")
		if h.Rows() != before {
			t.Error("it left rows behind")
		}
	})
}

// loginDisplayNames: a name is for a device that is new, and is cut to what Synapse takes (LEG-23).
func loginDisplayNames(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	for i, c := range []struct {
		name, given string
		// want is empty for a device without a name.
		want string
	}{
		{"LEG-23 new", "My laptop", "My laptop"},
		{"LEG-23 of 100 characters", strings.Repeat("é", 100), strings.Repeat("é", 100)},
		{"LEG-23 oversized", strings.Repeat("日", 101) + "end", strings.Repeat("日", 100)},
		{"LEG-23 very long", strings.Repeat("x", 10_000), strings.Repeat("x", 100)},
		{"LEG-23 empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			device := fmt.Sprintf("D%d", i)
			h.Login("alice", house.Object{"device_id": device, "initial_device_display_name": c.given})
			u, _ := h.Fake.User("alice")
			got, exists := u.Devices[device]
			if !exists {
				t.Fatal("the homeserver has no such device")
			}
			if c.want == "" {
				if got != nil {
					t.Errorf("the device is named %q, want no name", *got)
				}
				return
			}
			if got == nil || *got != c.want {
				t.Errorf("the device is named %v, want %q", got, c.want)
			}
		})
	}
}

// loginRefusals: who may not sign in, and what they are told (LEG-20, LEG-21, LEG-29, MOD-5).
func loginRefusals(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "locked", "gone", "both")
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "nopass"})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "both"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "both"}})
	h.Settle()
	before := h.Rows()
	for _, c := range []struct {
		name, user, password string
		status               int
		want                 string
	}{
		{"LEG-20 wrong password", "alice", "wrong", 403, house.WrongPass},
		{"LEG-20 another case", "alice", strings.ToUpper(house.AlicesPassword), 403, house.WrongPass},
		{"LEG-20 space at the end", "alice", house.AlicesPassword + " ", 403, house.WrongPass},
		{"LEG-20 unknown user", "nobody", house.AlicesPassword, 403, house.WrongPass},
		{"LEG-29 user without a password", "nopass", house.AlicesPassword, 403, house.WrongPass},
		{"LEG-29 user without a password, none given", "nopass", "", 403, house.WrongPass},
		{"MOD-5 locked, right", "locked", house.AlicesPassword, 401, `{"errcode":"M_USER_LOCKED","error":"This account has been locked","soft_logout":true}`},
		{"MOD-5 locked, wrong", "locked", "wrong", 403, house.WrongPass},
		{"LEG-21 MOD-11 deactivated, right", "gone", house.AlicesPassword, 403, `{"errcode":"M_USER_DEACTIVATED","error":"This account has been deactivated"}`},
		{"LEG-21 MOD-11 deactivated, wrong", "gone", "wrong", 403, house.WrongPass},
		{"LEG-21 locked and deactivated", "both", house.AlicesPassword, 403, `{"errcode":"M_USER_DEACTIVATED","error":"This account has been deactivated"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody(c.user, c.password, nil)})
			if a.Status != c.status || a.Body != c.want {
				t.Fatalf("got %d %s, want %d %s", a.Status, a.Body, c.status, c.want)
			}
		})
	}
	if h.Rows() != before {
		t.Error("a refused login changed rows")
	}
}

// loginHeaders: an Authorization header that a client sends along does not matter, and a browser may
// read every answer.
func loginHeaders(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	for _, token := range []string{"stale", model.NewToken(model.CompatAccess)} {
		a := h.Do(house.Call{Method: "POST", Path: house.LoginPath, Bearer: token, Body: house.LoginBody("alice", house.AlicesPassword, nil)})
		house.WantWire(t, web.MatrixWire, a)
		h.SignedIn(a)
	}
	for _, path := range house.EndpointNamed("login").Paths {
		h.SignedIn(h.Do(house.Call{Method: "POST", Path: path, Body: house.LoginBody("alice", house.AlicesPassword, nil)}))
	}
}

// TestLoginsAtOnce: more logins at once than processors wait their turn, and all succeed.
func TestLoginsAtOnce(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			a := h.TryLogin("alice", house.Object{"device_id": fmt.Sprintf("D%02d", i)})
			if a.Status != http.StatusOK {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
	group.Wait()
	if got := h.LiveDevices("alice"); len(got) != 16 {
		t.Errorf("%d sessions, want 16", len(got))
	}
	h.WantDevices("alice", h.LiveDevices("alice")...)
}
