package matrixauth_test

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
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

func TestCodeFlow(t *testing.T) {
	t.Run("begins a session that Synapse accepts", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		page := b.Get(house.ConsentPath + "?request=" + id)
		page.Shows(t, http.StatusOK, "")
		for _, word := range []string{"An App", "app.example.org", "@alice:example.test", "PHONE"} { // AUTHZ-19
			if !strings.Contains(house.Shown(page), word) {
				t.Errorf("the page does not say %q: %s", word, house.Shown(page))
			}
		}
		a := b.Submit(house.ConsentPath, "request", id, "answer", "continue")
		response := b.Response(a)
		if !strings.HasPrefix(a.Header.Get("Location"), house.WebCallback+"&code=") || response.Get("state") != "a state: with%20all/of it" || response.Get("iss") != house.Issuer {
			t.Errorf("back to %q", a.Header.Get("Location")) // AUTHZ-10, AUTHZ-11, AUTHZ-12
		}
		code := b.Code(a)
		exchanged := h.Exchange("app", code)
		got := h.Tokens(exchanged)
		if got.TokenType != "Bearer" || got.ExpiresIn != 300 || got.Scope != house.PhoneScope || !strings.HasPrefix(got.AccessToken, "mat_") || !strings.HasPrefix(got.RefreshToken, "mar_") {
			t.Errorf("%+v", got) // TOK-3, TOK-4
		}
		if exchanged.Header.Get("Cache-Control") != "no-store" || exchanged.Header.Get("Pragma") != "no-cache" { // TOK-2
			t.Errorf("headers %v", exchanged.Header)
		}
		house.WantWire(t, web.OpenOAuthWire, exchanged)
		h.WantActive(got.AccessToken, "PHONE")
		h.WantDevices("alice", "PHONE")
		h.Introspect(got.AccessToken).Shows(t, http.StatusOK, `"client_id":"app"`)
	})
	for mode, separator := range map[string]string{"query": "&", "fragment": "#", "": "&"} {
		t.Run("response_mode "+mode, func(t *testing.T) { // AUTHZ-9, AUTHZ-10
			h := house.WithApp(t)
			b := h.SignedInAs("alice")
			a := b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "response_mode", mode)), "answer", "continue")
			if !strings.HasPrefix(a.Header.Get("Location"), house.WebCallback+separator+"code=") {
				t.Errorf("back to %q", a.Header.Get("Location"))
			}
			h.Tokens(h.Exchange("app", b.Code(a)))
		})
	}
	t.Run("response_mode form_post", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		a := b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "response_mode", "form_post")), "answer", "continue")
		a.Shows(t, http.StatusOK, `action="https://app.example.org/callback?no_universal_links=true"`)
		for _, field := range []string{`name="code"`, `name="state" value="a state: with%20all/of it"`, `name="iss" value="` + house.Issuer + `"`} {
			a.Shows(t, http.StatusOK, field)
		}
	})
	t.Run("an app's scheme is written as it was registered", func(t *testing.T) { // AUTHZ-28
		h := house.WithApp(t)
		h.Register("native", "", house.Native("org.example.app:/"))
		b := h.SignedInAs("alice")
		a := b.Submit(house.ConsentPath, "request", b.Request(house.Params("native", "redirect_uri", "org.example.app:/")), "answer", "continue")
		if !strings.HasPrefix(a.Header.Get("Location"), "org.example.app:/?code=") {
			t.Errorf("back to %q", a.Header.Get("Location"))
		}
	})
	t.Run("a loopback app has any port", func(t *testing.T) { // AUTHZ-5
		h := house.WithApp(t)
		h.Register("native", "", house.Native("http://127.0.0.1/cb"))
		b := h.SignedInAs("alice")
		code := b.Code(b.Submit(house.ConsentPath, "request", b.Request(house.Params("native", "redirect_uri", "http://127.0.0.1:49152/cb")), "answer", "continue"))
		h.Token("grant_type", "authorization_code", "client_id", "native", "code", code, "redirect_uri", "http://127.0.0.1:49153/cb", "code_verifier", house.Verifier).
			Shows(t, http.StatusBadRequest, "invalid_grant") // TOK-9
	})
	t.Run("without a state there is none in the answer", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		response := b.Response(b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "state", "")), "answer", "continue"))
		if response.Has("state") {
			t.Errorf("%v", response)
		}
	})
	t.Run("by POST", func(t *testing.T) { // AUTHZ-1
		h := house.WithApp(t)
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.AuthorizePath, Header: house.FormType, Body: house.Params("app").Encode()})
		if a.Status != http.StatusSeeOther || !strings.Contains(a.Header.Get("Location"), house.ConsentPath) {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
	})
	t.Run("declined", func(t *testing.T) { // AUTHZ-20
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		response := b.Response(b.Submit(house.ConsentPath, "request", id, "answer", "cancel"))
		if response.Get("error") != "access_denied" || response.Get("iss") != house.Issuer || response.Get("state") == "" || response.Has("code") {
			t.Errorf("%v", response)
		}
		for _, second := range []string{"cancel", "continue"} { // twice is no other answer
			if again := b.Response(b.Submit(house.ConsentPath, "request", id, "answer", second)); again.Encode() != response.Encode() {
				t.Errorf("%s: %v", second, again)
			}
		}
		if again := b.Response(b.Get(house.ConsentPath + "?request=" + id)); again.Encode() != response.Encode() {
			t.Errorf("back: %v", again)
		}
		h.SignedInAs("alice").Submit(house.ConsentPath, "request", id, "answer", "continue").Shows(t, http.StatusBadRequest, "")
		h.Clock.Move(10 * time.Minute)
		b.Submit(house.ConsentPath, "request", id, "answer", "cancel").Shows(t, http.StatusBadRequest, "")
	})
	t.Run("a form of before a new sign-in leads to the question again", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		header := b.CookieHeader()
		header["Content-Type"], header["Sec-Fetch-Site"] = house.FormType["Content-Type"], []string{"same-origin"}
		old := house.Call{Method: http.MethodPost, Path: house.ConsentPath + "?request=" + id, Header: header, Body: house.Form("request", id, "answer", "continue", web.FormField, web.FormToken(model.NewBrowserValue()))}
		if a := h.Do(old); a.Status != http.StatusSeeOther || a.Header.Get("Location") != house.ConsentPath+"?request="+id {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
		header["Sec-Fetch-Site"] = []string{"cross-site"}
		h.Do(old).Shows(t, http.StatusForbidden, "")
		b.Get(house.ConsentPath+"?request="+id).Shows(t, http.StatusOK, `action="`+house.ConsentPath+"?request="+id+`"`)
	})
	t.Run("declined before the sign-in", func(t *testing.T) { // AUTHZ-20
		h := house.WithApp(t)
		b := h.BrowserWith(model.NewBrowserValue())
		id := b.Request(house.Params("app"))
		response := b.Response(b.Submit(house.ConsentPath, "request", id, "answer", "cancel"))
		for _, again := range []house.Answer{b.Submit(house.ConsentPath, "request", id, "answer", "cancel"), b.Get(house.ConsentPath + "?request=" + id)} {
			if got := b.Response(again); got.Get("error") != "access_denied" || got.Encode() != response.Encode() {
				t.Errorf("%v", got)
			}
		}
		if a := b.Get("/account/login?request=" + id); a.Header.Get("Location") != house.ConsentPath+"?request="+id {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
		h.BrowserWith(model.NewBrowserValue()).Get("/account/login?request="+id).Shows(t, http.StatusBadRequest, "")
	})
	t.Run("a code is given again to nobody who was signed out since", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		code := b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))
		house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"})
		for _, page := range []string{house.ConsentPath, "/account/login"} {
			b.Get(page+"?request="+id).Shows(t, http.StatusBadRequest, "This sign-in is over")
		}
		h.Exchange("app", code).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("a sign-in that is done says so to who comes back", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		h.Tokens(h.Exchange("app", b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))))
		for _, a := range []house.Answer{b.Get(house.ConsentPath + "?request=" + id), b.Submit(house.ConsentPath, "request", id, "answer", "continue"), b.Submit(house.ConsentPath, "request", id, "answer", "cancel")} {
			if a.Status != http.StatusOK || !strings.Contains(house.Shown(a), "You are signed in") || !strings.Contains(a.Body, `href="https://app.example.org/"`) {
				t.Errorf("got %d: %s", a.Status, house.Shown(a))
			}
		}
		if a := b.Get("/account/login?request=" + id); a.Header.Get("Location") != house.ConsentPath+"?request="+id {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
		h.SignedInAs("alice").Get(house.ConsentPath+"?request="+id).Shows(t, http.StatusBadRequest, "")
		// What a native app says of its website proves nothing, and leads nowhere.
		h.Register("native", "", house.Native("org.example.app:/"))
		id = b.Request(house.Params("native", "redirect_uri", "org.example.app:/"))
		code := b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))
		h.Tokens(h.Token("grant_type", "authorization_code", "client_id", "native", "code", code, "redirect_uri", "org.example.app:/", "code_verifier", house.Verifier))
		if a := b.Get(house.ConsentPath + "?request=" + id); a.Status != http.StatusOK || strings.Contains(a.Body, "<a ") {
			t.Errorf("got %d: %s", a.Status, a.Body)
		}
	})
	t.Run("who is not signed in signs in first", func(t *testing.T) {
		h := house.WithApp(t)
		nobody := h.BrowserWith(model.NewBrowserValue())
		id := nobody.Request(house.Params("app"))
		for _, a := range []house.Answer{nobody.Get(house.ConsentPath + "?request=" + id), nobody.Submit(house.ConsentPath, "request", id, "answer", "continue")} {
			if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/account/login?request="+id {
				t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
			}
		}
		h.SignedInAs("alice").Code(h.SignedInAs("alice").Submit(house.ConsentPath, "request", id, "answer", "continue"))
	})
	t.Run("a consent is remembered", func(t *testing.T) { // AUTHZ-18
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		b.Consent(house.Params("app"))
		id := b.Request(house.Params("app", "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"LAPTOP"))
		h.Tokens(h.Exchange("app", b.Code(b.Get(house.ConsentPath+"?request="+id))))
		h.SignedInAs("bob").Get(house.ConsentPath+"?request="+b.Request(house.Params("app"))).Shows(t, http.StatusOK, "@bob:example.test")
	})
	t.Run("locked users cannot go on, and lose nothing", func(t *testing.T) { // AUTHZ-30, MOD-7
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		for _, a := range []house.Answer{b.Get(house.ConsentPath + "?request=" + id), b.Submit(house.ConsentPath, "request", id, "answer", "continue")} {
			a.Shows(t, http.StatusForbidden, "")
		}
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))
	})
	t.Run("the same device of two users is two devices", func(t *testing.T) { // SCOPE-10
		h := house.WithApp(t)
		alice, bob := h.OauthSession("alice", "app", "PHONE"), h.OauthSession("bob", "app", "PHONE")
		h.WantActive(alice.AccessToken, "PHONE")
		h.WantActive(bob.AccessToken, "PHONE")
	})
}

