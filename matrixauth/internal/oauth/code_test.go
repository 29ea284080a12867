package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

func TestCodeFlow(t *testing.T) {
	t.Run("begins a session that Synapse accepts", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		id := b.Request(house.Params("app"))
		page := b.Get(house.ConsentPath + "?request=" + id)
		page.WantStatus(t, http.StatusOK)
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
		h.SignedInAs("alice").Submit(house.ConsentPath, "request", id, "answer", "continue").WantStatus(t, http.StatusBadRequest)
		h.Clock.Move(10 * time.Minute)
		b.Submit(house.ConsentPath, "request", id, "answer", "cancel").WantStatus(t, http.StatusBadRequest)
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
		h.Do(old).WantStatus(t, http.StatusForbidden)
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
		h.BrowserWith(model.NewBrowserValue()).Get("/account/login?request="+id).WantStatus(t, http.StatusBadRequest)
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
		h.SignedInAs("alice").Get(house.ConsentPath+"?request="+id).WantStatus(t, http.StatusBadRequest)
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
			a.WantStatus(t, http.StatusForbidden)
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
