package account_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

const (
	resetLink = "/account/?action=org.matrix.cross_signing_reset"
	resetPath = "/account/cross-signing-reset"
	askReset  = "Reset your digital identity?"
)

// resets is how often the homeserver was told to let a user's clients replace the cross-signing keys.
func resets(h *house.House, localpart string) int {
	h.T.Helper()
	u, _ := h.Fake.User(localpart)
	return u.CrossSigningResets
}

// resetHouse has somebody at the page of a reset, who signed in a moment ago or longer before.
func resetHouse(t *testing.T, before time.Duration, changes ...house.Change) (*house.House, *house.Browser) {
	t.Helper()
	h := house.New(t, append([]house.Change{house.Unlimited}, changes...)...)
	h.Add("alice", "bob")
	if h.Config.Kind != matrixauth.SynapseReadOnly {
		h.Settle()
	}
	v := h.Browser()
	v.SignIn("alice", "")
	h.Clock.Move(before)
	v.Get(resetLink).WantPage(t, http.StatusOK, askReset)
	return h, v
}

// TestCrossSigningReset is the page to which Synapse and clients send people who replace their
// cross-signing keys (XS-3, XS-4, XS-7, ACCT-5, ACCT-6).
func TestCrossSigningReset(t *testing.T) {
	t.Run("XS-3 XS-7 says what it means, has the homeserver allow it, and sends back to the app", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		for _, part := range []string{"@alice:" + house.ServerName, "verify all your devices again", "lost for good", "Cancel", "Not you?"} {
			if !strings.Contains(house.Shown(v.At), part) {
				t.Errorf("the page lacks %q: %s", part, house.Shown(v.At))
			}
		}
		if strings.Contains(v.At.Body, `type="password"`) || resets(h, "alice") != 0 {
			t.Errorf("%d resets allowed by a link; the page is %s", resets(h, "alice"), v.At.Body)
		}
		v.Post(resetPath)
		done := v.At.Header.Get("Location")
		if resets(h, "alice") != 1 || resets(h, "bob") != 0 || !strings.HasPrefix(done, resetLink+"&allowed=") {
			t.Fatalf("%d and %d resets, and the way leads to %s", resets(h, "alice"), resets(h, "bob"), done)
		}
		v.Follow().WantPage(t, http.StatusOK, "Go back to your app")
		if text := house.Shown(v.At); !strings.Contains(text, "within 10 minutes") {
			t.Errorf("the page says %s", text)
		}
		h.Clock.Move(5*time.Minute + time.Second)
		v.Get(done).WantPage(t, http.StatusOK, "Go back to your app")
		if text := house.Shown(v.At); !strings.Contains(text, "within 4 minutes") {
			t.Errorf("the page says %s", text)
		}
		h.Clock.Move(5 * time.Minute)
		v.Get(done).WantPage(t, http.StatusOK, askReset)
		if resets(h, "alice") != 1 {
			t.Error("looking at the page allowed another one")
		}
	})
	t.Run("XS-7 a second click does no harm", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		page := v.At
		for range 2 {
			v.At = page
			v.Post(resetPath)
			v.Follow().WantPage(t, http.StatusOK, "Go back to your app")
		}
		if resets(h, "alice") != 2 {
			t.Errorf("%d resets", resets(h, "alice"))
		}
	})
	t.Run("a link cannot have the page say that it was allowed", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		v.Post(resetPath)
		receipt := v.At.Header.Get("Location")
		other := h.Browser()
		other.SignIn("alice", "")
		other.Get(receipt).WantPage(t, http.StatusOK, askReset)
		for _, made := range []string{"", "1", "99999999999", "99999999999.x", strings.Repeat("9", 300)} {
			v.Get(resetLink+"&allowed="+url.QueryEscape(made)).WantPage(t, http.StatusOK, askReset)
		}
	})
	t.Run("XS-4 ACCT-6 a browser that was found signed in is not enough", func(t *testing.T) {
		h, v := resetHouse(t, 5*time.Minute+time.Second)
		for _, fields := range [][]string{nil, {"password", ""}} {
			v.Post(resetPath, fields...).WantPage(t, http.StatusForbidden, askReset)
			if !strings.Contains(house.Shown(v.At), "This page had been open for a while") || !strings.Contains(v.At.Body, `type="password"`) {
				t.Errorf("the page is %s", v.At.Body)
			}
		}
		v.Post(resetPath, "password", "wrong").WantPage(t, http.StatusForbidden, askReset)
		if !strings.Contains(house.Shown(v.At), "Wrong password.") || resets(h, "alice") != 0 {
			t.Errorf("%d resets: %s", resets(h, "alice"), house.Shown(v.At))
		}
		v.Post(resetPath, "password", house.AlicesPassword)
		v.Follow().WantPage(t, http.StatusOK, "Go back to your app")
		if resets(h, "alice") != 1 {
			t.Errorf("%d resets", resets(h, "alice"))
		}
		// The password counts for five minutes, as one at the sign-in does, and not longer.
		h.Clock.Move(5 * time.Minute)
		v.Get(resetLink).WantPage(t, http.StatusOK, askReset)
		if strings.Contains(v.At.Body, `type="password"`) {
			t.Error("the password is asked for again at once")
		}
		h.Clock.Move(time.Second)
		v.Post(resetPath).WantPage(t, http.StatusForbidden, askReset)
	})
	t.Run("PW-13 tries are limited and cost as at the sign-in", func(t *testing.T) {
		h, v := resetHouse(t, time.Hour, house.Limits(matrixauth.Rate{Burst: 1000, PerMinute: 1000}, matrixauth.Rate{Burst: 2, PerMinute: 0.5}))
		for range 2 {
			before := house.Cost{Hashes: h.Hashes(), Statements: h.Store.Statements()}
			v.Post(resetPath, "password", "wrong").WantPage(t, http.StatusForbidden, askReset)
			// Two more than a sign-in: who is it that asks?
			if spent := (house.Cost{Hashes: h.Hashes() - before.Hashes, Statements: h.Store.Statements() - before.Statements}); spent != (house.Cost{Hashes: 1, Statements: 5}) {
				t.Errorf("it cost %+v", spent)
			}
		}
		v.Post(resetPath, "password", house.AlicesPassword).WantPage(t, http.StatusTooManyRequests, askReset)
		if text := house.Shown(v.At); v.At.Header.Get("Retry-After") != "120" || !strings.Contains(text, "That was too many tries. Try again in 2 minutes.") || resets(h, "alice") != 0 {
			t.Errorf("%d resets: %v %s", resets(h, "alice"), v.At.Header, text)
		}
		h.Do(house.Call{Method: "POST", Path: house.LoginPath, Header: v.CookieHeader(), Body: house.LoginBody("alice", house.AlicesPassword, nil)}).
			Want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.Clock.Move(2 * time.Minute)
		v.Post(resetPath, "password", house.AlicesPassword)
		v.Follow().WantPage(t, http.StatusOK, "Go back to your app")
	})
	t.Run("ACCT-8 the action survives the sign-in, and saying that it is somebody else", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for _, action := range []string{"org.matrix.cross_signing_reset", "cross_signing_reset"} {
			v := h.Browser()
			v.Get("/account/"+house.Query("action", action)).WantTo(t, "/account/login"+house.Query("action", action))
			if to := v.SignIn("alice", house.Query("action", action)); to != "/account/"+house.Query("action", action) {
				t.Errorf("it leads to %s", to)
			}
			v.Follow().WantPage(t, http.StatusOK, askReset)
			v.Post("/account/logout", "action", house.Hidden(v.At.Body, "action")).WantTo(t, "/account/login?action=org.matrix.cross_signing_reset")
			v.Follow().WantPage(t, http.StatusOK, "Sign in")
			v.Post(resetPath).WantTo(t, "/account/login?action=org.matrix.cross_signing_reset")
		}
	})
	t.Run("the homeserver is down", func(t *testing.T) {
		h, v := resetHouse(t, time.Hour)
		h.Fake.Stop()
		v.Post(resetPath, "password", house.AlicesPassword).WantPage(t, http.StatusServiceUnavailable, askReset)
		if text := house.Shown(v.At); v.At.Header.Get("Retry-After") == "" || !strings.Contains(text, "Nothing was changed. Try again in 5 seconds.") || strings.Contains(v.At.Body, `type="password"`) {
			t.Errorf("%v %s", v.At.Header, v.At.Body)
		}
		h.Fake.Resume()
		v.Post(resetPath) // the password counts still
		v.Follow().WantPage(t, http.StatusOK, "Go back to your app")
		if resets(h, "alice") != 1 {
			t.Errorf("%d resets", resets(h, "alice"))
		}
	})
	t.Run("is never done later by itself", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		h.Fake.Stop()
		v.Post(resetPath).WantPage(t, http.StatusServiceUnavailable, askReset)
		h.Fake.Resume()
		h.Settle()
		if resets(h, "alice") != 0 {
			t.Errorf("%d resets", resets(h, "alice"))
		}
	})
	t.Run("nothing is written to a homeserver that is read-only", func(t *testing.T) {
		h, v := resetHouse(t, 0, func(c *matrixauth.Config) { c.Kind = matrixauth.SynapseReadOnly })
		v.Post(resetPath).WantPage(t, http.StatusServiceUnavailable, askReset)
		if len(h.Fake.Calls("allow_cross_signing_reset")) != 0 {
			t.Error("it was written")
		}
	})
	t.Run("HTTP-3 by our form alone, and a form of before another sign-in leads back", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		old := v.At
		header := house.SameOriginForm()
		header.Set("Sec-Fetch-Site", "cross-site")
		v.Ask(http.MethodPost, resetPath, house.Form("csrf", v.Token()), header).WantPage(t, http.StatusForbidden, "Please try again")
		signInAgain(v, "bob")
		v.At = old
		v.Post(resetPath).WantTo(t, resetLink+"&stale=1")
		v.Follow().WantPage(t, http.StatusOK, askReset)
		if text := house.Shown(v.At); !strings.Contains(text, "@bob:"+house.ServerName) || !strings.Contains(text, "You signed in again") {
			t.Errorf("the page says %s", text)
		}
		v.Get(resetPath).WantPage(t, http.StatusMethodNotAllowed, "This address cannot be opened so")
		if resets(h, "alice")+resets(h, "bob") != 0 {
			t.Error("it was allowed")
		}
	})
	t.Run("MOD-7 locked", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		v.Post(resetPath).WantPage(t, http.StatusForbidden, "This account is locked")
		v.Get(resetLink).WantPage(t, http.StatusForbidden, "This account is locked")
		if resets(h, "alice") != 0 {
			t.Error("it was allowed")
		}
	})
	t.Run("in German", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		v.Language = "de"
		v.Get(resetLink).WantPage(t, http.StatusOK, "Ihre digitale Identität zurücksetzen?")
		v.Post(resetPath)
		v.Follow().WantPage(t, http.StatusOK, "Gehen Sie zu Ihrer App zurück")
		if resets(h, "alice") != 1 {
			t.Errorf("%d resets", resets(h, "alice"))
		}
	})
}

