package matrixauth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const lockedBody = `{"errcode":"M_USER_LOCKED","error":"This account has been locked","soft_logout":true}`

// TestLocked: a locked user can do nothing but log out, keeps everything, and goes on after the unlock
// with the same tokens (MOD-1 to MOD-6).
func TestLocked(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	expired := h.login("alice", object{"device_id": "OLD", "refresh_token": true})
	forever := h.loginOn("alice", "LAPTOP")
	bob := h.loginOn("bob", "PHONE")
	h.clock.Move(5 * time.Minute)
	s = h.signedIn(h.refresh(s.RefreshToken))
	act(h, LockUser, Name{User: "alice"})

	// through asks for a path of the homeserver and reports whether it got there.
	through := func(t *testing.T, c call) (answer, bool) {
		before := h.passed.Load()
		a := h.do(c)
		return a, h.passed.Load() > before
	}
	stopped := func(t *testing.T, c call) {
		t.Helper()
		a, passed := through(t, c)
		if passed || a.status != http.StatusUnauthorized || a.body != lockedBody {
			t.Errorf("%s %s: passed on %v, got %d %s", c.method, c.path, passed, a.status, a.body)
		}
		wantWire(t, web.MatrixWire, a)
	}
	passes := func(t *testing.T, c call) {
		t.Helper()
		if a, passed := through(t, c); !passed || a.status != passedOn {
			t.Errorf("%s %s: passed on %v, got %d %s", c.method, c.path, passed, a.status, a.body)
		}
	}

	t.Run("MOD-1 MOD-4 every path of the client API", func(t *testing.T) {
		for _, path := range apiPaths {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				stopped(t, call{method: method, path: path, bearer: s.AccessToken})
				stopped(t, call{method: method, path: path + "?x=1&access_token=" + s.AccessToken})
			}
			stopped(t, call{path: path, bearer: forever.AccessToken})
			// A client would refresh and try again; it should learn the reason at once.
			stopped(t, call{path: path, bearer: expired.AccessToken})
			if a, _ := through(t, call{method: "HEAD", path: path, bearer: s.AccessToken}); a.status != http.StatusUnauthorized {
				t.Errorf("HEAD %s: got %d", path, a.status)
			}
		}
	})
	t.Run("MOD-4 however the homeserver would find the token", func(t *testing.T) {
		for _, query := range []string{"access%5Ftoken=", "%61ccess_token=", "a=1;access_token=", "%zz&access_token="} {
			a, passed := through(t, call{path: "/_matrix/client/v3/sync?" + query + s.AccessToken})
			if passed || a.body != lockedBody {
				t.Errorf("?%s: passed on %v, got %d %s", query, passed, a.status, a.body)
			}
		}
	})
	t.Run("MOD-4 in a body that the homeserver reads as a form", func(t *testing.T) {
		for _, path := range apiPaths {
			stopped(t, call{method: "POST", path: path, header: formType, body: form("a", "b", "access_token", s.AccessToken)})
		}
		upper := http.Header{"Content-Type": {"APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8"}}
		stopped(t, call{method: "POST", path: "/_matrix/client/v3/sync", header: upper, body: "access%5Ftoken=" + s.AccessToken})
	})
	t.Run("MOD-4 behind more parameters than Go reads", func(t *testing.T) {
		many := strings.Repeat("a=&", 20_000) + "access_token=" + s.AccessToken
		stopped(t, call{path: "/_matrix/client/v3/sync?" + many})
		stopped(t, call{method: "POST", path: "/_synapse/admin/v1/rooms", header: formType, body: many})
	})
	t.Run("SOFT-7 what cannot be read is refused, and ends no session", func(t *testing.T) {
		multipart := http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}
		for name, c := range map[string]struct {
			call
			status int
		}{
			"multipart":         {call{method: "POST", header: multipart, body: "--b--"}, http.StatusBadRequest},
			"too large":         {call{method: "POST", header: formType, body: strings.Repeat("a", 2<<20)}, http.StatusRequestEntityTooLarge},
			"two headers":       {call{header: http.Header{"Authorization": {"Bearer " + bob.AccessToken, "Bearer " + s.AccessToken}}}, http.StatusBadRequest},
			"a lower-case word": {call{header: http.Header{"Authorization": {"bearer " + s.AccessToken}}}, http.StatusBadRequest},
			"form over query":   {call{method: "POST", path: "?access_token=" + bob.AccessToken, header: formType, body: form("access_token", s.AccessToken)}, http.StatusBadRequest},
			"query under form":  {call{method: "POST", path: "?access_token=" + s.AccessToken, header: formType, body: form("access_token", bob.AccessToken)}, http.StatusBadRequest},
			"header and query":  {call{bearer: bob.AccessToken, path: "?access_token=" + s.AccessToken}, http.StatusBadRequest},
		} {
			c.path = "/_matrix/client/v3/sync" + c.path
			if a, passed := through(t, c.call); passed || a.status != c.status {
				t.Errorf("%s: passed on %v, got %d %s", name, passed, a.status, a.body)
			}
		}
	})
	t.Run("forms of others pass as they were", func(t *testing.T) {
		for _, body := range []string{"", "a=b", form("access_token", bob.AccessToken), `{"json":"called a form"}`, strings.Repeat("x", 1<<20)} {
			a, _ := through(t, call{method: "POST", path: "/_matrix/client/v3/x", header: formType, body: body})
			if a.status != passedOn || a.body != "POST /_matrix/client/v3/x "+body {
				t.Errorf("a body of %d bytes: got %d and %d bytes", len(body), a.status, len(a.body))
			}
		}
	})
	t.Run("LEG-5 preflight requests pass", func(t *testing.T) {
		for _, path := range apiPaths {
			passes(t, call{method: "OPTIONS", path: path, bearer: s.AccessToken})
		}
	})
	t.Run("ASV tokens of application services and of others pass untouched", func(t *testing.T) {
		for _, token := range []string{"as_token_of_a_bridge", strings.Repeat("f", 64), "syt_YWxpY2U_abc_123", model.NewToken(model.CompatAccess), bob.AccessToken, s.RefreshToken} {
			for _, path := range apiPaths {
				passes(t, call{path: path, bearer: token})
				passes(t, call{method: "PUT", path: path + "?user_id=@alice:" + serverName, bearer: token, body: "{}"})
			}
		}
		for _, path := range apiPaths {
			passes(t, call{path: path})
		}
	})
	t.Run("paths beyond the client API pass", func(t *testing.T) {
		for _, path := range []string{"/", "/_matrix/federation/v1/version", "/_matrix/key/v2/server", "/.well-known/matrix/client"} {
			passes(t, call{path: path, bearer: s.AccessToken})
		}
	})
	t.Run("MOD-4 the homeserver hides the user", func(t *testing.T) {
		h.settle()
		if u, _ := h.fake.User("alice"); !u.Locked {
			t.Error("the homeserver does not know of the lock")
		}
	})
	t.Run("MOD-2 after a restart", func(t *testing.T) {
		h.crash()
		stopped(t, call{path: "/_matrix/client/v3/sync", bearer: s.AccessToken})
	})
	t.Run("MOD-2 MOD-6 after the unlock", func(t *testing.T) {
		act(h, UnlockUser, Name{User: "alice"})
		h.settle()
		if u, _ := h.fake.User("alice"); u.Locked {
			t.Error("the homeserver still thinks that the user is locked")
		}
		for _, path := range apiPaths {
			passes(t, call{path: path, bearer: s.AccessToken})
			passes(t, call{path: path, bearer: expired.AccessToken})
		}
		h.wantActive(s.AccessToken, "PHONE")
		h.wantActive(forever.AccessToken, "LAPTOP")
		h.wantActive(h.signedIn(h.refresh(s.RefreshToken)).AccessToken, "PHONE")
		h.wantActive(h.signedIn(h.refresh(expired.RefreshToken)).AccessToken, "OLD")
		h.wantSessions("alice", "LAPTOP", "OLD", "PHONE")
		h.wantDevices("alice", "LAPTOP", "OLD", "PHONE")
	})
}

