package user_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const lockedBody = `{"errcode":"M_USER_LOCKED","error":"This account has been locked","soft_logout":true}`

// TestLocked: a locked user can do nothing but log out, keeps everything, and goes on after the unlock
// with the same tokens (MOD-1 to MOD-6).
func TestLocked(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	expired := h.Login("alice", house.Object{"device_id": "OLD", "refresh_token": true})
	forever := h.LoginOn("alice", "LAPTOP")
	bob := h.LoginOn("bob", "PHONE")
	h.Clock.Move(5 * time.Minute)
	s = h.SignedIn(h.Refresh(s.RefreshToken))
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})

	// through asks for a path of the homeserver and reports whether it got there.
	through := func(t *testing.T, c house.Call) (house.Answer, bool) {
		before := h.Passed.Load()
		a := h.Do(c)
		return a, h.Passed.Load() > before
	}
	stopped := func(t *testing.T, c house.Call) {
		t.Helper()
		a, passed := through(t, c)
		if passed || a.Status != http.StatusUnauthorized || a.Body != lockedBody {
			t.Errorf("%s %s: passed on %v, got %d %s", c.Method, c.Path, passed, a.Status, a.Body)
		}
		house.WantWire(t, web.MatrixWire, a)
	}
	passes := func(t *testing.T, c house.Call) {
		t.Helper()
		if a, passed := through(t, c); !passed || a.Status != house.PassedOn {
			t.Errorf("%s %s: passed on %v, got %d %s", c.Method, c.Path, passed, a.Status, a.Body)
		}
	}

	t.Run("MOD-1 MOD-4 every path of the client API", func(t *testing.T) {
		for _, path := range house.APIPaths {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				stopped(t, house.Call{Method: method, Path: path, Bearer: s.AccessToken})
				stopped(t, house.Call{Method: method, Path: path + "?x=1&access_token=" + s.AccessToken})
			}
			stopped(t, house.Call{Path: path, Bearer: forever.AccessToken})
			// A client would refresh and try again; it should learn the reason at once.
			stopped(t, house.Call{Path: path, Bearer: expired.AccessToken})
			if a, _ := through(t, house.Call{Method: "HEAD", Path: path, Bearer: s.AccessToken}); a.Status != http.StatusUnauthorized {
				t.Errorf("HEAD %s: got %d", path, a.Status)
			}
		}
	})
	t.Run("MOD-4 however the homeserver would find the token", func(t *testing.T) {
		for _, query := range []string{"access%5Ftoken=", "%61ccess_token=", "a=1;access_token=", "%zz&access_token="} {
			a, passed := through(t, house.Call{Path: "/_matrix/client/v3/sync?" + query + s.AccessToken})
			if passed || a.Body != lockedBody {
				t.Errorf("?%s: passed on %v, got %d %s", query, passed, a.Status, a.Body)
			}
		}
	})
	t.Run("MOD-4 in a body that the homeserver reads as a form", func(t *testing.T) {
		for _, path := range house.APIPaths {
			stopped(t, house.Call{Method: "POST", Path: path, Header: house.FormType, Body: house.Form("a", "b", "access_token", s.AccessToken)})
		}
		upper := http.Header{"Content-Type": {"APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8"}}
		stopped(t, house.Call{Method: "POST", Path: "/_matrix/client/v3/sync", Header: upper, Body: "access%5Ftoken=" + s.AccessToken})
	})
	t.Run("MOD-4 behind more parameters than Go reads", func(t *testing.T) {
		many := strings.Repeat("a=&", 20_000) + "access_token=" + s.AccessToken
		stopped(t, house.Call{Path: "/_matrix/client/v3/sync?" + many})
		stopped(t, house.Call{Method: "POST", Path: "/_synapse/admin/v1/rooms", Header: house.FormType, Body: many})
	})
	t.Run("SOFT-7 what cannot be read is refused, and ends no session", func(t *testing.T) {
		multipart := http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}
		for name, c := range map[string]struct {
			house.Call
			status int
		}{
			"multipart":         {house.Call{Method: "POST", Header: multipart, Body: "--b--"}, http.StatusBadRequest},
			"too large":         {house.Call{Method: "POST", Header: house.FormType, Body: strings.Repeat("a", 2<<20)}, http.StatusRequestEntityTooLarge},
			"two headers":       {house.Call{Header: http.Header{"Authorization": {"Bearer " + bob.AccessToken, "Bearer " + s.AccessToken}}}, http.StatusBadRequest},
			"a lower-case word": {house.Call{Header: http.Header{"Authorization": {"bearer " + s.AccessToken}}}, http.StatusBadRequest},
			"form over query":   {house.Call{Method: "POST", Path: "?access_token=" + bob.AccessToken, Header: house.FormType, Body: house.Form("access_token", s.AccessToken)}, http.StatusBadRequest},
			"query under form":  {house.Call{Method: "POST", Path: "?access_token=" + s.AccessToken, Header: house.FormType, Body: house.Form("access_token", bob.AccessToken)}, http.StatusBadRequest},
			"header and query":  {house.Call{Bearer: bob.AccessToken, Path: "?access_token=" + s.AccessToken}, http.StatusBadRequest},
		} {
			c.Path = "/_matrix/client/v3/sync" + c.Path
			if a, passed := through(t, c.Call); passed || a.Status != c.status {
				t.Errorf("%s: passed on %v, got %d %s", name, passed, a.Status, a.Body)
			}
		}
	})
	t.Run("forms of others pass as they were", func(t *testing.T) {
		for _, body := range []string{"", "a=b", house.Form("access_token", bob.AccessToken), `{"json":"called a form"}`, strings.Repeat("x", 1<<20)} {
			a, _ := through(t, house.Call{Method: "POST", Path: "/_matrix/client/v3/x", Header: house.FormType, Body: body})
			if a.Status != house.PassedOn || a.Body != "POST /_matrix/client/v3/x "+body {
				t.Errorf("a body of %d bytes: got %d and %d bytes", len(body), a.Status, len(a.Body))
			}
		}
	})
	t.Run("LEG-5 preflight requests pass", func(t *testing.T) {
		for _, path := range house.APIPaths {
			passes(t, house.Call{Method: "OPTIONS", Path: path, Bearer: s.AccessToken})
		}
	})
	t.Run("ASV tokens of application services and of others pass untouched", func(t *testing.T) {
		for _, token := range []string{"as_token_of_a_bridge", strings.Repeat("f", 64), "syt_YWxpY2U_abc_123", model.NewToken(model.CompatAccess), bob.AccessToken, s.RefreshToken} {
			for _, path := range house.APIPaths {
				passes(t, house.Call{Path: path, Bearer: token})
				passes(t, house.Call{Method: "PUT", Path: path + "?user_id=@alice:" + house.ServerName, Bearer: token, Body: "{}"})
			}
		}
		for _, path := range house.APIPaths {
			passes(t, house.Call{Path: path})
		}
	})
	t.Run("paths beyond the client API pass", func(t *testing.T) {
		for _, path := range []string{"/", "/_matrix/federation/v1/version", "/_matrix/key/v2/server", "/.well-known/matrix/client"} {
			passes(t, house.Call{Path: path, Bearer: s.AccessToken})
		}
	})
	t.Run("MOD-4 the homeserver hides the user", func(t *testing.T) {
		h.Settle()
		if u, _ := h.Fake.User("alice"); !u.Locked {
			t.Error("the homeserver does not know of the lock")
		}
	})
	t.Run("MOD-2 after a restart", func(t *testing.T) {
		h.Crash()
		stopped(t, house.Call{Path: "/_matrix/client/v3/sync", Bearer: s.AccessToken})
	})
	t.Run("MOD-2 MOD-6 after the unlock", func(t *testing.T) {
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		h.Settle()
		if u, _ := h.Fake.User("alice"); u.Locked {
			t.Error("the homeserver still thinks that the user is locked")
		}
		for _, path := range house.APIPaths {
			passes(t, house.Call{Path: path, Bearer: s.AccessToken})
			passes(t, house.Call{Path: path, Bearer: expired.AccessToken})
		}
		h.WantActive(s.AccessToken, "PHONE")
		h.WantActive(forever.AccessToken, "LAPTOP")
		h.WantActive(h.SignedIn(h.Refresh(s.RefreshToken)).AccessToken, "PHONE")
		h.WantActive(h.SignedIn(h.Refresh(expired.RefreshToken)).AccessToken, "OLD")
		h.WantSessions("alice", "LAPTOP", "OLD", "PHONE")
		h.WantDevices("alice", "LAPTOP", "OLD", "PHONE")
	})
}

