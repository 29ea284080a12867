package account_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// signedInApp is alice with an app that she is signed in to, and need not be asked about.
type signedInApp struct {
	*house.House
	browser *house.Browser
	tokens  house.Tokens
	session string
}

func newSignedInApp(t *testing.T) *signedInApp {
	t.Helper()
	a := &signedInApp{House: house.WithApp(t)}
	a.browser = a.SignedInAs("alice")
	a.House.Tokens(a.Exchange("app", a.browser.Consent(house.Params("app", "scope", house.DeviceScope("TABLET")))))
	a.tokens = a.House.Tokens(a.Exchange("app", a.browser.Consent(house.Params("app"))))
	a.Must(a.Store.View(context.Background(), func(tx *store.Tx) error {
		s, err := tx.LiveSessionOnDevice(a.UserID("alice"), "PHONE")
		a.session = s.ID
		return err
	}))
	return a
}

// outcome is what prompt=none gives in a browser: "code", or an error.
func (a *signedInApp) outcome(b *house.Browser, client string) string {
	a.T.Helper()
	got, _ := b.Silently(house.Params(client, "scope", house.DeviceScope("NEXT")))
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
			if got := a.browser.Submit("/account/sessions/end", "session", a.session); got.Status != http.StatusSeeOther {
				a.T.Fatal(got.Status)
			}
		}, asks, asks, keeps, false},
		"logout": {func(a *signedInApp) { a.Logout(a.tokens.AccessToken).Want(a.T, http.StatusOK, "") }, asks, asks, keeps, false},
		"logout of everything": {func(a *signedInApp) {
			a.LogoutAll(a.tokens.AccessToken).Want(a.T, http.StatusOK, "")
		}, out, asks, keeps, false},
		"revocation of an access token": {func(a *signedInApp) {
			a.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", a.tokens.AccessToken)}).WantStatus(a.T, http.StatusOK)
		}, asks, asks, keeps, false},
		"revocation of a refresh token": {func(a *signedInApp) {
			a.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", a.tokens.RefreshToken)}).WantStatus(a.T, http.StatusOK)
		}, asks, asks, keeps, false},
		"an operator": {func(a *signedInApp) {
			house.Act(a.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{Session: a.session})
		}, asks, asks, keeps, false},
		"an operator, everywhere": {func(a *signedInApp) {
			house.Act(a.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"})
		}, out, asks, keeps, false},
		"a new password": {func(a *signedInApp) {
			house.Act(a.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "a new password"})
		}, out, asks, asks, false},
		"deactivation": {func(a *signedInApp) {
			house.Act(a.House, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
			house.Act(a.House, matrixauth.ReactivateUser, matrixauth.Name{User: "alice"})
			a.Settle()
		}, out, asks, asks, false},
		"a stolen refresh token": {func(a *signedInApp) {
			next := a.House.Tokens(a.Renew("app", a.tokens.RefreshToken))
			a.Introspect(next.AccessToken)
			a.Clock.Move(2 * time.Minute)
			a.Renew("app", a.tokens.RefreshToken).Shows(a.T, http.StatusBadRequest, "invalid_grant")
		}, keeps, keeps, keeps, true},
		"another sign-in on the device": {func(a *signedInApp) {
			a.House.Tokens(a.Exchange("app", a.browser.Consent(house.Params("app"))))
		}, keeps, keeps, keeps, true},
		"a sign-out of another app": {func(a *signedInApp) {
			other := a.OauthSession("alice", "other", "DESK")
			a.Logout(other.AccessToken).Want(a.T, http.StatusOK, "")
		}, keeps, keeps, asks, true},
		"a sign-out of somebody else": {func(a *signedInApp) {
			bob := a.OauthSession("bob", "app", "BOBPHONE")
			a.Logout(bob.AccessToken).Want(a.T, http.StatusOK, "")
		}, keeps, keeps, keeps, true},
		"a lock that is lifted": {func(a *signedInApp) {
			house.Act(a.House, matrixauth.LockUser, matrixauth.Name{User: "alice"})
			house.Act(a.House, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		}, keeps, keeps, keeps, true},
		"a sign-out of the browser": {func(a *signedInApp) {
			a.browser.Submit("/account/logout").WantStatus(a.T, http.StatusSeeOther)
		}, out, keeps, keeps, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			a.Register("other", "")
			a.browser.Consent(house.Params("other", "scope", house.DeviceScope("DESK")))
			waiting := a.browser.Request(house.Params("app", "scope", house.DeviceScope("WAITS")))
			silent, _ := a.browser.Silently(house.Params("app", "scope", house.DeviceScope("SILENT")))
			c.end(a)
			a.Clock.Move(time.Second)
			if got := a.outcome(a.browser, "app"); got != c.here {
				t.Errorf("in the same browser: %s", got)
			}
			next := a.SignedInAs("alice")
			if got := a.outcome(next, "app"); got != c.anew {
				t.Errorf("after a new sign-in: %s", got)
			}
			if got := a.outcome(next, "other"); got != c.other {
				t.Errorf("for another app: %s", got)
			}
			// What was asked for before must ask again, and a code of before is worth nothing.
			if asked := next.Get(house.ConsentPath+"?request="+waiting).Status == http.StatusOK; asked != (c.anew == asks) {
				t.Errorf("the request that waited is asked about: %v", asked)
			}
			if got := a.Exchange("app", silent.Get("code")); got.Status == http.StatusOK != c.code {
				t.Errorf("the code of before: %d %s", got.Status, got.Body)
			}
		})
	}
}