// TestDeviceReuse is S8: whoever signs in on a device ends what was there and keeps the device.
func TestDeviceReuse(t *testing.T) {
	begin := map[string]func(*house.House) string{
		"OAuth":  func(h *house.House) string { return h.OauthSession("alice", "app", "PHONE").AccessToken },
		"compat": func(h *house.House) string { return h.LoginOn("alice", "PHONE").AccessToken },
	}
	for first := range begin {
		for second := range begin {
			t.Run(first+" then "+second, func(t *testing.T) { // SCOPE-9
				h := house.WithApp(t)
				old := begin[first](h)
				fresh := begin[second](h)
				h.Settle()
				h.WantInactive(old)
				h.WantActive(fresh, "PHONE")
				h.WantDevices("alice", "PHONE")
				h.WantSessions("alice", "PHONE")
			})
		}
	}
}

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
	}{
		"no response type":      {"invalid_request", []string{"response_type", ""}},
		"an implicit grant":     {"unsupported_response_type", []string{"response_type", "token"}}, // TOK-16
		"no challenge":          {"invalid_request", []string{"code_challenge", ""}},
		"a plain challenge":     {"invalid_request", []string{"code_challenge_method", "plain"}},
		"no scope":              {"invalid_scope", []string{"scope", ""}},
		"two devices":           {"invalid_scope", []string{"scope", house.PhoneScope + " " + model.ScopeDevicePrefix + "LAPTOP"}},
		"a request object":      {"request_not_supported", []string{"request", "eyJ"}},
		"a request URI":         {"request_uri_not_supported", []string{"request_uri", "https://evil.example/"}},
		"an unknown mode":       {"invalid_request", []string{"response_mode", "jwt"}},
		"prompt=none and login": {"invalid_request", []string{"prompt", "none login"}},
		"prompt=none, proven":   {"invalid_request", []string{"prompt", "none login"}},
	} {
		t.Run(name+" is offered to the client", func(t *testing.T) { // AUTHZ-21
			h := house.WithApp(t)
			if strings.Contains(name, "proven") {
				h.Prove("app")
			}
			a := h.SignedInAs("alice").Authorize(house.Params("app", append(c.changes, "response_mode", "query")...))
			if strings.Contains(name, "mode") {
				a = h.SignedInAs("alice").Authorize(house.Params("app", c.changes...))
			}
			if strings.Contains(name, "proven") {
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
		b.Submit(house.ConsentPath, "request", id, "answer", "continue").Shows(t, http.StatusBadRequest, "")
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
			b.Get(house.ConsentPath+"?request="+url.QueryEscape(id)).Shows(t, http.StatusBadRequest, "")
			b.Submit(house.ConsentPath, "request", id, "answer", "cancel").Shows(t, http.StatusBadRequest, "")
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

func TestToken(t *testing.T) {
	t.Run("refresh", func(t *testing.T) {
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		second := h.Tokens(h.Renew("app", first.RefreshToken))
		if second.Scope != house.PhoneScope || second.ExpiresIn != 300 || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken { // REF-13, REF-17
			t.Errorf("%+v", second)
		}
		h.WantActive(first.AccessToken, "PHONE") // REF-10
		h.WantActive(second.AccessToken, "PHONE")
	})
	t.Run("a lost answer is retried", func(t *testing.T) { // S1
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		for range 3 {
			h.Tokens(h.Renew("app", first.RefreshToken))
		}
		last := h.Tokens(h.Renew("app", first.RefreshToken))
		h.WantActive(last.AccessToken, "PHONE")
		h.Tokens(h.Renew("app", first.RefreshToken)) // within the grace
		h.Clock.Move(2 * time.Minute)
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantInactive(last.AccessToken) // REF-5
	})
	t.Run("another client's token", func(t *testing.T) { // REF-1
		h := house.WithApp(t)
		h.Register("other", "")
		first := h.OauthSession("alice", "app", "PHONE")
		h.Renew("other", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Tokens(h.Renew("app", first.RefreshToken))
	})
	t.Run("tokens of the other API", func(t *testing.T) { // LEG-36
		h := house.WithApp(t)
		oauth := h.OauthSession("alice", "app", "PHONE")
		compat := h.Login("bob", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Renew("app", compat.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.Refresh(oauth.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Tokens(h.Renew("app", oauth.RefreshToken))
		h.SignedIn(h.Refresh(compat.RefreshToken))
	})
	t.Run("scope", func(t *testing.T) { // SCOPE-14
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		wider := h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", house.PhoneScope+" "+model.ScopeSynapseAdmin)
		wider.Shows(t, http.StatusBadRequest, "invalid_scope")
		narrow := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI))
		if narrow.Scope != model.ScopeAPI {
			t.Errorf("%+v", narrow)
		}
		for asked, want := range map[string]string{strings.Repeat(model.ScopeAPI+"  ", 1000): model.ScopeAPI, " ": house.PhoneScope} {
			if same := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked)); same.Scope != want {
				t.Errorf("%.40q became %.100q", asked, same.Scope)
			}
		}
		again := h.Tokens(h.Renew("app", narrow.RefreshToken))
		if again.Scope != house.PhoneScope {
			t.Errorf("%+v", again)
		}
		// A client that repeats all that it asked for at first is not refused for what was left out (SCOPE-8).
		repeated := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", again.RefreshToken, "scope", "openid "+house.PhoneScope))
		if repeated.Scope != house.PhoneScope {
			t.Errorf("%+v", repeated)
		}
	})
	t.Run("scope in the other spelling", func(t *testing.T) { // SCOPE-3, SCOPE-14
		const old = model.ScopeAPIUnstable + " " + model.ScopeDevicePrefixUnstable + "PHONE"
		h := house.WithApp(t)
		for granted, others := range map[string][]string{house.PhoneScope: {old, house.PhoneScope + " " + old}, old: {house.PhoneScope, old + " " + house.PhoneScope}} {
			first := h.Tokens(h.Exchange("app", h.SignedInAs("alice").Consent(house.Params("app", "scope", granted))))
			for _, asked := range append(others, model.ScopeAPI, model.ScopeAPIUnstable, granted) {
				renewed := h.Tokens(h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked))
				if renewed.Scope != asked {
					t.Errorf("%q became %q", asked, renewed.Scope)
				}
				h.WantActive(renewed.AccessToken, "PHONE")
			}
			for _, prefix := range []string{model.ScopeDevicePrefix, model.ScopeDevicePrefixUnstable} {
				h.Token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI+" "+prefix+"OTHER").
					Shows(t, http.StatusBadRequest, "invalid_scope")
			}
		}
	})
	t.Run("locked", func(t *testing.T) { // MOD-6
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		h.Tokens(h.Renew("app", first.RefreshToken))
	})
	t.Run("deactivated", func(t *testing.T) { // REF-14
		h := house.WithApp(t)
		first := h.OauthSession("alice", "app", "PHONE")
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
		h.Renew("app", first.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("homeserver down", func(t *testing.T) { // TOK-15, TOK-23
		h := house.WithApp(t)
		code := h.SignedInAs("alice").Consent(house.Params("app"))
		h.Fake.Stop()
		a := h.Exchange("app", code)
		a.Shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.Fake.Resume()
		h.Tokens(h.Exchange("app", code))
	})
	t.Run("errors", func(t *testing.T) { // TOK-6, TOK-8
		h := house.WithApp(t)
		h.Register("confidential", "s3cret")
		h.Register("refresher", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantRefresh} })
		h.Register("codes only", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantCode} })
		for name, c := range map[string]struct {
			fields []string
			status int
			code   string
		}{
			"no grant type":            {nil, 400, "invalid_request"},
			"an unknown grant type":    {[]string{"grant_type", "magic"}, 400, "unsupported_grant_type"},
			"the password grant":       {[]string{"grant_type", "password", "username", "alice", "password", "x"}, 400, "unsupported_grant_type"}, // TOK-16
			"no client":                {[]string{"grant_type", "refresh_token", "refresh_token", "x"}, 400, "invalid_request"},                   // TOK-14
			"an unknown client":        {[]string{"grant_type", "refresh_token", "client_id", "nobody", "refresh_token", "x"}, 401, "invalid_client"},
			"no refresh token":         {[]string{"grant_type", "refresh_token", "client_id", "app"}, 400, "invalid_request"},
			"an unknown refresh token": {[]string{"grant_type", "refresh_token", "client_id", "app", "refresh_token", "x"}, 400, "invalid_grant"},
			"no code":                  {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code_verifier", house.Verifier}, 400, "invalid_request"},
			"no verifier":              {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x"}, 400, "invalid_request"},
			"an unknown code":          {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x", "code_verifier", house.Verifier}, 400, "invalid_grant"},
			"confidential, no secret":  {[]string{"grant_type", "refresh_token", "client_id", "confidential", "refresh_token", "x"}, 401, "invalid_client"},
			"a code, not registered":   {[]string{"grant_type", "authorization_code", "client_id", "refresher", "redirect_uri", "x", "code", "x", "code_verifier", house.Verifier}, 400, "unauthorized_client"},
			"refresh, not registered":  {[]string{"grant_type", "refresh_token", "client_id", "codes only", "refresh_token", "x"}, 400, "invalid_grant"},                 // TOK-4
			"public, with a secret":    {[]string{"grant_type", "refresh_token", "client_id", "app", "client_secret", "x", "refresh_token", "x"}, 401, "invalid_client"}, // CAUTH-3
		} {
			t.Run(name, func(t *testing.T) {
				a := h.Token(c.fields...)
				a.Shows(t, c.status, `"error":"`+c.code+`"`)
				house.WantWire(t, web.OpenOAuthWire, a)
			})
		}
	})
}

func TestRevoke(t *testing.T) {
	revoke := func(h *house.House, fields ...string) house.Answer {
		h.T.Helper()
		return h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form(fields...)})
	}
	for name, choose := range map[string]func(house.Tokens) []string{ // REV-2, REV-5, REV-6
		"access token":  func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "app"} },
		"refresh token": func(t house.Tokens) []string { return []string{"token", t.RefreshToken, "client_id", "app"} },
		"with a wrong hint": func(t house.Tokens) []string {
			return []string{"token", t.RefreshToken, "token_type_hint", "access_token"}
		},
		"with an unknown hint":     func(t house.Tokens) []string { return []string{"token", t.AccessToken, "token_type_hint", "magic"} },
		"by nobody in particular":  func(t house.Tokens) []string { return []string{"token", t.AccessToken} },
		"by an unknown client":     func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "nobody"} },
		"by another public client": func(t house.Tokens) []string { return []string{"token", t.AccessToken, "client_id", "other"} },
	} {
		t.Run(name, func(t *testing.T) {
			h := house.WithApp(t)
			h.Register("other", "")
			got := h.OauthSession("alice", "app", "PHONE")
			a := revoke(h, choose(got)...)
			if a.Status != http.StatusOK || a.Body != "{}" { // REV-4
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			house.WantWire(t, web.OpenOAuthWire, a) // REV-10
			h.WantInactive(got.AccessToken)         // REV-9
			h.Settle()
			h.WantDevices("alice")
			h.Renew("app", got.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
			if a := revoke(h, choose(got)...); a.Status != http.StatusOK || a.Body != "{}" { // REV-3
				t.Errorf("again: got %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("what is no token", func(t *testing.T) { // REV-3
		h := house.WithApp(t)
		for _, token := range []string{"x", model.NewToken(model.OAuthAccess), "syt_abc"} {
			revoke(h, "token", token).Shows(t, http.StatusOK, "{}")
		}
	})
	t.Run("no token", func(t *testing.T) { // REV-8
		h := house.WithApp(t)
		revoke(h, "client_id", "app").Shows(t, http.StatusBadRequest, "invalid_request")
	})
	t.Run("a compatibility token, and logout with an OAuth token", func(t *testing.T) { // AMB-14
		h := house.WithApp(t)
		compat, oauth := h.LoginOn("alice", "LAPTOP"), h.OauthSession("alice", "app", "PHONE")
		revoke(h, "token", compat.AccessToken).Shows(t, http.StatusOK, "{}")
		h.Logout(oauth.AccessToken).Want(t, http.StatusOK, "")
		h.Settle()
		h.WantDevices("alice")
	})
	t.Run("a confidential client's token", func(t *testing.T) { // REV-7
		h := house.WithApp(t)
		h.Register("confidential", "s3cret")
		b := h.SignedInAs("alice")
		basic := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("confidential", "s3cret")}}
		got := h.Tokens(h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: basic, Body: house.Form("grant_type", "authorization_code",
			"code", b.Consent(house.Params("confidential")), "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)}))
		revoke(h, "token", got.AccessToken).Shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "confidential").Shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "app").Shows(t, http.StatusUnauthorized, "invalid_client")
		h.WantActive(got.AccessToken, "PHONE")
		h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: basic, Body: house.Form("token", got.AccessToken)}).Shows(t, http.StatusOK, "{}")
		h.WantInactive(got.AccessToken)
	})
	t.Run("homeserver down", func(t *testing.T) { // REV-11, S4
		h := house.WithApp(t)
		got := h.OauthSession("alice", "app", "PHONE")
		h.Fake.Stop()
		revoke(h, "token", got.AccessToken).Shows(t, http.StatusOK, "{}")
		h.WantInactive(got.AccessToken)
		h.Fake.Resume()
		h.Clock.Move(time.Hour)
		h.Pass()
		h.WantDevices("alice")
	})
}

