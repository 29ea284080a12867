package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestAuthorizeErrors: what is told to the person, and what to the client.
func TestAuthorizeErrors(t *testing.T) {
	for name, changes := range map[string][]string{ // AUTHZ-3
		"no client":                 {"client_id", ""},
		"an unknown client":         {"client_id", "nobody"},
		"no redirect URI":           {"redirect_uri", ""}, // AUTHZ-6
		"another redirect URI":      {"redirect_uri", "https://app.example.org/callback"},
		"a redirect URI of another": {"redirect_uri", "https://evil.example/"},
	} {
		t.Run(name+" is a page", func(t *testing.T) {
			h := house.WithApp(t)
			a := h.SignedInAs("alice").Authorize(house.Params("app", changes...))
			if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" || strings.Contains(a.Body, "evil.example") {
				t.Errorf("got %d to %q: %s", a.Status, a.Header.Get("Location"), a.Body)
			}
			if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("X-Frame-Options") != "DENY" { // AUTHZ-17
				t.Errorf("headers %v", a.Header)
			}
		})
	}
	t.Run("a repeated parameter is a page", func(t *testing.T) { // AUTHZ-2
		h := house.WithApp(t)
		for _, name := range []string{"client_id", "redirect_uri", "state", "scope"} {
			values := house.Params("app")
			values.Add(name, "x")
			if a := h.SignedInAs("alice").Authorize(values); a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
				t.Errorf("%s: got %d to %q", name, a.Status, a.Header.Get("Location"))
			}
		}
	})
	for name, c := range map[string]struct {
		code    string
		changes []string
		// proven clients are told at once, where the request shows no page.
		proven bool
	}{
		"no response type":      {code: "invalid_request", changes: []string{"response_type", ""}},
		"an implicit grant":     {code: "unsupported_response_type", changes: []string{"response_type", "token"}}, // TOK-16
		"no challenge":          {code: "invalid_request", changes: []string{"code_challenge", ""}},
		"a plain challenge":     {code: "invalid_request", changes: []string{"code_challenge_method", "plain"}},
		"no scope":              {code: "invalid_scope", changes: []string{"scope", ""}},
		"two devices":           {code: "invalid_scope", changes: []string{"scope", house.PhoneScope + " " + model.ScopeDevicePrefix + "LAPTOP"}},
		"a request object":      {code: "request_not_supported", changes: []string{"request", "eyJ"}},
		"a request URI":         {code: "request_uri_not_supported", changes: []string{"request_uri", "https://evil.example/"}},
		"an unknown mode":       {code: "invalid_request", changes: []string{"response_mode", "jwt"}},
		"prompt=none and login": {code: "invalid_request", changes: []string{"prompt", "none login"}},
		"prompt=none, proven":   {code: "invalid_request", changes: []string{"prompt", "none login"}, proven: true},
	} {
		t.Run(name+" is offered to the client", func(t *testing.T) { // AUTHZ-21
			h := house.WithApp(t)
			if c.proven {
				h.Prove("app")
			}
			a := h.SignedInAs("alice").Authorize(house.Params("app", append([]string{"response_mode", "query"}, c.changes...)...))
			if c.proven {
				if got := h.SignedInAs("alice").Response(a).Get("error"); got != c.code {
					t.Errorf("told %q", got)
				}
				return
			}
			if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(a.Body, "&amp;error="+c.code+"&amp;") || !strings.Contains(a.Body, "&amp;iss=") {
				t.Errorf("got %d to %q: %s", a.Status, a.Header.Get("Location"), a.Body)
			}
		})
	}
	t.Run("administration for who may not administer", func(t *testing.T) { // SCOPE-13
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app", "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))
		b.Get(house.ConsentPath+"?request="+id).Shows(t, http.StatusBadRequest, "error=access_denied")
		b.Submit(house.ConsentPath, "request", id, "answer", "continue").WantStatus(t, http.StatusBadRequest)
	})
	t.Run("administration for who may", func(t *testing.T) {
		h := house.WithApp(t)
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
		b := h.SignedInAs("alice")
		got := h.Tokens(h.Exchange("app", b.Consent(house.Params("app", "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))))
		h.Introspect(got.AccessToken).Shows(t, http.StatusOK, model.ScopeSynapseAdmin)
		if strings.Contains(h.Introspect(got.AccessToken).Body, "device_id") {
			t.Error("a session without a device has one")
		}
	})
	t.Run("a request that is unknown or over is a page", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		h.Clock.Move(time.Hour)
		for _, id := range []string{"", "x", id} {
			b.Get(house.ConsentPath+"?request="+url.QueryEscape(id)).WantStatus(t, http.StatusBadRequest)
			b.Submit(house.ConsentPath, "request", id, "answer", "cancel").WantStatus(t, http.StatusBadRequest)
		}
	})
}

// TestPrompt is S10.
func TestPrompt(t *testing.T) {
	silent := func(b *house.Browser, changes ...string) url.Values {
		b.House.T.Helper()
		return b.Response(b.Authorize(house.Params("app", append([]string{"prompt", "none"}, changes...)...)))
	}
	wantError := func(t *testing.T, got url.Values, code string) {
		t.Helper()
		if got.Get("error") != code || got.Get("state") == "" || got.Get("iss") != house.Issuer {
			t.Errorf("got %v, want %s", got, code)
		}
	}
	t.Run("none", func(t *testing.T) { // OIDC-10
		h := house.WithApp(t)
		h.Prove("app")
		b := h.SignedInAs("alice")
		wantError(t, silent(h.Browser()), "login_required")
		wantError(t, silent(b), "consent_required")
		b.Consent(house.Params("app"))
		if got := silent(b); got.Get("code") == "" {
			t.Errorf("%v", got)
		}
		h.Clock.Move(time.Minute)
		wantError(t, silent(b, "max_age", "30"), "login_required") // OIDC-13
		if got := silent(b, "max_age", "60"); got.Get("code") == "" {
			t.Errorf("%v", got)
		}
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		wantError(t, silent(b), "login_required")
	})
	t.Run("none, for a client to which nobody ever consented", func(t *testing.T) { // AUTHZ-21
		h := house.WithApp(t)
		for _, b := range []*house.Browser{h.Browser(), h.SignedInAs("alice")} {
			for _, mode := range []string{"query", "fragment", "form_post"} {
				a := b.Authorize(house.Params("app", "prompt", "none", "response_mode", mode))
				if a.Status == http.StatusSeeOther || strings.Contains(a.Body, "<form") || !strings.Contains(house.Shown(a), "app.example.org") {
					t.Errorf("%s: got %d to %q: %s", mode, a.Status, a.Header.Get("Location"), a.Body)
				}
				if got, atOnce := b.Silently(house.Params("app", "response_mode", mode)); atOnce || got.Get("error") == "" || got.Get("state") == "" || got.Get("iss") != house.Issuer {
					t.Errorf("%s: %v", mode, got)
				}
			}
		}
		// To register again is no consent.
		h.Clock.Move(25 * time.Hour)
		h.Must(h.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.TouchClient("app") }))
		if _, atOnce := h.Browser().Silently(house.Params("app")); atOnce {
			t.Error("a client that registered twice is trusted")
		}
		h.SignedInAs("bob").Consent(house.Params("app"))
		if got, atOnce := h.Browser().Silently(house.Params("app")); !atOnce || got.Get("error") != "login_required" {
			t.Errorf("%v, at once %v", got, atOnce)
		}
	})
	t.Run("none, by a form that an app cannot take", func(t *testing.T) { // AUTHZ-9
		h := house.WithApp(t)
		h.Register("native", "", house.Native("org.example.app:/"))
		h.Prove("native")
		b := h.Browser()
		a := b.Authorize(house.Params("native", "redirect_uri", "org.example.app:/", "prompt", "none", "response_mode", "form_post"))
		if !strings.HasPrefix(a.Header.Get("Location"), "org.example.app:/?error=invalid_request") {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
	})
	for _, c := range []struct {
		name    string
		changes []string
	}{{"login", []string{"prompt", "login"}}, {"max_age", []string{"max_age", "0"}}} {
		t.Run(c.name+" asks for a fresh sign-in", func(t *testing.T) { // OIDC-11
			h := house.WithApp(t)
			b := h.SignedInAs("alice")
			h.Clock.Move(time.Second)
			id := b.Request(house.Params("app", c.changes...))
			for range 2 { // again after a reload
				if a := b.Get(house.ConsentPath + "?request=" + id); !strings.HasPrefix(a.Header.Get("Location"), "/account/login?") {
					t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
				}
				if a := b.Submit(house.ConsentPath, "request", id, "answer", "continue"); !strings.HasPrefix(a.Header.Get("Location"), "/account/login?") {
					t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
				}
			}
			h.Clock.Move(time.Second)
			h.SignedInAs("alice").Code(h.SignedInAs("alice").Submit(house.ConsentPath, "request", id, "answer", "continue"))
		})
	}
	t.Run("consent asks again", func(t *testing.T) { // OIDC-12
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		b.Consent(house.Params("app"))
		b.Get(house.ConsentPath+"?request="+b.Request(house.Params("app", "prompt", "consent"))).Shows(t, http.StatusOK, "@alice:example.test")
	})
	t.Run("a hint at another account is shown", func(t *testing.T) { // SESS-9, AUTHZ-25
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		b.Get(house.ConsentPath+"?request="+b.Request(house.Params("app", "login_hint", "mxid:@bob:example.test"))).Shows(t, http.StatusOK, "@bob:example.test")
	})
}