// TestLockedDuringLogin: a lock that comes while the homeserver makes the device wins, and nothing is
// left behind (MOD-5).
func TestLockedDuringLogin(t *testing.T) {
	for name, change := range map[string]struct {
		act  func(h *house)
		want string
	}{
		"MOD-5 locked":       {func(h *house) { act(h, LockUser, Name{User: "alice"}) }, "M_USER_LOCKED"},
		"MOD-11 deactivated": {func(h *house) { act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}}) }, "M_USER_DEACTIVATED"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			h.tap.set(func(op string) {
				if op == "upsert_device" {
					change.act(h)
				}
			})
			if got := h.tryLogin("alice", object{"device_id": "PHONE"}).errcode(); got != change.want {
				t.Errorf("got %s, want %s", got, change.want)
			}
			h.tap.set(nil)
			h.settle()
			h.wantDevices("alice")
		})
	}
}

// TestRetired: the homeserver remembers a token for two minutes after the session's end; the gateway
// refuses it for that time (REV-9).
func TestRetired(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	old := h.loginOn("alice", "PHONE")
	fresh := h.loginOn("alice", "PHONE")
	for _, c := range []call{
		{path: "/_matrix/client/v3/sync", bearer: old.AccessToken},
		{path: "/_matrix/client/v3/sync?access_token=" + old.AccessToken},
		{path: "/_matrix/client/v3/sync?access%5Ftoken=" + old.AccessToken},
		{path: "/_matrix/media/v3/config", bearer: old.AccessToken},
		{path: "/_synapse/admin/v1/rooms", bearer: old.AccessToken},
		{path: "/_synapse/client/x?access_token=" + old.AccessToken},
		{method: "POST", path: "/_matrix/client/v3/keys/upload", header: formType, body: form("access_token", old.AccessToken)},
	} {
		a := h.do(c)
		if a.status != http.StatusUnauthorized || a.body != badToken {
			t.Errorf("%s: got %d %s", c.path, a.status, a.body)
		}
	}
	if a := h.do(call{path: "/_matrix/client/v3/sync", bearer: fresh.AccessToken}); a.status != passedOn {
		t.Errorf("the new token: got %d %s", a.status, a.body)
	}
}

