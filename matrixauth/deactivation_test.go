package matrixauth

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestDeactivatedAtTheHomeserver: an account that an administrator of the homeserver has deactivated is
// deactivated here as well, with all that follows, when somebody signs in to it or its app refreshes
// (MOD-11).
func TestDeactivatedAtTheHomeserver(t *testing.T) {
	// gone checks that nothing of alice's is left but the password.
	gone := func(h *house, tokens ...string) {
		h.t.Helper()
		if state := h.state("alice"); state != "deactivated" {
			h.t.Fatalf("the account is %s", state)
		}
		for _, token := range tokens {
			h.wantInactive(token)
		}
		if left := act(h, ListSessions, SessionsAsked{User: "alice"}).Sessions; len(left) != 0 {
			h.t.Errorf("sessions are left: %+v", left)
		}
		if left := act(h, ShowUser, Name{User: "alice"}).Emails; len(left) != 0 {
			h.t.Errorf("addresses are left: %q", left)
		}
		if !strings.Contains(h.log.String(), "the homeserver has deactivated an account") {
			h.t.Error("the log does not say so")
		}
		h.settle()
		if told := h.fake.Calls("delete_user"); len(told) != 0 {
			h.t.Errorf("the homeserver was told what it did itself: %+v", told)
		}
	}
	begin := func(t *testing.T) (*house, signedIn) {
		h := newHouse(t, unlimited)
		h.add("alice")
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
		h.settle()
		h.signedInAs("alice")
		return h, h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	}

	t.Run("login", func(t *testing.T) {
		h, s := begin(t)
		h.fake.Deactivate("alice")
		h.tryLogin("alice", nil).want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		gone(h, s.AccessToken)
		h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.wantDevices("alice")
	})
	t.Run("sign-in at the page", func(t *testing.T) {
		h, s := begin(t)
		h.fake.Deactivate("alice")
		v := h.guest()
		v.get("/account/login")
		v.post("/account/login", "username", "alice", "password", alicesPassword).wantPage(t, http.StatusForbidden, "This account is deactivated")
		gone(h, s.AccessToken)
	})
	t.Run("the exchange of a code", func(t *testing.T) {
		for name, scope := range map[string]string{"with a device": phoneScope, "without one": model.ScopeAPI + " " + model.ScopeSynapseAdmin} {
			t.Run(name, func(t *testing.T) {
				h, s := begin(t)
				act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
				id := h.register("client", "")
				code := h.signedInAs("alice").consent(params(id, "scope", scope))
				h.fake.Deactivate("alice")
				h.exchange(id, code).shows(t, http.StatusBadRequest, "invalid_grant")
				gone(h, s.AccessToken)
			})
		}
	})
	t.Run("a token for a bot", func(t *testing.T) {
		h, s := begin(t)
		h.fake.Deactivate("alice")
		if _, err := IssueToken.Do(t.Context(), h.ops, NewToken{Name: Name{User: "alice"}}); err == nil {
			t.Fatal("it was issued")
		}
		gone(h, s.AccessToken)
	})
	t.Run("a refresh succeeds, and is the last", func(t *testing.T) {
		h, s := begin(t)
		h.fake.Deactivate("alice")
		s = h.signedIn(h.refresh(s.RefreshToken))
		h.must(h.reconcile())
		gone(h, s.AccessToken)
		h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("a refresh by OAuth", func(t *testing.T) {
		h, _ := begin(t)
		id := h.register("client", "")
		s := h.oauthSession("alice", id, "TABLET")
		h.fake.Deactivate("alice")
		s = h.tokens(h.renew(id, s.RefreshToken))
		h.must(h.reconcile())
		gone(h, s.AccessToken)
		h.renew(id, s.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("reactivated by command, all goes on", func(t *testing.T) {
		h, _ := begin(t)
		h.fake.Deactivate("alice")
		h.tryLogin("alice", nil).want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		act(h, ReactivateUser, Name{User: "alice"})
		s := h.loginOn("alice", "PHONE") // the lane has the homeserver reactivate first
		h.wantActive(s.AccessToken, "PHONE")
		if state := h.state("alice"); state != "active" {
			t.Errorf("the account is %s", state)
		}
	})
	t.Run("a reactivation on its way is not undone", func(t *testing.T) {
		h, _ := begin(t)
		h.fake.Deactivate("alice")
		h.tryLogin("alice", nil).want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		h.settle()
		act(h, ReactivateUser, Name{User: "alice"})
		// What the homeserver said before the command is old news now.
		followed, err := h.domain().Users.FollowDeactivation(t.Context(), h.userID("alice"))
		if err != nil || followed {
			t.Fatalf("got %v, %v", followed, err)
		}
		if state := h.state("alice"); state != "active" {
			t.Errorf("the account is %s", state)
		}
		h.settle()
		h.loginOn("alice", "PHONE")
	})
}

// TestAccountIsAskedAbout holds when the homeserver is asked, and that no failure of it changes anything.
func TestAccountIsAskedAbout(t *testing.T) {
	asked := func(h *house) int { return len(h.fake.Calls("query_user")) }
	t.Run("ENUM-1 only for who knows the password", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		h.fake.ForgetCalls()
		for _, name := range []string{"alice", "nobody"} {
			h.do(call{method: http.MethodPost, path: loginPath, body: loginBody(name, "wrong", nil)}).want(t, http.StatusForbidden, "M_FORBIDDEN")
			v := h.guest()
			v.get("/account/login")
			v.post("/account/login", "username", name, "password", "wrong").wantPage(t, http.StatusForbidden, "Sign in")
		}
		if n := len(h.fake.Calls()); n != 0 {
			t.Errorf("it made %d calls", n)
		}
	})
	t.Run("after a refresh, every five minutes at most", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		s := h.login("alice", object{"refresh_token": true})
		other := h.login("alice", object{"refresh_token": true})
		bob := h.login("bob", object{"refresh_token": true})
		h.fake.ForgetCalls()
		want := func(n int) {
			t.Helper()
			h.must(h.reconcile())
			if got := asked(h); got != n {
				t.Fatalf("asked %d times, want %d", got, n)
			}
		}
		want(0)
		s = h.signedIn(h.refresh(s.RefreshToken))
		other = h.signedIn(h.refresh(other.RefreshToken))
		want(1)
		h.clock.Move(5*time.Minute - time.Second)
		s = h.signedIn(h.refresh(s.RefreshToken))
		want(1)
		h.signedIn(h.refresh(bob.RefreshToken))
		want(2)
		h.clock.Move(time.Second)
		h.signedIn(h.refresh(s.RefreshToken))
		h.signedIn(h.refresh(other.RefreshToken))
		want(3)
	})
	t.Run("a refused refresh notes nobody", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"refresh_token": true})
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.fake.ForgetCalls()
		h.refresh(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.must(h.reconcile())
		if n := asked(h); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	for name, outage := range map[string]func(h *house){
		"a server error": func(h *house) { h.fake.Fail(http.StatusInternalServerError, "") },
		"a Matrix error": func(h *house) { h.fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") },
		"no connection":  func(h *house) { h.fake.Stop() },
		"an answer of nonsense": func(h *house) {
			h.fake.Intercept(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
		},
	} {
		t.Run(name+" changes nothing", func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
			outage(h)
			h.tryLogin("alice", nil).want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
			// The page makes no device, and needs nobody.
			if to := h.guest().signIn("alice", ""); to != "/account/" {
				t.Errorf("the sign-in leads to %s", to)
			}
			s = h.signedIn(h.refresh(s.RefreshToken))
			if err := h.reconcile(); err == nil {
				t.Error("an outage is no answer")
			}
			h.wantActive(s.AccessToken, "PHONE")
			if state := h.state("alice"); state != "active" {
				t.Errorf("the account is %s", state)
			}
		})
	}
	t.Run("a user that the homeserver does not know", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		h.fake.Remove("alice")
		if to := h.guest().signIn("alice", ""); to != "/account/" {
			t.Errorf("the sign-in leads to %s", to)
		}
		s = h.signedIn(h.refresh(s.RefreshToken))
		h.must(h.reconcile())
		h.wantActive(s.AccessToken, "PHONE")
	})
	t.Run("a homeserver that is read-only is asked as well", func(t *testing.T) {
		h := newHouse(t, unlimited, func(c *Config) { c.Kind = SynapseReadOnly })
		h.must(h.store.Update(t.Context(), seedRows("alice", mustHash(h), h.fake.Seed)))
		h.fake.Deactivate("alice")
		h.tryLogin("alice", nil).want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		for _, c := range h.fake.Calls() {
			if c.Op != "query_user" {
				t.Errorf("it was told %+v", c)
			}
		}
	})
}

func mustHash(h *house) string {
	h.t.Helper()
	hash, err := h.passwords.Hash(context.Background(), alicesPassword)
	h.must(err)
	return hash
}