// signInAgain signs in as somebody else in the same browser.
func signInAgain(v *house.Browser, user string) {
	v.House.T.Helper()
	v.Get("/account/")
	v.Post("/account/login", "username", user, "password", house.AlicesPassword).WantTo(v.House.T, "/account/")
}

// TestAllowReset: operators allow a reset for those who cannot prove who they are any more.
func TestAllowReset(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "gone")
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	h.Settle()
	allowed := house.Act(h, matrixauth.AllowReset, matrixauth.Name{User: "@alice:" + house.ServerName})
	if allowed.MatrixID != "@alice:"+house.ServerName || !allowed.Until.Equal(testkit.Start.Add(10*time.Minute)) || resets(h, "alice") != 1 {
		t.Errorf("got %+v, %d resets", allowed, resets(h, "alice"))
	}
	for name, want := range map[string]string{"nobody": "there is no account", "gone": "deactivated"} {
		if _, err := matrixauth.AllowReset.Do(t.Context(), h.Ops, matrixauth.Name{User: name}); err == nil || !house.IsRefused(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.Fake.Stop()
	if _, err := matrixauth.AllowReset.Do(t.Context(), h.Ops, matrixauth.Name{User: "alice"}); err == nil || house.IsRefused(err) {
		t.Errorf("with the homeserver down: %v", err)
	}
}
