package compat_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestLoginLimits: attempts are bounded by network and by account, with the time to wait in header and
// body (LEG-31).
func TestLoginLimits(t *testing.T) {
	t.Run("account", func(t *testing.T) { limitByAccount(t, "alice") })
	t.Run("account that does not exist", func(t *testing.T) { limitByAccount(t, "nobody") })
	t.Run("network", limitByNetwork)
	t.Run("a success forgives the account", limitForgives)
	t.Run("spellings of an account count together", limitSpellings)
	t.Run("refresh, introspection and logout are free", limitExempt)
}

func wantLimited(t *testing.T, a house.Answer, header string, ms float64) {
	t.Helper()
	a.Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	house.WantWire(t, web.MatrixWire, a)
	if got := a.Header.Values("Retry-After"); len(got) != 1 || got[0] != header {
		t.Errorf("Retry-After is %q, want %q", got, header)
	}
	if got := a.Document(t)["retry_after_ms"]; got != ms {
		t.Errorf("retry_after_ms is %v, want %v", got, ms)
	}
}

func limitByAccount(t *testing.T, user string) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 3, PerMinute: 2}))
	h.Add("alice", "bob")
	for i := range 3 {
		h.Guess(user, fmt.Sprintf("203.0.113.%d", i)).Want(t, http.StatusForbidden, "M_FORBIDDEN")
	}
	hashes := h.Hashes()
	wantLimited(t, h.Guess(user, "203.0.113.9"), "30", 30_000)
	if h.Hashes() != hashes {
		t.Error("a try that was limited cost a hash")
	}
	a := h.Do(house.Call{Method: "POST", Path: house.LoginPath, Body: house.LoginBody(user, house.AlicesPassword, nil)})
	wantLimited(t, a, "30", 30_000)
	h.Guess("bob", "203.0.113.9").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	h.Clock.Move(29 * time.Second)
	wantLimited(t, h.Guess(user, ""), "1", 1_000)
	h.Clock.Move(time.Second)
	h.Guess(user, "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	wantLimited(t, h.Guess(user, ""), "30", 30_000)
}

func limitByNetwork(t *testing.T) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 4, PerMinute: 6}, matrixauth.Rate{Burst: 100, PerMinute: 100}))
	h.Add("alice")
	for i := range 4 {
		// One customer has a whole /64 of addresses.
		h.Guess(fmt.Sprintf("user%d", i), fmt.Sprintf("2001:db8:0:1::%d", i+1)).Want(t, http.StatusForbidden, "M_FORBIDDEN")
	}
	wantLimited(t, h.Guess("alice", "2001:db8:0:1:ffff::1"), "10", 10_000)
	h.Guess("alice", "2001:db8:0:2::1").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	h.Guess("alice", "203.0.113.5").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	h.Clock.Move(10 * time.Second)
	h.Guess("alice", "2001:db8:0:1::1").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	wantLimited(t, h.Guess("alice", "2001:db8:0:1::1"), "10", 10_000)
}

func limitForgives(t *testing.T) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 3, PerMinute: 1}))
	h.Add("alice")
	for range 5 {
		h.Guess("alice", "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.Guess("alice", "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
		h.Login("alice", nil)
	}
}

func limitSpellings(t *testing.T) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 3, PerMinute: 1}))
	h.Add("alice")
	for _, spelling := range []string{"alice", "ALICE", "@alice:" + house.ServerName} {
		h.Guess(spelling, "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	}
	for _, spelling := range []string{"alice", "Alice", "@aLICE:" + house.ServerName} {
		h.Guess(spelling, "").Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	}
}

func limitExempt(t *testing.T) {
	h := house.New(t, house.Limits(matrixauth.Rate{Burst: 2, PerMinute: 1}, matrixauth.Rate{Burst: 1, PerMinute: 1}))
	h.Add("alice")
	s := h.Login("alice", house.Object{"refresh_token": true})
	h.Guess("alice", "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
	h.Guess("alice", "").Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
	for range 50 {
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		h.WantActive(s.AccessToken, h.LiveDevices("alice")[0])
		h.Refresh("mcr_x").Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Logout("mct_x").Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	}
	h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
}

// TestRefreshLimit: a session that refreshes without a pause is told to wait, on either API by a 503 that no
// client takes for the end of its session, and nobody else is concerned (REF-8, TOK-23, ENUM-5).
func TestRefreshLimit(t *testing.T) {
	h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.RefreshesPerSession = matrixauth.Rate{Burst: 2, PerMinute: 30} })
	h.Add("alice")
	t.Run("legacy", func(t *testing.T) {
		s, other := h.Login("alice", house.Object{"refresh_token": true}), h.Login("alice", house.Object{"refresh_token": true})
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		for range 3 {
			a := h.Refresh(s.RefreshToken)
			a.Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
			if got := a.Header.Get("Retry-After"); got != "2" {
				t.Errorf("Retry-After is %q", got)
			}
			if got := a.Document(t)["retry_after_ms"]; got != 2000.0 {
				t.Errorf("retry_after_ms is %v", got)
			}
		}
		h.SignedIn(h.Refresh(other.RefreshToken))
		h.Clock.Move(2 * time.Second)
		h.SignedIn(h.Refresh(s.RefreshToken))
	})
	t.Run("oauth", func(t *testing.T) {
		id := h.Register("app", "")
		tokens := h.OauthSession("alice", id, "PHONE")
		for range 2 {
			tokens = h.Tokens(h.Renew(id, tokens.RefreshToken))
		}
		for range 3 {
			a := h.Renew(id, tokens.RefreshToken)
			a.WantRefused(t, http.StatusServiceUnavailable, "temporarily_unavailable", "")
			if got := a.Header.Get("Retry-After"); got != "2" {
				t.Errorf("Retry-After is %q", got)
			}
		}
		h.Clock.Move(2 * time.Second)
		h.Tokens(h.Renew(id, tokens.RefreshToken))
	})
}
