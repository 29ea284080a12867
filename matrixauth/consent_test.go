package matrixauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// signedInApp is alice with an app that she is signed in to, and need not be asked about.
type signedInApp struct {
	*house
	browser *guest
	tokens  tokens
	session string
}

func newSignedInApp(t *testing.T) *signedInApp {
	t.Helper()
	a := &signedInApp{house: newOAuthHouse(t)}
	a.browser = a.signedInAs("alice")
	a.house.tokens(a.exchange("app", a.browser.consent(params("app", "scope", deviceScope("TABLET")))))
	a.tokens = a.house.tokens(a.exchange("app", a.browser.consent(params("app"))))
	a.must(a.store.View(context.Background(), func(tx *store.Tx) error {
		s, err := tx.LiveSessionOnDevice(a.userID("alice"), "PHONE")
		a.session = s.ID
		return err
	}))
	return a
}

// outcome is what prompt=none gives in a browser: "code", or an error.
func (a *signedInApp) outcome(b *guest, client string) string {
	a.t.Helper()
	got, _ := b.silently(params(client, "scope", deviceScope("NEXT")))
	if got.Has("code") {
		return "code"
	}
	return got.Get("error")
}

// TestSignOutWithdrawsConsent: an app that was signed out is not in again without a question (AUTHZ-18,
// LEG-38).
func TestSignOutWithdrawsConsent(t *testing.T) {
	const asks, keeps, out = "consent_required", "code", "login_required"
	for name, c := range map[string]struct {
		end func(a *signedInApp)
		// here is what prompt=none gives in the browser, anew in one that signs in afterwards, other there for another
		// client; code is whether a code that was given before is exchanged.
		here, anew, other string
		code              bool
	}{
		"the account page": {func(a *signedInApp) {
			if got := a.browser.submit("/account/sessions/end", "session", a.session); got.status != http.StatusSeeOther {
				a.t.Fatal(got.status)
			}
		}, asks, asks, keeps, false},
		"logout": {func(a *signedInApp) { a.logout(a.tokens.AccessToken).want(a.t, http.StatusOK, "") }, asks, asks, keeps, false},
		"logout of everything": {func(a *signedInApp) {
			a.logoutAll(a.tokens.AccessToken).want(a.t, http.StatusOK, "")
		}, out, asks, keeps, false},
		"revocation of an access token": {func(a *signedInApp) {
			a.do(call{method: http.MethodPost, path: revokePath, header: formType, body: form("token", a.tokens.AccessToken)}).shows(a.t, http.StatusOK, "")
		}, asks, asks, keeps, false},
		"revocation of a refresh token": {func(a *signedInApp) {
			a.do(call{method: http.MethodPost, path: revokePath, header: formType, body: form("token", a.tokens.RefreshToken)}).shows(a.t, http.StatusOK, "")
		}, asks, asks, keeps, false},
		"an operator": {func(a *signedInApp) { act(a.house, EndSessions, SessionsToEnd{Session: a.session}) }, asks, asks, keeps, false},
		"an operator, everywhere": {func(a *signedInApp) {
			act(a.house, EndSessions, SessionsToEnd{User: "alice"})
		}, out, asks, keeps, false},
		"a new password": {func(a *signedInApp) {
			act(a.house, SetPassword, NameAndPassword{Name: Name{User: "alice"}, Password: "a new password"})
		}, out, asks, asks, false},
		"deactivation": {func(a *signedInApp) {
			act(a.house, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
			act(a.house, ReactivateUser, Name{User: "alice"})
			a.settle()
		}, out, asks, asks, false},
		"a stolen refresh token": {func(a *signedInApp) {
			next := a.house.tokens(a.renew("app", a.tokens.RefreshToken))
			a.introspect(next.AccessToken)
			a.clock.Move(2 * time.Minute)
			a.renew("app", a.tokens.RefreshToken).shows(a.t, http.StatusBadRequest, "invalid_grant")
		}, asks, asks, keeps, false},
		"another sign-in on the device": {func(a *signedInApp) {
			a.house.tokens(a.exchange("app", a.browser.consent(params("app"))))
		}, keeps, keeps, keeps, true},
		"a sign-out of another app": {func(a *signedInApp) {
			other := a.oauthSession("alice", "other", "DESK")
			a.logout(other.AccessToken).want(a.t, http.StatusOK, "")
		}, keeps, keeps, asks, true},
		"a sign-out of somebody else": {func(a *signedInApp) {
			bob := a.oauthSession("bob", "app", "BOBPHONE")
			a.logout(bob.AccessToken).want(a.t, http.StatusOK, "")
		}, keeps, keeps, keeps, true},
		"a lock that is lifted": {func(a *signedInApp) {
			act(a.house, LockUser, Name{User: "alice"})
			act(a.house, UnlockUser, Name{User: "alice"})
		}, keeps, keeps, keeps, true},
		"a sign-out of the browser": {func(a *signedInApp) {
			a.browser.submit("/account/logout").shows(a.t, http.StatusSeeOther, "")
		}, out, keeps, keeps, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			a.register("other", "")
			a.browser.consent(params("other", "scope", deviceScope("DESK")))
			waiting := a.browser.request(params("app", "scope", deviceScope("WAITS")))
			silent, _ := a.browser.silently(params("app", "scope", deviceScope("SILENT")))
			c.end(a)
			a.clock.Move(time.Second)
			if got := a.outcome(a.browser, "app"); got != c.here {
				t.Errorf("in the same browser: %s", got)
			}
			next := a.signedInAs("alice")
			if got := a.outcome(next, "app"); got != c.anew {
				t.Errorf("after a new sign-in: %s", got)
			}
			if got := a.outcome(next, "other"); got != c.other {
				t.Errorf("for another app: %s", got)
			}
			// What was asked for before must ask again, and a code of before is worth nothing.
			if asked := next.get(consentPath+"?request="+waiting).status == http.StatusOK; asked != (c.anew == asks) {
				t.Errorf("the request that waited is asked about: %v", asked)
			}
			if got := a.exchange("app", silent.Get("code")); got.status == http.StatusOK != c.code {
				t.Errorf("the code of before: %d %s", got.status, got.body)
			}
		})
	}
}

