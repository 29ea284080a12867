package reconcile_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestDeactivatedAtTheHomeserver: an account that an administrator of the homeserver has deactivated is
// deactivated here as well, with all that follows, when somebody signs in to it or its app refreshes
// (MOD-11).
func TestDeactivatedAtTheHomeserver(t *testing.T) {
	// gone checks that nothing of alice's is left but the password.
	gone := func(h *house.House, tokens ...string) {
		h.T.Helper()
		if state := h.State("alice"); state != "deactivated" {
			h.T.Fatalf("the account is %s", state)
		}
		for _, token := range tokens {
			h.WantInactive(token)
		}
		if left := house.Act(h, matrixauth.ListSessions, matrixauth.SessionQuery{User: "alice"}).Sessions; len(left) != 0 {
			h.T.Errorf("sessions are left: %+v", left)
		}
		if left := house.Act(h, matrixauth.ShowUser, matrixauth.Name{User: "alice"}).Emails; len(left) != 0 {
			h.T.Errorf("addresses are left: %q", left)
		}
		if !strings.Contains(h.Log.String(), "the homeserver has deactivated an account") {
			h.T.Error("the log does not say so")
		}
		h.Settle()
		if told := h.Fake.Calls("delete_user"); len(told) != 0 {
			h.T.Errorf("the homeserver was told what it did itself: %+v", told)
		}
	}
	begin := func(t *testing.T) (*house.House, house.SignedIn) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
		h.Settle()
		h.SignedInAs("alice")
		return h, h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	}

	t.Run("login", func(t *testing.T) {
		h, s := begin(t)
		h.Fake.Deactivate("alice")
		h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		gone(h, s.AccessToken)
		h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantDevices("alice")
	})
	t.Run("sign-in at the page", func(t *testing.T) {
		h, s := begin(t)
		h.Fake.Deactivate("alice")
		v := h.Browser()
		v.Get("/account/login")
		v.Post("/account/login", "username", "alice", "password", house.AlicesPassword).WantPage(t, http.StatusForbidden, "This account is deactivated")
		gone(h, s.AccessToken)
	})
	t.Run("the exchange of a code", func(t *testing.T) {
		for name, scope := range map[string]string{"with a device": house.PhoneScope, "without one": model.ScopeAPI + " " + model.ScopeSynapseAdmin} {
			t.Run(name, func(t *testing.T) {
				h, s := begin(t)
				house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
				id := h.Register("client", "")
				code := h.SignedInAs("alice").Consent(house.Params(id, "scope", scope))
				h.Fake.Deactivate("alice")
				h.Exchange(id, code).Shows(t, http.StatusBadRequest, "invalid_grant")
				gone(h, s.AccessToken)
			})
		}
	})
	t.Run("a token for a bot", func(t *testing.T) {
		h, s := begin(t)
		h.Fake.Deactivate("alice")
		if _, err := matrixauth.IssueToken.Do(t.Context(), h.Ops, matrixauth.NewToken{Name: matrixauth.Name{User: "alice"}}); err == nil {
			t.Fatal("it was issued")
		}
		gone(h, s.AccessToken)
	})
	t.Run("a refresh succeeds, and is the last", func(t *testing.T) {
		h, s := begin(t)
		h.Fake.Deactivate("alice")
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		h.Must(h.Reconcile())
		gone(h, s.AccessToken)
		h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("a refresh by OAuth", func(t *testing.T) {
		h, _ := begin(t)
		id := h.Register("client", "")
		s := h.OauthSession("alice", id, "TABLET")
		h.Fake.Deactivate("alice")
		s = h.Tokens(h.Renew(id, s.RefreshToken))
		h.Must(h.Reconcile())
		gone(h, s.AccessToken)
		h.Renew(id, s.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("reactivated by command, all goes on", func(t *testing.T) {
		h, _ := begin(t)
		h.Fake.Deactivate("alice")
		h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		house.Act(h, matrixauth.ReactivateUser, matrixauth.Name{User: "alice"})
		s := h.LoginOn("alice", "PHONE") // the lane has the homeserver reactivate first
		h.WantActive(s.AccessToken, "PHONE")
		if state := h.State("alice"); state != "active" {
			t.Errorf("the account is %s", state)
		}
	})
	t.Run("a reactivation on its way is not undone", func(t *testing.T) {
		h, _ := begin(t)
		h.Fake.Deactivate("alice")
		h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		h.Settle()
		house.Act(h, matrixauth.ReactivateUser, matrixauth.Name{User: "alice"})
		// What the homeserver said before the command is old news now.
		followed, err := h.Wiring.Users.FollowDeactivation(t.Context(), h.UserID("alice"))
		if err != nil || followed {
			t.Fatalf("got %v, %v", followed, err)
		}
		if state := h.State("alice"); state != "active" {
			t.Errorf("the account is %s", state)
		}
		h.Settle()
		h.LoginOn("alice", "PHONE")
	})
}

// TestAccountIsAskedAbout holds when the homeserver is asked, and that no failure of it changes anything.
func TestAccountIsAskedAbout(t *testing.T) {
	asked := func(h *house.House) int { return len(h.Fake.Calls("query_user")) }
	t.Run("ENUM-1 only for who knows the password", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		h.Fake.ForgetCalls()
		for _, name := range []string{"alice", "nobody"} {
			h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody(name, "wrong", nil)}).Want(t, http.StatusForbidden, "M_FORBIDDEN")
			v := h.Browser()
			v.Get("/account/login")
			v.Post("/account/login", "username", name, "password", "wrong").WantPage(t, http.StatusForbidden, "Sign in")
		}
		if n := len(h.Fake.Calls()); n != 0 {
			t.Errorf("it made %d calls", n)
		}
	})
	t.Run("after a refresh, every five minutes at most", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		s := h.Login("alice", house.Object{"refresh_token": true})
		other := h.Login("alice", house.Object{"refresh_token": true})
		bob := h.Login("bob", house.Object{"refresh_token": true})
		h.Fake.ForgetCalls()
		want := func(n int) {
			t.Helper()
			h.Must(h.Reconcile())
			if got := asked(h); got != n {
				t.Fatalf("asked %d times, want %d", got, n)
			}
		}
		want(0)
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		other = h.SignedIn(h.Refresh(other.RefreshToken))
		want(1)
		h.Clock.Move(5*time.Minute - time.Second)
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		want(1)
		h.SignedIn(h.Refresh(bob.RefreshToken))
		want(2)
		h.Clock.Move(time.Second)
		h.SignedIn(h.Refresh(s.RefreshToken))
		h.SignedIn(h.Refresh(other.RefreshToken))
		want(3)
	})
	t.Run("a refused refresh notes nobody", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"refresh_token": true})
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.Fake.ForgetCalls()
		h.Refresh(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Must(h.Reconcile())
		if n := asked(h); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	for name, outage := range map[string]func(h *house.House){
		"a server error": func(h *house.House) { h.Fake.Fail(http.StatusInternalServerError, "") },
		"a Matrix error": func(h *house.House) { h.Fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") },
		"no connection":  func(h *house.House) { h.Fake.Stop() },
		"an answer of nonsense": func(h *house.House) {
			h.Fake.Intercept(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
		},
	} {
		t.Run(name+" changes nothing", func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
			outage(h)
			h.TryLogin("alice", nil).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
			// The page makes no device, and needs nobody.
			if to := h.Browser().SignIn("alice", ""); to != "/account/" {
				t.Errorf("the sign-in leads to %s", to)
			}
			s = h.SignedIn(h.Refresh(s.RefreshToken))
			if err := h.Reconcile(); err == nil {
				t.Error("an outage is no answer")
			}
			h.WantActive(s.AccessToken, "PHONE")
			if state := h.State("alice"); state != "active" {
				t.Errorf("the account is %s", state)
			}
		})
	}
	t.Run("a user that the homeserver does not know", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Fake.Remove("alice")
		if to := h.Browser().SignIn("alice", ""); to != "/account/" {
			t.Errorf("the sign-in leads to %s", to)
		}
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		h.Must(h.Reconcile())
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("a homeserver that is read-only is asked as well", func(t *testing.T) {
		h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.Kind = matrixauth.SynapseReadOnly })
		h.Must(h.Store.Update(t.Context(), house.SeedRows("alice", mustHash(h), h.Fake.Seed)))
		h.Fake.Deactivate("alice")
		h.TryLogin("alice", nil).Want(t, http.StatusForbidden, "M_USER_DEACTIVATED")
		for _, c := range h.Fake.Calls() {
			if c.Op != "query_user" {
				t.Errorf("it was told %+v", c)
			}
		}
	})
}

func mustHash(h *house.House) string {
	h.T.Helper()
	hash, err := h.Passwords.Hash(context.Background(), house.AlicesPassword)
	h.Must(err)
	return hash
}