// TestDeactivated: all ends, here at once and at the homeserver by the outbox (MOD-11).
func TestDeactivated(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
	h.settle()
	s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	laptop := h.loginOn("alice", "LAPTOP")
	h.fake.Stop()
	act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}, Erase: true})
	h.wantSessions("alice")
	for _, token := range []string{s.AccessToken, laptop.AccessToken} {
		h.wantInactive(token)
		h.logout(token).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a := h.do(call{path: "/_matrix/client/v3/sync", bearer: token}); a.status != http.StatusUnauthorized || a.body != badToken {
			t.Errorf("sync: got %d %s", a.status, a.body)
		}
	}
	h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	h.tryLogin("alice", nil).want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
	h.guess("alice", "").want(t, http.StatusForbidden, "M_FORBIDDEN")
	if h.waiting() != 3 {
		t.Errorf("%d jobs wait, want two devices and the account", h.waiting())
	}
	h.crash()
	h.fake.Resume()
	h.settle()
	u, _ := h.fake.User("alice")
	if !u.Deactivated || !u.Erased || len(u.Devices) != 0 || len(u.Emails) != 0 {
		t.Errorf("at the homeserver: %+v", u)
	}
	var order []string
	for _, c := range h.fake.Calls("delete_device", "delete_user") {
		order = append(order, c.Op)
	}
	if got := strings.Join(order, " "); got != "delete_device delete_device delete_user" {
		t.Errorf("calls were %q", got)
	}
	if u, _ := h.fake.User("bob"); u.Deactivated {
		t.Error("somebody else was deactivated")
	}
	t.Run("the name is never given out again", func(t *testing.T) {
		if _, err := AddUser.Do(t.Context(), h.ops, NewUser{Localpart: "alice", Password: alicesPassword, Existing: true}); err == nil {
			t.Error("it was")
		}
	})
	t.Run("the address is free", func(t *testing.T) {
		act(h, AddEmail, NameAndEmail{Name: Name{User: "bob"}, Email: "alice@example.org"})
	})
	t.Run("reactivated", func(t *testing.T) {
		act(h, ReactivateUser, Name{User: "alice"})
		h.wantInactive(s.AccessToken)
		h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		again := h.loginOn("alice", "PHONE")
		h.wantActive(again.AccessToken, "PHONE")
		if u, _ := h.fake.User("alice"); u.Deactivated {
			t.Error("the homeserver still thinks that the user is deactivated")
		}
		h.wantDevices("alice", "PHONE")
	})
}