// TestSignOutLeavesNoCode: a code dies with everything, even if its browser signed in anew since.
func TestSignOutLeavesNoCode(t *testing.T) {
	for name, end := range map[string]func(a *signedInApp){
		"logout of everything":    func(a *signedInApp) { a.logoutAll(a.tokens.AccessToken).want(a.t, http.StatusOK, "") },
		"an operator, everywhere": func(a *signedInApp) { act(a.house, EndSessions, SessionsToEnd{User: "alice"}) },
		"a new password": func(a *signedInApp) {
			act(a.house, SetPassword, NameAndPassword{Name: Name{User: "alice"}, Password: "a new password"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			code := a.browser.consent(params("app", "scope", deviceScope("SLEEVE"), "prompt", "consent"))
			_, err := a.browsers.Start(t.Context(), browser.Start{
				Proof: a.proof("alice"), Value: model.NewBrowserValue(), Replaced: a.browser.value(),
			})
			a.must(err)
			end(a)
			a.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
		})
	}
	// Who was asked a moment ago said yes to that app, whatever ends beside it.
	t.Run("a sign-out of one session leaves a code that was asked for", func(t *testing.T) {
		a := newSignedInApp(t)
		code := a.browser.consent(params("app", "scope", deviceScope("ASKED"), "prompt", "consent"))
		a.logout(a.tokens.AccessToken).want(t, http.StatusOK, "")
		a.house.tokens(a.exchange("app", code))
	})
}

// TestWithdrawConsent: consents that are remembered stand on the account page and can be taken back there, and
// by an operator; the app asks again, a code that it has not exchanged is worthless, and sessions go on.
func TestWithdrawConsent(t *testing.T) {
	const withdraw = "/account/consents/withdraw"
	for name, take := range map[string]func(a *signedInApp){
		"at the account page": func(a *signedInApp) {
			got := a.browser.submit(withdraw, "client", "app")
			if got.status != http.StatusSeeOther || got.header.Get("Location") != "/account/consents/withdrawn" {
				a.t.Fatalf("got %d to %q", got.status, got.header.Get("Location"))
			}
			a.browser.get("/account/consents/withdrawn").shows(a.t, http.StatusOK, "The app has to ask again")
			// A second click changes nothing.
			a.browser.submit(withdraw, "client", "app").shows(a.t, http.StatusSeeOther, "")
		},
		"by an operator": func(a *signedInApp) {
			if done := act(a.house, WithdrawConsents, Withdrawal{Name: Name{User: "alice"}, ClientID: "app"}); done.Consents != 1 {
				a.t.Errorf("%+v", done)
			}
			_, err := WithdrawConsents.Do(a.t.Context(), a.ops, Withdrawal{Name: Name{User: "alice"}, ClientID: "app"})
			if !errors.Is(err, model.ConsentNotFound) {
				a.t.Errorf("a second time: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			a.register("other", "")
			a.oauthSession("alice", "other", "DESK")
			asked := a.browser.consent(params("app", "scope", deviceScope("ASKED"), "prompt", "consent"))
			silent, _ := a.browser.silently(params("app", "scope", deviceScope("SILENT")))
			take(a)
			for _, code := range []string{asked, silent.Get("code")} {
				a.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
			}
			if got := a.outcome(a.browser, "app"); got != "consent_required" {
				t.Errorf("the app: %s", got)
			}
			if got := a.outcome(a.browser, "other"); got != "code" {
				t.Errorf("another app: %s", got)
			}
			a.wantActive(a.tokens.AccessToken, "PHONE")
		})
	}
	t.Run("all, by an operator", func(t *testing.T) {
		a := newSignedInApp(t)
		a.register("other", "")
		a.oauthSession("alice", "other", "DESK")
		a.oauthSession("bob", "app", "BOBPHONE")
		if done := act(a.house, WithdrawConsents, Withdrawal{Name: Name{User: "alice"}, All: true}); done.Consents != 2 {
			t.Errorf("%+v", done)
		}
		for _, client := range []string{"app", "other"} {
			if got := a.outcome(a.browser, client); got != "consent_required" {
				t.Errorf("%s: %s", client, got)
			}
		}
		if left := act(a.house, ListConsents, Name{User: "bob"}); len(left) != 1 {
			t.Errorf("of bob %v is left", left)
		}
	})
	t.Run("the list", func(t *testing.T) {
		a := newSignedInApp(t)
		a.oauthSession("bob", "app", "BOBPHONE")
		want := []Consent{{
			User: "alice", ClientID: "app", ClientName: "An App", RedirectURI: webCallback, Scope: model.ScopeAPI, GrantedAt: a.clock.Now(),
		}}
		if diff := cmp.Diff(want, act(a.house, ListConsents, Name{User: "alice"})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		page := a.browser.get("/account/")
		if text := shown(page); !strings.Contains(text, "Apps that need not ask") || !strings.Contains(text, "An App app.example.org · agreed to within the last day") {
			t.Errorf("the page says %s", text)
		}
		a.clock.Move(49 * time.Hour)
		if text := shown(a.browser.get("/account/")); !strings.Contains(text, "agreed to 2 days ago") {
			t.Errorf("the page says %s", text)
		}
		if text := shown(a.signedInAs("bob").get("/account/")); strings.Count(text, "· agreed to") != 1 {
			t.Errorf("bob's page says %s", text)
		}
		// A client that is gone is known by where it was.
		a.must(a.store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.SaveConsent(model.Consent{UserID: a.userID("alice"), ClientID: "gone", RedirectURI: "https://gone.example/cb", Scope: model.ScopeAPI})
		}))
		if text := shown(a.browser.get("/account/")); !strings.Contains(text, "Unnamed app gone.example") {
			t.Errorf("the page says %s", text)
		}
	})
	t.Run("not somebody else's, and not by another site", func(t *testing.T) {
		a := newSignedInApp(t)
		a.signedInAs("bob").submit(withdraw, "client", "app").shows(t, http.StatusSeeOther, "")
		a.house.browserWith(model.NewBrowserValue()).submit(withdraw, "client", "app").shows(t, http.StatusSeeOther, "")
		a.browser.submit(withdraw).shows(t, http.StatusBadRequest, "")
		header := a.browser.cookieHeader()
		header["Content-Type"], header["Sec-Fetch-Site"] = formType["Content-Type"], []string{"cross-site"}
		a.do(call{method: http.MethodPost, path: withdraw, header: header, body: form("client", "app", web.FormField, web.FormToken(a.browser.value()))}).shows(t, http.StatusForbidden, "")
		header["Sec-Fetch-Site"] = []string{"same-origin"}
		a.do(call{method: http.MethodPost, path: withdraw, header: header, body: form("client", "app")}).shows(t, http.StatusForbidden, "")
		if got := a.outcome(a.browser, "app"); got != "code" {
			t.Errorf("%s", got)
		}
	})
}

// TestConsentHeadline: the heading says who asks. A name that is somebody else's address is not who asks.
func TestConsentHeadline(t *testing.T) { // AUTHZ-19, HTTP-9
	h := newOAuthHouse(t)
	b := h.signedInAs("alice")
	for name, want := range map[string]string{
		"Element": "Element", "app.element.io": "app.example.org", "Element (https://app.element.io)": "app.example.org", "@admin:example.test": "app.example.org", "app.example.org": "app.example.org",
	} {
		id := h.register(model.NewID(h.clock.Now()), "", func(m *model.ClientMetadata) { m.Name = name })
		request := b.request(params(id))
		asked, login := b.get(consentPath+"?request="+request), h.guest().get("/account/login?request="+request)
		if !strings.Contains(shown(asked), "Continue to "+want+" ?") || !strings.Contains(asked.body, "<title>Continue to "+want+"?") || !strings.Contains(shown(login), "to continue to "+want) {
			t.Errorf("%s: %s\n%s", name, shown(asked), shown(login))
		}
		if want != name && strings.Contains(asked.body+login.body, name) {
			t.Errorf("%s is shown", name)
		}
		b.consent(params(id, "scope", deviceScope("NEXT")))
		if text := shown(b.get("/account/")); want != name && strings.Contains(text, name) {
			t.Errorf("the account page shows %s", text)
		}
	}
}