// TestClientIntrospection: a confidential client sees its own tokens and no others (INTRO-9).
func TestClientIntrospection(t *testing.T) {
	h := house.WithApp(t)
	h.Register("confidential", "s3cret")
	basic := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth("confidential", "s3cret")}}
	own := h.Tokens(h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: basic, Body: house.Form("grant_type", "authorization_code",
		"code", h.SignedInAs("alice").Consent(house.Params("confidential")), "redirect_uri", house.WebCallback, "code_verifier", house.Verifier)}))
	others := h.OauthSession("bob", "app", "PHONE")
	ask := func(header http.Header, fields ...string) house.Answer {
		return h.Do(house.Call{Method: http.MethodPost, Path: "/oauth2/introspect", Header: header, Body: house.Form(fields...)})
	}
	ask(basic, "token", own.AccessToken).Shows(t, http.StatusOK, `"scope":"`+house.PhoneScope+`"`)
	ask(basic, "token", own.RefreshToken).Shows(t, http.StatusOK, `"token_type":"refresh_token"`) // INTRO-6
	for _, token := range []string{others.AccessToken, others.RefreshToken, "x", h.LoginOn("bob", "LAPTOP").AccessToken} {
		if a := ask(basic, "token", token); a.Body != house.Inactive {
			t.Errorf("got %s", a.Body)
		}
	}
	h.Introspect(own.RefreshToken).Shows(t, http.StatusOK, house.Inactive)
	ask(house.FormType, "token", others.AccessToken, "client_id", "app").Shows(t, http.StatusUnauthorized, "invalid_client")
	h.Clock.Move(6 * time.Minute)
	if a := ask(basic, "token", own.AccessToken); a.Body != house.Inactive {
		t.Errorf("got %s", a.Body)
	}
}