// TestSignOutLeavesNoCode: a code dies with everything, even if its browser signed in anew since.
func TestSignOutLeavesNoCode(t *testing.T) {
	for name, end := range map[string]func(a *signedInApp){
		"logout of everything": func(a *signedInApp) { a.LogoutAll(a.tokens.AccessToken).Want(a.T, http.StatusOK, "") },
		"an operator, everywhere": func(a *signedInApp) {
			house.Act(a.House, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"})
		},
		"a new password": func(a *signedInApp) {
			house.Act(a.House, matrixauth.SetPassword, matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: "a new password"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			code := a.browser.Consent(house.Params("app", "scope", house.DeviceScope("SLEEVE"), "prompt", "consent"))
			_, err := a.Browsers.Start(t.Context(), browser.Start{
				Proof: a.Proof("alice"), Value: model.NewBrowserValue(), Replaced: a.browser.Value(),
			})
			a.Must(err)
			end(a)
			a.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
		})
	}
	// Who was asked a moment ago said yes to that app, whatever ends beside it.
	t.Run("a sign-out of one session leaves a code that was asked for", func(t *testing.T) {
		a := newSignedInApp(t)
		code := a.browser.Consent(house.Params("app", "scope", house.DeviceScope("ASKED"), "prompt", "consent"))
		a.Logout(a.tokens.AccessToken).Want(t, http.StatusOK, "")
		a.House.Tokens(a.Exchange("app", code))
	})
}

// TestWithdrawConsent: consents that are remembered stand on the account page and can be taken back there, and
// by an operator; the app asks again, a code that it has not exchanged is worthless, and sessions go on.
func TestWithdrawConsent(t *testing.T) {
	const withdraw = "/account/consents/withdraw"
	for name, take := range map[string]func(a *signedInApp){
		"at the account page": func(a *signedInApp) {
			got := a.browser.Submit(withdraw, "client", "app")
			if got.Status != http.StatusSeeOther || got.Header.Get("Location") != "/account/consents/withdrawn" {
				a.T.Fatalf("got %d to %q", got.Status, got.Header.Get("Location"))
			}
			a.browser.Get("/account/consents/withdrawn").Shows(a.T, http.StatusOK, "The app has to ask again")
			// A second click changes nothing.
			a.browser.Submit(withdraw, "client", "app").WantStatus(a.T, http.StatusSeeOther)
		},
		"by an operator": func(a *signedInApp) {
			if done := house.Act(a.House, matrixauth.WithdrawConsents, matrixauth.Withdrawal{Name: matrixauth.Name{User: "alice"}, ClientID: "app"}); done.Consents != 1 {
				a.T.Errorf("%+v", done)
			}
			_, err := matrixauth.WithdrawConsents.Do(a.T.Context(), a.Ops, matrixauth.Withdrawal{Name: matrixauth.Name{User: "alice"}, ClientID: "app"})
			if !errors.Is(err, model.ConsentNotFound) {
				a.T.Errorf("a second time: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSignedInApp(t)
			a.Register("other", "")
			a.OauthSession("alice", "other", "DESK")
			asked := a.browser.Consent(house.Params("app", "scope", house.DeviceScope("ASKED"), "prompt", "consent"))
			silent, _ := a.browser.Silently(house.Params("app", "scope", house.DeviceScope("SILENT")))
			take(a)
			for _, code := range []string{asked, silent.Get("code")} {
				a.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
			}
			if got := a.outcome(a.browser, "app"); got != "consent_required" {
				t.Errorf("the app: %s", got)
			}
			if got := a.outcome(a.browser, "other"); got != "code" {
				t.Errorf("another app: %s", got)
			}
			a.WantActive(a.tokens.AccessToken, "PHONE")
		})
	}
	t.Run("all, by an operator", func(t *testing.T) {
		a := newSignedInApp(t)
		a.Register("other", "")
		a.OauthSession("alice", "other", "DESK")
		a.OauthSession("bob", "app", "BOBPHONE")
		if done := house.Act(a.House, matrixauth.WithdrawConsents, matrixauth.Withdrawal{Name: matrixauth.Name{User: "alice"}, All: true}); done.Consents != 2 {
			t.Errorf("%+v", done)
		}
		for _, client := range []string{"app", "other"} {
			if got := a.outcome(a.browser, client); got != "consent_required" {
				t.Errorf("%s: %s", client, got)
			}
		}
		if left := house.Act(a.House, matrixauth.ListConsents, matrixauth.Name{User: "bob"}); len(left) != 1 {
			t.Errorf("of bob %v is left", left)
		}
	})
	t.Run("the list", func(t *testing.T) {
		a := newSignedInApp(t)
		a.OauthSession("bob", "app", "BOBPHONE")
		want := []matrixauth.Consent{{
			User: "alice", ClientID: "app", ClientName: "An App", RedirectURI: house.WebCallback, Scope: model.ScopeAPI, GrantedAt: a.Clock.Now(),
		}}
		if diff := cmp.Diff(want, house.Act(a.House, matrixauth.ListConsents, matrixauth.Name{User: "alice"})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		page := a.browser.Get("/account/")
		if text := house.Shown(page); !strings.Contains(text, "Apps that need not ask") || !strings.Contains(text, "An App app.example.org · agreed to within the last day") {
			t.Errorf("the page says %s", text)
		}
		a.Clock.Move(49 * time.Hour)
		if text := house.Shown(a.browser.Get("/account/")); !strings.Contains(text, "agreed to 2 days ago") {
			t.Errorf("the page says %s", text)
		}
		if text := house.Shown(a.SignedInAs("bob").Get("/account/")); strings.Count(text, "· agreed to") != 1 {
			t.Errorf("bob's page says %s", text)
		}
		// A client that is gone is known by where it was.
		a.Must(a.Store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.SaveConsent(model.Consent{UserID: a.UserID("alice"), ClientID: "gone", RedirectURI: "https://gone.example/cb", Scope: model.ScopeAPI})
		}))
		if text := house.Shown(a.browser.Get("/account/")); !strings.Contains(text, "Unnamed app gone.example") {
			t.Errorf("the page says %s", text)
		}
	})
	t.Run("not somebody else's, and not by another site", func(t *testing.T) {
		a := newSignedInApp(t)
		a.SignedInAs("bob").Submit(withdraw, "client", "app").WantStatus(t, http.StatusSeeOther)
		a.House.BrowserWith(model.NewBrowserValue()).Submit(withdraw, "client", "app").WantStatus(t, http.StatusSeeOther)
		a.browser.Submit(withdraw).WantStatus(t, http.StatusBadRequest)
		header := a.browser.CookieHeader()
		header["Content-Type"], header["Sec-Fetch-Site"] = house.FormType["Content-Type"], []string{"cross-site"}
		a.Do(house.Call{Method: http.MethodPost, Path: withdraw, Header: header, Body: house.Form("client", "app", web.FormField, web.FormToken(a.browser.Value()))}).WantStatus(t, http.StatusForbidden)
		header["Sec-Fetch-Site"] = []string{"same-origin"}
		a.Do(house.Call{Method: http.MethodPost, Path: withdraw, Header: header, Body: house.Form("client", "app")}).WantStatus(t, http.StatusForbidden)
		if got := a.outcome(a.browser, "app"); got != "code" {
			t.Errorf("%s", got)
		}
	})
}