// TestLockedDuringLogin: a lock that comes while the homeserver makes the device wins, and nothing is
// left behind (MOD-5).
func TestLockedDuringLogin(t *testing.T) {
	for name, change := range map[string]struct {
		act  func(h *house.House)
		want string
	}{
		"MOD-5 locked": {func(h *house.House) { house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"}) }, "M_USER_LOCKED"},
		"MOD-11 deactivated": {func(h *house.House) {
			house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		}, "M_USER_DEACTIVATED"},
	} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			h.Tap.Set(func(op string) {
				if op == "upsert_device" {
					change.act(h)
				}
			})
			if got := h.TryLogin("alice", house.Object{"device_id": "PHONE"}).Errcode(); got != change.want {
				t.Errorf("got %s, want %s", got, change.want)
			}
			h.Tap.Set(nil)
			h.Settle()
			h.WantDevices("alice")
		})
	}
}

// TestRetired: the homeserver remembers a token for two minutes after the session's end; the gateway
// refuses it for that time (REV-9).
func TestRetired(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	old := h.LoginOn("alice", "PHONE")
	fresh := h.LoginOn("alice", "PHONE")
	for _, c := range []house.Call{
		{Path: "/_matrix/client/v3/sync", Bearer: old.AccessToken},
		{Path: "/_matrix/client/v3/sync?access_token=" + old.AccessToken},
		{Path: "/_matrix/client/v3/sync?access%5Ftoken=" + old.AccessToken},
		{Path: "/_matrix/media/v3/config", Bearer: old.AccessToken},
		{Path: "/_synapse/admin/v1/rooms", Bearer: old.AccessToken},
		{Path: "/_synapse/client/x?access_token=" + old.AccessToken},
		{Method: "POST", Path: "/_matrix/client/v3/keys/upload", Header: house.FormType, Body: house.Form("access_token", old.AccessToken)},
	} {
		a := h.Do(c)
		if a.Status != http.StatusUnauthorized || a.Body != house.BadToken {
			t.Errorf("%s: got %d %s", c.Path, a.Status, a.Body)
		}
	}
	if a := h.Do(house.Call{Path: "/_matrix/client/v3/sync", Bearer: fresh.AccessToken}); a.Status != house.PassedOn {
		t.Errorf("the new token: got %d %s", a.Status, a.Body)
	}
}

