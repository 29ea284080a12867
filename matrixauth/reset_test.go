package matrixauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

const (
	resetLink = "/account/?action=org.matrix.cross_signing_reset"
	resetPath = "/account/cross-signing-reset"
	askReset  = "Reset your digital identity?"
)

// resets is how often the homeserver was told to let a user's clients replace the cross-signing keys.
func (h *house) resets(localpart string) int {
	h.t.Helper()
	u, _ := h.fake.User(localpart)
	return u.CrossSigningResets
}

// resetHouse has somebody at the page of a reset, who signed in a moment ago or longer before.
func resetHouse(t *testing.T, before time.Duration, changes ...change) (*house, *guest) {
	t.Helper()
	h := newHouse(t, append([]change{unlimited}, changes...)...)
	h.add("alice", "bob")
	if h.config.Kind != SynapseReadOnly {
		h.settle()
	}
	v := h.guest()
	v.signIn("alice", "")
	h.clock.Move(before)
	v.get(resetLink).wantPage(t, http.StatusOK, askReset)
	return h, v
}

// TestCrossSigningReset is the page to which Synapse and clients send people who replace their
// cross-signing keys (XS-3, XS-4, XS-7, ACCT-5, ACCT-6).
func TestCrossSigningReset(t *testing.T) {
	t.Run("XS-3 XS-7 says what it means, has the homeserver allow it, and sends back to the app", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		for _, part := range []string{"@alice:" + serverName, "verify all your devices again", "lost for good", "Cancel", "Not you?"} {
			if !strings.Contains(shown(v.at), part) {
				t.Errorf("the page lacks %q: %s", part, shown(v.at))
			}
		}
		if strings.Contains(v.at.body, `type="password"`) || h.resets("alice") != 0 {
			t.Errorf("%d resets allowed by a link; the page is %s", h.resets("alice"), v.at.body)
		}
		v.post(resetPath)
		done := v.at.header.Get("Location")
		if h.resets("alice") != 1 || h.resets("bob") != 0 || !strings.HasPrefix(done, resetLink+"&allowed=") {
			t.Fatalf("%d and %d resets, and the way leads to %s", h.resets("alice"), h.resets("bob"), done)
		}
		v.follow().wantPage(t, http.StatusOK, "Go back to your app")
		if text := shown(v.at); !strings.Contains(text, "within 10 minutes") {
			t.Errorf("the page says %s", text)
		}
		h.clock.Move(5*time.Minute + time.Second)
		v.get(done).wantPage(t, http.StatusOK, "Go back to your app")
		if text := shown(v.at); !strings.Contains(text, "within 4 minutes") {
			t.Errorf("the page says %s", text)
		}
		h.clock.Move(5 * time.Minute)
		v.get(done).wantPage(t, http.StatusOK, askReset)
		if h.resets("alice") != 1 {
			t.Error("looking at the page allowed another one")
		}
	})
	t.Run("XS-7 a second click does no harm", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		page := v.at
		for range 2 {
			v.at = page
			v.post(resetPath)
			v.follow().wantPage(t, http.StatusOK, "Go back to your app")
		}
		if h.resets("alice") != 2 {
			t.Errorf("%d resets", h.resets("alice"))
		}
	})
	t.Run("a link cannot have the page say that it was allowed", func(t *testing.T) {
		h, v := resetHouse(t, time.Minute)
		v.post(resetPath)
		receipt := v.at.header.Get("Location")
		other := h.guest()
		other.signIn("alice", "")
		other.get(receipt).wantPage(t, http.StatusOK, askReset)
		for _, made := range []string{"", "1", "99999999999", "99999999999.x", strings.Repeat("9", 300)} {
			v.get(resetLink+"&allowed="+url.QueryEscape(made)).wantPage(t, http.StatusOK, askReset)
		}
	})
	t.Run("XS-4 ACCT-6 a browser that was found signed in is not enough", func(t *testing.T) {
		h, v := resetHouse(t, 5*time.Minute+time.Second)
		for _, fields := range [][]string{nil, {"password", ""}} {
			v.post(resetPath, fields...).wantPage(t, http.StatusForbidden, askReset)
			if !strings.Contains(shown(v.at), "This page had been open for a while") || !strings.Contains(v.at.body, `type="password"`) {
				t.Errorf("the page is %s", v.at.body)
			}
		}
		v.post(resetPath, "password", "wrong").wantPage(t, http.StatusForbidden, askReset)
		if !strings.Contains(shown(v.at), "Wrong password.") || h.resets("alice") != 0 {
			t.Errorf("%d resets: %s", h.resets("alice"), shown(v.at))
		}
		v.post(resetPath, "password", alicesPassword)
		v.follow().wantPage(t, http.StatusOK, "Go back to your app")
		if h.resets("alice") != 1 {
			t.Errorf("%d resets", h.resets("alice"))
		}
		// The password counts for five minutes, as one at the sign-in does, and not longer.
		h.clock.Move(5 * time.Minute)
		v.get(resetLink).wantPage(t, http.StatusOK, askReset)
		if strings.Contains(v.at.body, `type="password"`) {
			t.Error("the password is asked for again at once")
		}
		h.clock.Move(time.Second)
		v.post(resetPath).wantPage(t, http.StatusForbidden, askReset)
	})
	t.Run("PW-13 tries are limited and cost as at the sign-in", func(t *testing.T) {
		h, v := resetHouse(t, time.Hour, limits(Rate{Burst: 1000, PerMinute: 1000}, Rate{Burst: 2, PerMinute: 0.5}))
		for range 2 {
			before := cost{h.hashes(), h.store.Statements()}
			v.post(resetPath, "password", "wrong").wantPage(t, http.StatusForbidden, askReset)
			// Two more than a sign-in: who is it that asks?
			if spent := (cost{h.hashes() - before.hashes, h.store.Statements() - before.statements}); spent != (cost{1, 5}) {
				t.Errorf("it cost %+v", spent)
			}
		}
		v.post(resetPath, "password", alicesPassword).wantPage(t, http.StatusTooManyRequests, askReset)
		if text := shown(v.at); v.at.header.Get("Retry-After") != "120" || !strings.Contains(text, "That was too many tries. Try again in 2 minutes.") || h.resets("alice") != 0 {
			t.Errorf("%d resets: %v %s", h.resets("alice"), v.at.header, text)
		}
		h.do(call{method: "POST", path: loginPath, header: v.cookieHeader(), body: loginBody("alice", alicesPassword, nil)}).
			want(t, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
		h.clock.Move(2 * time.Minute)
		v.post(resetPath, "password", alicesPassword)
		v.follow().wantPage(t, http.StatusOK, "Go back to your app")
	})
	t.Run("ACCT-8 the action survives the sign-in, and saying that it is somebody else", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for _, action := range []string{"org.matrix.cross_signing_reset", "cross_signing_reset"} {
			v := h.guest()
			v.get("/account/"+query("action", action)).wantTo(t, "/account/login"+query("action", action))
			if to := v.signIn("alice", query("action", action)); to != "/account/"+query("action", action) {
				t.Errorf("it leads to %s", to)
			}
			v.follow().wantPage(t, http.StatusOK, askReset)
			v.post("/account/logout", "action", hidden(v.at.body, "action")).wantTo(t, "/account/login?action=org.matrix.cross_signing_reset")
			v.follow().wantPage(t, http.StatusOK, "Sign in")
			v.post(resetPath).wantTo(t, "/account/login?action=org.matrix.cross_signing_reset")
		}
	})
	t.Run("the homeserver is down", func(t *testing.T) {
		h, v := resetHouse(t, time.Hour)
		h.fake.Stop()
		v.post(resetPath, "password", alicesPassword).wantPage(t, http.StatusServiceUnavailable, askReset)
		if text := shown(v.at); v.at.header.Get("Retry-After") == "" || !strings.Contains(text, "Nothing was changed. Try again in 5 seconds.") || strings.Contains(v.at.body, `type="password"`) {
			t.Errorf("%v %s", v.at.header, v.at.body)
		}
		h.fake.Resume()
		v.post(resetPath) // the password counts still
		v.follow().wantPage(t, http.StatusOK, "Go back to your app")
		if h.resets("alice") != 1 {
			t.Errorf("%d resets", h.resets("alice"))
		}
	})
	t.Run("is never done later by itself", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		h.fake.Stop()
		v.post(resetPath).wantPage(t, http.StatusServiceUnavailable, askReset)
		h.fake.Resume()
		h.settle()
		if h.resets("alice") != 0 {
			t.Errorf("%d resets", h.resets("alice"))
		}
	})
	t.Run("nothing is written to a homeserver that is read-only", func(t *testing.T) {
		h, v := resetHouse(t, 0, func(c *Config) { c.Kind = SynapseReadOnly })
		v.post(resetPath).wantPage(t, http.StatusServiceUnavailable, askReset)
		if len(h.fake.Calls("allow_cross_signing_reset")) != 0 {
			t.Error("it was written")
		}
	})
	t.Run("HTTP-3 by our form alone, and a form of before another sign-in leads back", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		old := v.at
		header := sameOriginForm()
		header.Set("Sec-Fetch-Site", "cross-site")
		v.ask(http.MethodPost, resetPath, form("csrf", v.token()), header).wantPage(t, http.StatusForbidden, "Please try again")
		v.signInAgain("bob")
		v.at = old
		v.post(resetPath).wantTo(t, resetLink+"&stale=1")
		v.follow().wantPage(t, http.StatusOK, askReset)
		if text := shown(v.at); !strings.Contains(text, "@bob:"+serverName) || !strings.Contains(text, "You signed in again") {
			t.Errorf("the page says %s", text)
		}
		v.get(resetPath).wantPage(t, http.StatusMethodNotAllowed, "This address cannot be opened so")
		if h.resets("alice")+h.resets("bob") != 0 {
			t.Error("it was allowed")
		}
	})
	t.Run("MOD-7 locked", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		act(h, LockUser, Name{User: "alice"})
		v.post(resetPath).wantPage(t, http.StatusForbidden, "This account is locked")
		v.get(resetLink).wantPage(t, http.StatusForbidden, "This account is locked")
		if h.resets("alice") != 0 {
			t.Error("it was allowed")
		}
	})
	t.Run("in German", func(t *testing.T) {
		h, v := resetHouse(t, 0)
		v.language = "de"
		v.get(resetLink).wantPage(t, http.StatusOK, "Ihre digitale Identität zurücksetzen?")
		v.post(resetPath)
		v.follow().wantPage(t, http.StatusOK, "Gehen Sie zu Ihrer App zurück")
		if h.resets("alice") != 1 {
			t.Errorf("%d resets", h.resets("alice"))
		}
	})
}

// signInAgain signs in as somebody else in the same browser.
func (v *guest) signInAgain(user string) {
	v.h.t.Helper()
	v.get("/account/")
	v.post("/account/login", "username", user, "password", alicesPassword).wantTo(v.h.t, "/account/")
}

// TestAllowReset: operators allow a reset for those who cannot prove who they are any more.
func TestAllowReset(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "gone")
	act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
	h.settle()
	allowed := act(h, AllowReset, Name{User: "@alice:" + serverName})
	if allowed.MatrixID != "@alice:"+serverName || !allowed.Until.Equal(testkit.Start.Add(10*time.Minute)) || h.resets("alice") != 1 {
		t.Errorf("got %+v, %d resets", allowed, h.resets("alice"))
	}
	for name, want := range map[string]string{"nobody": "there is no account", "gone": "deactivated"} {
		if _, err := AllowReset.Do(t.Context(), h.ops, Name{User: name}); err == nil || !isRefused(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.fake.Stop()
	if _, err := AllowReset.Do(t.Context(), h.ops, Name{User: "alice"}); err == nil || isRefused(err) {
		t.Errorf("with the homeserver down: %v", err)
	}
}
