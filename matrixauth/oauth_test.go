package matrixauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

func TestCodeFlow(t *testing.T) {
	t.Run("begins a session that Synapse accepts", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		page := b.get(consentPath + "?request=" + id)
		page.shows(t, http.StatusOK, "")
		for _, word := range []string{"An App", "app.example.org", "@alice:example.test", "PHONE"} { // AUTHZ-19
			if !strings.Contains(shown(page), word) {
				t.Errorf("the page does not say %q: %s", word, shown(page))
			}
		}
		a := b.submit(consentPath, "request", id, "answer", "continue")
		response := b.response(a)
		if !strings.HasPrefix(a.header.Get("Location"), webCallback+"&code=") || response.Get("state") != "a state: with%20all/of it" || response.Get("iss") != issuer {
			t.Errorf("back to %q", a.header.Get("Location")) // AUTHZ-10, AUTHZ-11, AUTHZ-12
		}
		code := b.code(a)
		exchanged := h.exchange("app", code)
		got := h.tokens(exchanged)
		if got.TokenType != "Bearer" || got.ExpiresIn != 300 || got.Scope != phoneScope || !strings.HasPrefix(got.AccessToken, "mat_") || !strings.HasPrefix(got.RefreshToken, "mar_") {
			t.Errorf("%+v", got) // TOK-3, TOK-4
		}
		if exchanged.header.Get("Cache-Control") != "no-store" || exchanged.header.Get("Pragma") != "no-cache" { // TOK-2
			t.Errorf("headers %v", exchanged.header)
		}
		wantWire(t, web.OpenOAuthWire, exchanged)
		h.wantActive(got.AccessToken, "PHONE")
		h.wantDevices("alice", "PHONE")
		h.introspect(got.AccessToken).shows(t, http.StatusOK, `"client_id":"app"`)
	})
	for mode, separator := range map[string]string{"query": "&", "fragment": "#", "": "&"} {
		t.Run("response_mode "+mode, func(t *testing.T) { // AUTHZ-9, AUTHZ-10
			h := newOAuthHouse(t)
			b := h.signedInAs("alice")
			a := b.submit(consentPath, "request", b.request(params("app", "response_mode", mode)), "answer", "continue")
			if !strings.HasPrefix(a.header.Get("Location"), webCallback+separator+"code=") {
				t.Errorf("back to %q", a.header.Get("Location"))
			}
			h.tokens(h.exchange("app", b.code(a)))
		})
	}
	t.Run("response_mode form_post", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		a := b.submit(consentPath, "request", b.request(params("app", "response_mode", "form_post")), "answer", "continue")
		a.shows(t, http.StatusOK, `action="https://app.example.org/callback?no_universal_links=true"`)
		for _, field := range []string{`name="code"`, `name="state" value="a state: with%20all/of it"`, `name="iss" value="` + issuer + `"`} {
			a.shows(t, http.StatusOK, field)
		}
	})
	t.Run("an app's scheme is written as it was registered", func(t *testing.T) { // AUTHZ-28
		h := newOAuthHouse(t)
		h.register("native", "", native("org.example.app:/"))
		b := h.signedInAs("alice")
		a := b.submit(consentPath, "request", b.request(params("native", "redirect_uri", "org.example.app:/")), "answer", "continue")
		if !strings.HasPrefix(a.header.Get("Location"), "org.example.app:/?code=") {
			t.Errorf("back to %q", a.header.Get("Location"))
		}
	})
	t.Run("a loopback app has any port", func(t *testing.T) { // AUTHZ-5
		h := newOAuthHouse(t)
		h.register("native", "", native("http://127.0.0.1/cb"))
		b := h.signedInAs("alice")
		code := b.code(b.submit(consentPath, "request", b.request(params("native", "redirect_uri", "http://127.0.0.1:49152/cb")), "answer", "continue"))
		h.token("grant_type", "authorization_code", "client_id", "native", "code", code, "redirect_uri", "http://127.0.0.1:49153/cb", "code_verifier", verifier).
			shows(t, http.StatusBadRequest, "invalid_grant") // TOK-9
	})
	t.Run("without a state there is none in the answer", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		response := b.response(b.submit(consentPath, "request", b.request(params("app", "state", "")), "answer", "continue"))
		if response.Has("state") {
			t.Errorf("%v", response)
		}
	})
	t.Run("by POST", func(t *testing.T) { // AUTHZ-1
		h := newOAuthHouse(t)
		a := h.do(call{method: http.MethodPost, path: authorizePath, header: formType, body: params("app").Encode()})
		if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), consentPath) {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
	})
	t.Run("declined", func(t *testing.T) { // AUTHZ-20
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		response := b.response(b.submit(consentPath, "request", id, "answer", "cancel"))
		if response.Get("error") != "access_denied" || response.Get("iss") != issuer || response.Get("state") == "" || response.Has("code") {
			t.Errorf("%v", response)
		}
		for _, second := range []string{"cancel", "continue"} { // twice is no other answer
			if again := b.response(b.submit(consentPath, "request", id, "answer", second)); again.Encode() != response.Encode() {
				t.Errorf("%s: %v", second, again)
			}
		}
		if again := b.response(b.get(consentPath + "?request=" + id)); again.Encode() != response.Encode() {
			t.Errorf("back: %v", again)
		}
		h.signedInAs("alice").submit(consentPath, "request", id, "answer", "continue").shows(t, http.StatusBadRequest, "")
		h.clock.Move(10 * time.Minute)
		b.submit(consentPath, "request", id, "answer", "cancel").shows(t, http.StatusBadRequest, "")
	})
	t.Run("a form of before a new sign-in leads to the question again", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		header := b.cookieHeader()
		header["Content-Type"], header["Sec-Fetch-Site"] = formType["Content-Type"], []string{"same-origin"}
		old := call{method: http.MethodPost, path: consentPath + "?request=" + id, header: header, body: form("request", id, "answer", "continue", web.FormField, web.FormToken(model.NewBrowserValue()))}
		if a := h.do(old); a.status != http.StatusSeeOther || a.header.Get("Location") != consentPath+"?request="+id {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
		header["Sec-Fetch-Site"] = []string{"cross-site"}
		h.do(old).shows(t, http.StatusForbidden, "")
		b.get(consentPath+"?request="+id).shows(t, http.StatusOK, `action="`+consentPath+"?request="+id+`"`)
	})
	t.Run("declined before the sign-in", func(t *testing.T) { // AUTHZ-20
		h := newOAuthHouse(t)
		b := h.browserWith(model.NewBrowserValue())
		id := b.request(params("app"))
		response := b.response(b.submit(consentPath, "request", id, "answer", "cancel"))
		for _, again := range []answer{b.submit(consentPath, "request", id, "answer", "cancel"), b.get(consentPath + "?request=" + id)} {
			if got := b.response(again); got.Get("error") != "access_denied" || got.Encode() != response.Encode() {
				t.Errorf("%v", got)
			}
		}
		if a := b.get("/account/login?request=" + id); a.header.Get("Location") != consentPath+"?request="+id {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
		h.browserWith(model.NewBrowserValue()).get("/account/login?request="+id).shows(t, http.StatusBadRequest, "")
	})
	t.Run("a code is given again to nobody who was signed out since", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		code := b.code(b.submit(consentPath, "request", id, "answer", "continue"))
		act(h, EndSessions, SessionsToEnd{User: "alice"})
		for _, page := range []string{consentPath, "/account/login"} {
			b.get(page+"?request="+id).shows(t, http.StatusBadRequest, "This sign-in is over")
		}
		h.exchange("app", code).shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("a sign-in that is done says so to who comes back", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		h.tokens(h.exchange("app", b.code(b.submit(consentPath, "request", id, "answer", "continue"))))
		for _, a := range []answer{b.get(consentPath + "?request=" + id), b.submit(consentPath, "request", id, "answer", "continue"), b.submit(consentPath, "request", id, "answer", "cancel")} {
			if a.status != http.StatusOK || !strings.Contains(shown(a), "You are signed in") || !strings.Contains(a.body, `href="https://app.example.org/"`) {
				t.Errorf("got %d: %s", a.status, shown(a))
			}
		}
		if a := b.get("/account/login?request=" + id); a.header.Get("Location") != consentPath+"?request="+id {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
		h.signedInAs("alice").get(consentPath+"?request="+id).shows(t, http.StatusBadRequest, "")
		// What a native app says of its website proves nothing, and leads nowhere.
		h.register("native", "", native("org.example.app:/"))
		id = b.request(params("native", "redirect_uri", "org.example.app:/"))
		code := b.code(b.submit(consentPath, "request", id, "answer", "continue"))
		h.tokens(h.token("grant_type", "authorization_code", "client_id", "native", "code", code, "redirect_uri", "org.example.app:/", "code_verifier", verifier))
		if a := b.get(consentPath + "?request=" + id); a.status != http.StatusOK || strings.Contains(a.body, "<a ") {
			t.Errorf("got %d: %s", a.status, a.body)
		}
	})
	t.Run("who is not signed in signs in first", func(t *testing.T) {
		h := newOAuthHouse(t)
		nobody := h.browserWith(model.NewBrowserValue())
		id := nobody.request(params("app"))
		for _, a := range []answer{nobody.get(consentPath + "?request=" + id), nobody.submit(consentPath, "request", id, "answer", "continue")} {
			if a.status != http.StatusSeeOther || a.header.Get("Location") != "/account/login?request="+id {
				t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
			}
		}
		h.signedInAs("alice").code(h.signedInAs("alice").submit(consentPath, "request", id, "answer", "continue"))
	})
	t.Run("a consent is remembered", func(t *testing.T) { // AUTHZ-18
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		b.consent(params("app"))
		id := b.request(params("app", "scope", model.ScopeAPI+" "+model.ScopeDevicePrefix+"LAPTOP"))
		h.tokens(h.exchange("app", b.code(b.get(consentPath+"?request="+id))))
		h.signedInAs("bob").get(consentPath+"?request="+b.request(params("app"))).shows(t, http.StatusOK, "@bob:example.test")
	})
	t.Run("locked users cannot go on, and lose nothing", func(t *testing.T) { // AUTHZ-30, MOD-7
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		act(h, LockUser, Name{User: "alice"})
		for _, a := range []answer{b.get(consentPath + "?request=" + id), b.submit(consentPath, "request", id, "answer", "continue")} {
			a.shows(t, http.StatusForbidden, "")
		}
		act(h, UnlockUser, Name{User: "alice"})
		b.code(b.submit(consentPath, "request", id, "answer", "continue"))
	})
	t.Run("the same device of two users is two devices", func(t *testing.T) { // SCOPE-10
		h := newOAuthHouse(t)
		alice, bob := h.oauthSession("alice", "app", "PHONE"), h.oauthSession("bob", "app", "PHONE")
		h.wantActive(alice.AccessToken, "PHONE")
		h.wantActive(bob.AccessToken, "PHONE")
	})
}

// TestDeviceReuse is S8: whoever signs in on a device ends what was there and keeps the device.
func TestDeviceReuse(t *testing.T) {
	begin := map[string]func(*house) string{
		"OAuth":  func(h *house) string { return h.oauthSession("alice", "app", "PHONE").AccessToken },
		"compat": func(h *house) string { return h.loginOn("alice", "PHONE").AccessToken },
	}
	for first := range begin {
		for second := range begin {
			t.Run(first+" then "+second, func(t *testing.T) { // SCOPE-9
				h := newOAuthHouse(t)
				old := begin[first](h)
				fresh := begin[second](h)
				h.settle()
				h.wantInactive(old)
				h.wantActive(fresh, "PHONE")
				h.wantDevices("alice", "PHONE")
				h.wantSessions("alice", "PHONE")
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
			h := newOAuthHouse(t)
			a := h.signedInAs("alice").authorize(params("app", changes...))
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || strings.Contains(a.body, "evil.example") {
				t.Errorf("got %d to %q: %s", a.status, a.header.Get("Location"), a.body)
			}
			if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("X-Frame-Options") != "DENY" { // AUTHZ-17
				t.Errorf("headers %v", a.header)
			}
		})
	}
	t.Run("a repeated parameter is a page", func(t *testing.T) { // AUTHZ-2
		h := newOAuthHouse(t)
		for _, name := range []string{"client_id", "redirect_uri", "state", "scope"} {
			values := params("app")
			values.Add(name, "x")
			if a := h.signedInAs("alice").authorize(values); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				t.Errorf("%s: got %d to %q", name, a.status, a.header.Get("Location"))
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
		"two devices":           {"invalid_scope", []string{"scope", phoneScope + " " + model.ScopeDevicePrefix + "LAPTOP"}},
		"a request object":      {"request_not_supported", []string{"request", "eyJ"}},
		"a request URI":         {"request_uri_not_supported", []string{"request_uri", "https://evil.example/"}},
		"an unknown mode":       {"invalid_request", []string{"response_mode", "jwt"}},
		"prompt=none and login": {"invalid_request", []string{"prompt", "none login"}},
		"prompt=none, proven":   {"invalid_request", []string{"prompt", "none login"}},
	} {
		t.Run(name+" is offered to the client", func(t *testing.T) { // AUTHZ-21
			h := newOAuthHouse(t)
			if strings.Contains(name, "proven") {
				h.prove("app")
			}
			a := h.signedInAs("alice").authorize(params("app", append(c.changes, "response_mode", "query")...))
			if strings.Contains(name, "mode") {
				a = h.signedInAs("alice").authorize(params("app", c.changes...))
			}
			if strings.Contains(name, "proven") {
				if got := h.signedInAs("alice").response(a).Get("error"); got != c.code {
					t.Errorf("told %q", got)
				}
				return
			}
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !strings.Contains(a.body, "&amp;error="+c.code+"&amp;") || !strings.Contains(a.body, "&amp;iss=") {
				t.Errorf("got %d to %q: %s", a.status, a.header.Get("Location"), a.body)
			}
		})
	}
	t.Run("administration for who may not administer", func(t *testing.T) { // SCOPE-13
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app", "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))
		b.get(consentPath+"?request="+id).shows(t, http.StatusBadRequest, "error=access_denied")
		b.submit(consentPath, "request", id, "answer", "continue").shows(t, http.StatusBadRequest, "")
	})
	t.Run("administration for who may", func(t *testing.T) {
		h := newOAuthHouse(t)
		act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
		b := h.signedInAs("alice")
		got := h.tokens(h.exchange("app", b.consent(params("app", "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))))
		h.introspect(got.AccessToken).shows(t, http.StatusOK, model.ScopeSynapseAdmin)
		if strings.Contains(h.introspect(got.AccessToken).body, "device_id") {
			t.Error("a session without a device has one")
		}
	})
	t.Run("a request that is unknown or over is a page", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		id := b.request(params("app"))
		h.clock.Move(time.Hour)
		for _, id := range []string{"", "x", id} {
			b.get(consentPath+"?request="+url.QueryEscape(id)).shows(t, http.StatusBadRequest, "")
			b.submit(consentPath, "request", id, "answer", "cancel").shows(t, http.StatusBadRequest, "")
		}
	})
}

// TestPrompt is S10.
func TestPrompt(t *testing.T) {
	silent := func(b *guest, changes ...string) url.Values {
		b.h.t.Helper()
		return b.response(b.authorize(params("app", append([]string{"prompt", "none"}, changes...)...)))
	}
	wantError := func(t *testing.T, got url.Values, code string) {
		t.Helper()
		if got.Get("error") != code || got.Get("state") == "" || got.Get("iss") != issuer {
			t.Errorf("got %v, want %s", got, code)
		}
	}
	t.Run("none", func(t *testing.T) { // OIDC-10
		h := newOAuthHouse(t)
		h.prove("app")
		b := h.signedInAs("alice")
		wantError(t, silent(h.guest()), "login_required")
		wantError(t, silent(b), "consent_required")
		b.consent(params("app"))
		if got := silent(b); got.Get("code") == "" {
			t.Errorf("%v", got)
		}
		h.clock.Move(time.Minute)
		wantError(t, silent(b, "max_age", "30"), "login_required") // OIDC-13
		if got := silent(b, "max_age", "60"); got.Get("code") == "" {
			t.Errorf("%v", got)
		}
		act(h, LockUser, Name{User: "alice"})
		wantError(t, silent(b), "login_required")
	})
	t.Run("none, for a client to which nobody ever consented", func(t *testing.T) { // AUTHZ-21
		h := newOAuthHouse(t)
		for _, b := range []*guest{h.guest(), h.signedInAs("alice")} {
			for _, mode := range []string{"query", "fragment", "form_post"} {
				a := b.authorize(params("app", "prompt", "none", "response_mode", mode))
				if a.status == http.StatusSeeOther || strings.Contains(a.body, "<form") || !strings.Contains(shown(a), "app.example.org") {
					t.Errorf("%s: got %d to %q: %s", mode, a.status, a.header.Get("Location"), a.body)
				}
				if got, atOnce := b.silently(params("app", "response_mode", mode)); atOnce || got.Get("error") == "" || got.Get("state") == "" || got.Get("iss") != issuer {
					t.Errorf("%s: %v", mode, got)
				}
			}
		}
		// To register again is no consent.
		h.clock.Move(25 * time.Hour)
		h.must(h.store.Update(t.Context(), func(tx *store.Tx) error { return tx.TouchClient("app") }))
		if _, atOnce := h.guest().silently(params("app")); atOnce {
			t.Error("a client that registered twice is trusted")
		}
		h.signedInAs("bob").consent(params("app"))
		if got, atOnce := h.guest().silently(params("app")); !atOnce || got.Get("error") != "login_required" {
			t.Errorf("%v, at once %v", got, atOnce)
		}
	})
	t.Run("none, by a form that an app cannot take", func(t *testing.T) { // AUTHZ-9
		h := newOAuthHouse(t)
		h.register("native", "", native("org.example.app:/"))
		h.prove("native")
		b := h.guest()
		a := b.authorize(params("native", "redirect_uri", "org.example.app:/", "prompt", "none", "response_mode", "form_post"))
		if !strings.HasPrefix(a.header.Get("Location"), "org.example.app:/?error=invalid_request") {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
	})
	for _, c := range []struct {
		name    string
		changes []string
	}{{"login", []string{"prompt", "login"}}, {"max_age", []string{"max_age", "0"}}} {
		t.Run(c.name+" asks for a fresh sign-in", func(t *testing.T) { // OIDC-11
			h := newOAuthHouse(t)
			b := h.signedInAs("alice")
			h.clock.Move(time.Second)
			id := b.request(params("app", c.changes...))
			for range 2 { // again after a reload
				if a := b.get(consentPath + "?request=" + id); !strings.HasPrefix(a.header.Get("Location"), "/account/login?") {
					t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
				}
				if a := b.submit(consentPath, "request", id, "answer", "continue"); !strings.HasPrefix(a.header.Get("Location"), "/account/login?") {
					t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
				}
			}
			h.clock.Move(time.Second)
			h.signedInAs("alice").code(h.signedInAs("alice").submit(consentPath, "request", id, "answer", "continue"))
		})
	}
	t.Run("consent asks again", func(t *testing.T) { // OIDC-12
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		b.consent(params("app"))
		b.get(consentPath+"?request="+b.request(params("app", "prompt", "consent"))).shows(t, http.StatusOK, "@alice:example.test")
	})
	t.Run("a hint at another account is shown", func(t *testing.T) { // SESS-9, AUTHZ-25
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		b.get(consentPath+"?request="+b.request(params("app", "login_hint", "mxid:@bob:example.test"))).shows(t, http.StatusOK, "@bob:example.test")
	})
}

func TestToken(t *testing.T) {
	t.Run("refresh", func(t *testing.T) {
		h := newOAuthHouse(t)
		first := h.oauthSession("alice", "app", "PHONE")
		second := h.tokens(h.renew("app", first.RefreshToken))
		if second.Scope != phoneScope || second.ExpiresIn != 300 || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken { // REF-13, REF-17
			t.Errorf("%+v", second)
		}
		h.wantActive(first.AccessToken, "PHONE") // REF-10
		h.wantActive(second.AccessToken, "PHONE")
	})
	t.Run("a lost answer is retried", func(t *testing.T) { // S1
		h := newOAuthHouse(t)
		first := h.oauthSession("alice", "app", "PHONE")
		for range 3 {
			h.tokens(h.renew("app", first.RefreshToken))
		}
		last := h.tokens(h.renew("app", first.RefreshToken))
		h.wantActive(last.AccessToken, "PHONE")
		h.tokens(h.renew("app", first.RefreshToken)) // within the grace
		h.clock.Move(2 * time.Minute)
		h.renew("app", first.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantInactive(last.AccessToken) // REF-5
	})
	t.Run("another client's token", func(t *testing.T) { // REF-1
		h := newOAuthHouse(t)
		h.register("other", "")
		first := h.oauthSession("alice", "app", "PHONE")
		h.renew("other", first.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.tokens(h.renew("app", first.RefreshToken))
	})
	t.Run("tokens of the other API", func(t *testing.T) { // LEG-36
		h := newOAuthHouse(t)
		oauth := h.oauthSession("alice", "app", "PHONE")
		compat := h.login("bob", object{"device_id": "PHONE", "refresh_token": true})
		h.renew("app", compat.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.refresh(oauth.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.tokens(h.renew("app", oauth.RefreshToken))
		h.signedIn(h.refresh(compat.RefreshToken))
	})
	t.Run("scope", func(t *testing.T) { // SCOPE-14
		h := newOAuthHouse(t)
		first := h.oauthSession("alice", "app", "PHONE")
		wider := h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", phoneScope+" "+model.ScopeSynapseAdmin)
		wider.shows(t, http.StatusBadRequest, "invalid_scope")
		narrow := h.tokens(h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI))
		if narrow.Scope != model.ScopeAPI {
			t.Errorf("%+v", narrow)
		}
		for asked, want := range map[string]string{strings.Repeat(model.ScopeAPI+"  ", 1000): model.ScopeAPI, " ": phoneScope} {
			if same := h.tokens(h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked)); same.Scope != want {
				t.Errorf("%.40q became %.100q", asked, same.Scope)
			}
		}
		again := h.tokens(h.renew("app", narrow.RefreshToken))
		if again.Scope != phoneScope {
			t.Errorf("%+v", again)
		}
		// A client that repeats all that it asked for at first is not refused for what was left out (SCOPE-8).
		repeated := h.tokens(h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", again.RefreshToken, "scope", "openid "+phoneScope))
		if repeated.Scope != phoneScope {
			t.Errorf("%+v", repeated)
		}
	})
	t.Run("scope in the other spelling", func(t *testing.T) { // SCOPE-3, SCOPE-14
		const old = model.ScopeAPIUnstable + " " + model.ScopeDevicePrefixUnstable + "PHONE"
		h := newOAuthHouse(t)
		for granted, others := range map[string][]string{phoneScope: {old, phoneScope + " " + old}, old: {phoneScope, old + " " + phoneScope}} {
			first := h.tokens(h.exchange("app", h.signedInAs("alice").consent(params("app", "scope", granted))))
			for _, asked := range append(others, model.ScopeAPI, model.ScopeAPIUnstable, granted) {
				renewed := h.tokens(h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", asked))
				if renewed.Scope != asked {
					t.Errorf("%q became %q", asked, renewed.Scope)
				}
				h.wantActive(renewed.AccessToken, "PHONE")
			}
			for _, prefix := range []string{model.ScopeDevicePrefix, model.ScopeDevicePrefixUnstable} {
				h.token("grant_type", "refresh_token", "client_id", "app", "refresh_token", first.RefreshToken, "scope", model.ScopeAPI+" "+prefix+"OTHER").
					shows(t, http.StatusBadRequest, "invalid_scope")
			}
		}
	})
	t.Run("locked", func(t *testing.T) { // MOD-6
		h := newOAuthHouse(t)
		first := h.oauthSession("alice", "app", "PHONE")
		act(h, LockUser, Name{User: "alice"})
		h.renew("app", first.RefreshToken).shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		act(h, UnlockUser, Name{User: "alice"})
		h.tokens(h.renew("app", first.RefreshToken))
	})
	t.Run("deactivated", func(t *testing.T) { // REF-14
		h := newOAuthHouse(t)
		first := h.oauthSession("alice", "app", "PHONE")
		act(h, DeactivateUser, Deactivation{Name: Name{User: "alice"}})
		h.renew("app", first.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
	})
	t.Run("homeserver down", func(t *testing.T) { // TOK-15, TOK-23
		h := newOAuthHouse(t)
		code := h.signedInAs("alice").consent(params("app"))
		h.fake.Stop()
		a := h.exchange("app", code)
		a.shows(t, http.StatusServiceUnavailable, "temporarily_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		h.fake.Resume()
		h.tokens(h.exchange("app", code))
	})
	t.Run("errors", func(t *testing.T) { // TOK-6, TOK-8
		h := newOAuthHouse(t)
		h.register("confidential", "s3cret")
		h.register("refresher", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantRefresh} })
		h.register("codes only", "", func(m *model.ClientMetadata) { m.GrantTypes = []string{model.GrantCode} })
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
			"no code":                  {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code_verifier", verifier}, 400, "invalid_request"},
			"no verifier":              {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x"}, 400, "invalid_request"},
			"an unknown code":          {[]string{"grant_type", "authorization_code", "client_id", "app", "redirect_uri", "x", "code", "x", "code_verifier", verifier}, 400, "invalid_grant"},
			"confidential, no secret":  {[]string{"grant_type", "refresh_token", "client_id", "confidential", "refresh_token", "x"}, 401, "invalid_client"},
			"a code, not registered":   {[]string{"grant_type", "authorization_code", "client_id", "refresher", "redirect_uri", "x", "code", "x", "code_verifier", verifier}, 400, "unauthorized_client"},
			"refresh, not registered":  {[]string{"grant_type", "refresh_token", "client_id", "codes only", "refresh_token", "x"}, 400, "invalid_grant"},                 // TOK-4
			"public, with a secret":    {[]string{"grant_type", "refresh_token", "client_id", "app", "client_secret", "x", "refresh_token", "x"}, 401, "invalid_client"}, // CAUTH-3
		} {
			t.Run(name, func(t *testing.T) {
				a := h.token(c.fields...)
				a.shows(t, c.status, `"error":"`+c.code+`"`)
				wantWire(t, web.OpenOAuthWire, a)
			})
		}
	})
}

func TestRevoke(t *testing.T) {
	revoke := func(h *house, fields ...string) answer {
		h.t.Helper()
		return h.do(call{method: http.MethodPost, path: revokePath, header: formType, body: form(fields...)})
	}
	for name, choose := range map[string]func(tokens) []string{ // REV-2, REV-5, REV-6
		"access token":             func(t tokens) []string { return []string{"token", t.AccessToken, "client_id", "app"} },
		"refresh token":            func(t tokens) []string { return []string{"token", t.RefreshToken, "client_id", "app"} },
		"with a wrong hint":        func(t tokens) []string { return []string{"token", t.RefreshToken, "token_type_hint", "access_token"} },
		"with an unknown hint":     func(t tokens) []string { return []string{"token", t.AccessToken, "token_type_hint", "magic"} },
		"by nobody in particular":  func(t tokens) []string { return []string{"token", t.AccessToken} },
		"by an unknown client":     func(t tokens) []string { return []string{"token", t.AccessToken, "client_id", "nobody"} },
		"by another public client": func(t tokens) []string { return []string{"token", t.AccessToken, "client_id", "other"} },
	} {
		t.Run(name, func(t *testing.T) {
			h := newOAuthHouse(t)
			h.register("other", "")
			got := h.oauthSession("alice", "app", "PHONE")
			a := revoke(h, choose(got)...)
			if a.status != http.StatusOK || a.body != "{}" { // REV-4
				t.Fatalf("got %d %s", a.status, a.body)
			}
			wantWire(t, web.OpenOAuthWire, a) // REV-10
			h.wantInactive(got.AccessToken)   // REV-9
			h.settle()
			h.wantDevices("alice")
			h.renew("app", got.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
			if a := revoke(h, choose(got)...); a.status != http.StatusOK || a.body != "{}" { // REV-3
				t.Errorf("again: got %d %s", a.status, a.body)
			}
		})
	}
	t.Run("what is no token", func(t *testing.T) { // REV-3
		h := newOAuthHouse(t)
		for _, token := range []string{"x", model.NewToken(model.OAuthAccess), "syt_abc"} {
			revoke(h, "token", token).shows(t, http.StatusOK, "{}")
		}
	})
	t.Run("no token", func(t *testing.T) { // REV-8
		h := newOAuthHouse(t)
		revoke(h, "client_id", "app").shows(t, http.StatusBadRequest, "invalid_request")
	})
	t.Run("a compatibility token, and logout with an OAuth token", func(t *testing.T) { // AMB-14
		h := newOAuthHouse(t)
		compat, oauth := h.loginOn("alice", "LAPTOP"), h.oauthSession("alice", "app", "PHONE")
		revoke(h, "token", compat.AccessToken).shows(t, http.StatusOK, "{}")
		h.logout(oauth.AccessToken).want(t, http.StatusOK, "")
		h.settle()
		h.wantDevices("alice")
	})
	t.Run("a confidential client's token", func(t *testing.T) { // REV-7
		h := newOAuthHouse(t)
		h.register("confidential", "s3cret")
		b := h.signedInAs("alice")
		basic := http.Header{"Content-Type": formType["Content-Type"], "Authorization": {basicAuth("confidential", "s3cret")}}
		got := h.tokens(h.do(call{method: http.MethodPost, path: tokenPath, header: basic, body: form("grant_type", "authorization_code",
			"code", b.consent(params("confidential")), "redirect_uri", webCallback, "code_verifier", verifier)}))
		revoke(h, "token", got.AccessToken).shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "confidential").shows(t, http.StatusUnauthorized, "invalid_client")
		revoke(h, "token", got.AccessToken, "client_id", "app").shows(t, http.StatusUnauthorized, "invalid_client")
		h.wantActive(got.AccessToken, "PHONE")
		h.do(call{method: http.MethodPost, path: revokePath, header: basic, body: form("token", got.AccessToken)}).shows(t, http.StatusOK, "{}")
		h.wantInactive(got.AccessToken)
	})
	t.Run("homeserver down", func(t *testing.T) { // REV-11, S4
		h := newOAuthHouse(t)
		got := h.oauthSession("alice", "app", "PHONE")
		h.fake.Stop()
		revoke(h, "token", got.AccessToken).shows(t, http.StatusOK, "{}")
		h.wantInactive(got.AccessToken)
		h.fake.Resume()
		h.clock.Move(time.Hour)
		h.pass()
		h.wantDevices("alice")
	})
}

// TestClientIntrospection: a confidential client sees its own tokens and no others (INTRO-9).
func TestClientIntrospection(t *testing.T) {
	h := newOAuthHouse(t)
	h.register("confidential", "s3cret")
	basic := http.Header{"Content-Type": formType["Content-Type"], "Authorization": {basicAuth("confidential", "s3cret")}}
	own := h.tokens(h.do(call{method: http.MethodPost, path: tokenPath, header: basic, body: form("grant_type", "authorization_code",
		"code", h.signedInAs("alice").consent(params("confidential")), "redirect_uri", webCallback, "code_verifier", verifier)}))
	others := h.oauthSession("bob", "app", "PHONE")
	ask := func(header http.Header, fields ...string) answer {
		return h.do(call{method: http.MethodPost, path: "/oauth2/introspect", header: header, body: form(fields...)})
	}
	ask(basic, "token", own.AccessToken).shows(t, http.StatusOK, `"scope":"`+phoneScope+`"`)
	ask(basic, "token", own.RefreshToken).shows(t, http.StatusOK, `"token_type":"refresh_token"`) // INTRO-6
	for _, token := range []string{others.AccessToken, others.RefreshToken, "x", h.loginOn("bob", "LAPTOP").AccessToken} {
		if a := ask(basic, "token", token); a.body != inactive {
			t.Errorf("got %s", a.body)
		}
	}
	h.introspect(own.RefreshToken).shows(t, http.StatusOK, inactive)
	ask(formType, "token", others.AccessToken, "client_id", "app").shows(t, http.StatusUnauthorized, "invalid_client")
	h.clock.Move(6 * time.Minute)
	if a := ask(basic, "token", own.AccessToken); a.body != inactive {
		t.Errorf("got %s", a.body)
	}
}