// TestDeactivated: all ends, here at once and at the homeserver by the outbox (MOD-11).
func TestDeactivated(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	h.Settle()
	s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	laptop := h.LoginOn("alice", "LAPTOP")
	h.Fake.Stop()
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}, Erase: true})
	h.WantSessions("alice")
	for _, token := range []string{s.AccessToken, laptop.AccessToken} {
		h.WantInactive(token)
		h.Logout(token).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a := h.Do(house.Call{Path: "/_matrix/client/v3/sync", Bearer: token}); a.Status != http.StatusUnauthorized || a.Body != house.BadToken {
			t.Errorf("sync: got %d %s", a.Status, a.Body)
		}
	}
	h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
	h.Guess("alice", "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	if h.Waiting() != 3 {
		t.Errorf("%d jobs wait, want two devices and the account", h.Waiting())
	}
	h.Crash()
	h.Fake.Resume()
	h.Settle()
	u, _ := h.Fake.User("alice")
	if !u.Deactivated || !u.Erased || len(u.Devices) != 0 || len(u.Emails) != 0 {
		t.Errorf("at the homeserver: %+v", u)
	}
	var order []string
	for _, c := range h.Fake.Calls("delete_device", "delete_user") {
		order = append(order, c.Op)
	}
	if got := strings.Join(order, " "); got != "delete_device delete_device delete_user" {
		t.Errorf("calls were %q", got)
	}
	if u, _ := h.Fake.User("bob"); u.Deactivated {
		t.Error("somebody else was deactivated")
	}
	t.Run("the name is never given out again", func(t *testing.T) {
		if _, err := matrixauth.AddUser.Do(t.Context(), h.Ops, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword, Existing: true}); err == nil {
			t.Error("it was")
		}
	})
	t.Run("the address is free", func(t *testing.T) {
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "bob"}, Email: "alice@example.org"})
	})
	t.Run("reactivated", func(t *testing.T) {
		house.Act(h, matrixauth.ReactivateUser, matrixauth.Name{User: "alice"})
		h.WantInactive(s.AccessToken)
		h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		again := h.LoginOn("alice", "PHONE")
		h.WantActive(again.AccessToken, "PHONE")
		if u, _ := h.Fake.User("alice"); u.Deactivated {
			t.Error("the homeserver still thinks that the user is deactivated")
		}
		h.WantDevices("alice", "PHONE")
	})
}
