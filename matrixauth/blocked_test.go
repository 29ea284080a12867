package matrixauth

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestBlocked: the page about an account that may do nothing says whose it is, and has ways out: as
// somebody else with the same wish, and back to the app with an error (MOD-5, MOD-7).
func TestBlocked(t *testing.T) {
	const locked = "This account is locked"
	wantWho := func(t *testing.T, v *guest) {
		t.Helper()
		if text := shown(v.at); !strings.Contains(text, "@alice:"+serverName) || !strings.Contains(text, "Ask the operator to unlock it") || !strings.Contains(text, "Not you?") {
			t.Errorf("the page says %s", text)
		}
	}
	t.Run("signed in, at an app's request", func(t *testing.T) {
		h := newOAuthHouse(t)
		v := h.guest()
		v.signIn("alice", "")
		act(h, LockUser, Name{User: "alice"})
		v.get(authorizePath + "?" + params("app").Encode())
		v.follow().wantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		blocked := v.at
		v.post(consentPath, "request", hidden(blocked.body, "request"), "answer", "continue").wantPage(t, http.StatusForbidden, locked)
		v.at = blocked
		v.post("/account/logout", "request", hidden(blocked.body, "request"), "again", "1").wantTo(t, "/account/login?request="+hidden(blocked.body, "request"))
		v.follow().wantPage(t, http.StatusOK, "Sign in")
		v.post("/account/login?request="+hidden(blocked.body, "request"), "username", "bob", "password", alicesPassword)
		v.follow().wantPage(t, http.StatusOK, "Continue to An App?")
	})
	t.Run("back to the app", func(t *testing.T) {
		h := newOAuthHouse(t)
		v := h.guest()
		v.signIn("alice", "")
		act(h, LockUser, Name{User: "alice"})
		v.get(authorizePath + "?" + params("app").Encode())
		v.follow().wantPage(t, http.StatusForbidden, locked)
		v.post(consentPath, "request", hidden(v.at.body, "request"), "answer", "cancel")
		to := v.at.header.Get("Location")
		if v.at.status != http.StatusSeeOther || !strings.HasPrefix(to, webCallback) || !strings.Contains(to, "error=access_denied") {
			t.Errorf("got %d to %q", v.at.status, to)
		}
	})
	t.Run("by the password, for an app", func(t *testing.T) {
		h := newOAuthHouse(t)
		h.settle()
		v := h.guest()
		act(h, LockUser, Name{User: "alice"})
		v.get(authorizePath + "?" + params("app").Encode())
		v.follow()
		v.follow()
		login := strings.ReplaceAll(formAction(v.at.body), "&amp;", "&")
		page := v.at
		// Who does not know the password is told nothing (LEG-21).
		v.post(login, "username", "alice", "password", "wrong").wantPage(t, http.StatusForbidden, "Sign in")
		v.at = page
		v.post(login, "username", "alice", "password", alicesPassword).wantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		if !strings.Contains(shown(v.at), "Back to the app") {
			t.Errorf("the page says %s", shown(v.at))
		}
		v.get("/account/").wantTo(t, "/account/login")
	})
	t.Run("at the account page, with what was wanted there", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		act(h, LockUser, Name{User: "alice"})
		v.get("/account/"+query("action", "org.matrix.device_view", "device_id", "PHONE")).wantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		if strings.Contains(shown(v.at), "Back to the app") {
			t.Error("there is no app to go back to")
		}
		v.post("/account/logout", "action", hidden(v.at.body, "action"), "device_id", hidden(v.at.body, "device_id"), "again", "1").
			wantTo(t, "/account/login?action=org.matrix.device_view&device_id=PHONE")
	})
	t.Run("at every form of the account page", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		v := h.guest()
		v.signIn("alice", "")
		v.get("/account/").wantPage(t, http.StatusOK, "Your account")
		before := v.at
		act(h, LockUser, Name{User: "alice"})
		for path, fields := range map[string][]string{
			"/account/sessions/end":        {"session", "any"},
			"/account/sessions/end-others": {"what", "apps"},
			"/account/consents/withdraw":   {"client", "app"},
			"/account/cross-signing-reset": nil,
		} {
			v.at = before
			if v.post(path, fields...); v.at.status != http.StatusForbidden {
				t.Errorf("%s: got %d", path, v.at.status)
			}
			wantWho(t, v)
		}
	})
	t.Run("without any wish it leads to the sign-in", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "gone")
		act(h, LockUser, Name{User: "alice"})
		act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
		v := h.guest()
		v.get("/account/login")
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusForbidden, locked)
		wantWho(t, v)
		v.post("/account/logout", "again", hidden(v.at.body, "again")).wantTo(t, "/account/login")
		v.follow().wantPage(t, http.StatusOK, "Sign in")
		v.post("/account/login", "username", "gone", "password", alicesPassword).wantPage(t, http.StatusForbidden, "This account is deactivated")
		if !strings.Contains(shown(v.at), "@gone:"+serverName) {
			t.Errorf("the page says %s", shown(v.at))
		}
	})
	t.Run("a request that is over is not offered", func(t *testing.T) {
		h := newOAuthHouse(t)
		v := h.guest()
		v.signIn("alice", "")
		v.get(authorizePath + "?" + params("app").Encode())
		page := v.at.header.Get("Location")
		act(h, LockUser, Name{User: "alice"})
		h.clock.Move(time.Hour)
		v.get(page).wantPage(t, http.StatusForbidden, locked)
		if strings.Contains(shown(v.at), "Back to the app") {
			t.Error("there is nothing to go back with")
		}
	})
}
