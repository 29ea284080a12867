package matrixauth

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The attacks on people and their browsers.

// forge posts a form to a page with the victim's cookie, as another site has the victim's browser do.
func (b *guest) forge(path string, header http.Header, fields ...string) answer {
	b.h.t.Helper()
	all := b.cookieHeader()
	all["Content-Type"] = formType["Content-Type"]
	for name, values := range header {
		all[name] = values
	}
	return b.h.do(call{method: http.MethodPost, path: path, header: all, body: form(fields...)})
}

// TestAttackConsentForgery: nobody consents, declines or signs out but the person before the page
// (HTTP-3, RFC 9700 section 4.7).
func TestAttackConsentForgery(t *testing.T) {
	h := newOAuthHouse(t)
	b, earlier := h.signedInAs("alice"), h.browserWith(model.NewBrowserValue())
	id := b.request(params("app"))
	mine, bobs := web.FormToken(b.value()), web.FormToken(h.signedInAs("bob").value())
	type header = http.Header
	for name, c := range map[string]struct {
		token  string
		header header
	}{
		"without a token":                         {"", header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of another browser":       {bobs, header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of before the sign-in":    {web.FormToken(earlier.value()), header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of no cookie":             {web.FormToken(""), header{}},
		"with the cookie for a token":             {b.value(), header{}},
		"cross-site, although with a token":       {mine, header{"Sec-Fetch-Site": {"cross-site"}}},
		"from a sibling host, with a token":       {mine, header{"Sec-Fetch-Site": {"same-site"}, "Origin": {issuerOrigin}}},
		"from another origin, by an old browser":  {mine, header{"Origin": {"https://evil.example"}}},
		"from an origin that begins like ours":    {mine, header{"Origin": {issuerOrigin + ".evil.example"}}},
		"from ours over plain http":               {mine, header{"Origin": {"http://" + issuerHost}}},
		"from nowhere, by an old browser":         {"", header{"Origin": {"null"}}},
		"from a frame of ours in another's page":  {mine, header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"iframe"}}},
		"with a header that no browser would say": {mine, header{"Sec-Fetch-Site": {"SAME-ORIGIN"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for path, fields := range map[string][]string{
				consentPath: {"request", id, "answer", "continue"}, consentPath + "?": {"request", id, "answer", "cancel"}, "/account/logout": {"request", id},
			} {
				b.forge(path, c.header, append(fields, web.FormField, c.token)...).wantPage(t, http.StatusForbidden, "Please try again")
			}
		})
	}
	t.Run("by GET", func(t *testing.T) {
		for _, answered := range []string{"continue", "cancel"} {
			b.get(consentPath+query("request", id, "answer", answered, web.FormField, mine)).shows(t, http.StatusOK, "@alice:example.test")
		}
	})
	t.Run("an answer that is none", func(t *testing.T) {
		for _, answered := range []string{"", "yes", "CONTINUE", "continue ", "cancelled"} {
			b.submit(consentPath, "request", id, "answer", answered).wantPage(t, http.StatusBadRequest, "This request cannot be answered")
		}
		b.submit(consentPath, "request", id).wantPage(t, http.StatusBadRequest, "This request cannot be answered")
		b.submit(consentPath+query("request", id, "answer", "continue")).wantPage(t, http.StatusBadRequest, "This request cannot be answered")
	})
	b.code(b.submit(consentPath, "request", id, "answer", "continue"))
}

const issuerOrigin = "https://" + issuerHost

// TestAttackLoginForgery: nobody is signed in to an account of somebody else's (HTTP-3, login CSRF).
func TestAttackLoginForgery(t *testing.T) {
	h := newOAuthHouse(t)
	attacker := h.guest()
	attacker.get("/account/login")
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "another origin": {"Origin": {"https://evil.example"}}, "no header at all": {},
	} {
		for holding, value := range map[string]string{"without a cookie": "", "with a cookie": model.NewBrowserValue()} {
			t.Run(name+" "+holding, func(t *testing.T) {
				a := h.browserWith(value).forge("/account/login", header, "username", "bob", "password", alicesPassword, web.FormField, attacker.token())
				if a.status == http.StatusSeeOther && a.header.Get("Location") == "/account/login?stale=1" && name == "no header at all" {
					return // led to the form anew
				}
				a.wantPage(t, http.StatusForbidden, "Please try again")
				if a.header.Get("Set-Cookie") != "" && strings.Contains(a.header.Get("Set-Cookie"), "Max-Age") {
					t.Errorf("a cookie was set: %q", a.header.Get("Set-Cookie"))
				}
			})
		}
	}
}

// TestAttackFixation: a value that somebody planted before the sign-in opens nothing after it (SESS-2).
func TestAttackFixation(t *testing.T) {
	h := newOAuthHouse(t)
	planter := h.guest()
	planter.get("/account/login")
	planted := planter.cookies[cookieName]
	victim := h.guest()
	victim.cookies[cookieName] = planted
	victim.signIn("alice", "")
	fresh := victim.cookies[cookieName]
	if fresh == planted {
		t.Fatal("the planted value is the session now")
	}
	planter.get("/account/").wantTo(t, "/account/login")
	b := h.browserWith(fresh)
	id := b.request(params("app"))
	h.browserWith(planted).submit(consentPath, "request", id, "answer", "continue").wantTo(t, "/account/login?request="+id)
	b.forge(consentPath, http.Header{"Sec-Fetch-Site": {"same-origin"}}, "request", id, "answer", "continue", web.FormField, web.FormToken(planted)).
		wantPage(t, http.StatusForbidden, "Please try again")
	// A sign-in anew, as somebody else, ends the session before.
	victim.get("/account/")
	victim.post("/account/login", "username", "bob", "password", alicesPassword).wantTo(t, "/account/")
	b.get("/account/").wantTo(t, "/account/login")
	// Names without a guarding prefix, which siblings and plain http can plant, count for nothing.
	for _, name := range []string{"matrix_auth", "__Secure-matrix_auth", "__host-matrix_auth", "__Host-matrix_auth2"} {
		a := h.do(call{path: "/account/", header: http.Header{"Cookie": {name + "=" + victim.cookies[cookieName]}}})
		a.wantTo(t, "/account/login")
	}
}

// TestAttackCookieByIssuer: the cookie's name guards it as far as the issuer's address allows (SESS-1).
func TestAttackCookieByIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://" + issuerHost:           "__Host-matrix_auth=; Path=/; HttpOnly; Secure; SameSite=Lax",
		"https://" + issuerHost + "/auth": "__Secure-matrix_auth=; Path=/auth/; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:8080":           "matrix_auth=; Path=/; HttpOnly; SameSite=Lax",
	} {
		t.Run(issuer, func(t *testing.T) {
			h := newHouse(t, unlimited, func(c *Config) { c.Issuer = issuer })
			u, err := url.Parse(issuer)
			h.must(err)
			a := h.do(call{path: u.Path + "/account/login", host: u.Host})
			line := a.header.Get("Set-Cookie")
			name, rest, _ := strings.Cut(line, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			if got := name + "=;" + attributes; got != want || len(a.header.Values("Set-Cookie")) != 1 {
				t.Errorf("got %q", line)
			}
		})
	}
}

// TestAttackConsentBypass: a consent stands for one user, one client and one address, and for nobody who
// looks like them (AUTHZ-18, RFC 8252 section 8.6).
func TestAttackConsentBypass(t *testing.T) {
	asked := func(t *testing.T, b *guest, values url.Values) {
		t.Helper()
		b.get(consentPath+"?request="+b.request(values)).shows(t, http.StatusOK, `name="answer"`)
		if got, _ := b.silently(values); got.Get("error") != "consent_required" || got.Has("code") {
			t.Errorf("silently: %v", got)
		}
	}
	t.Run("another user of the same browser", func(t *testing.T) {
		h := newOAuthHouse(t)
		h.signedInAs("alice").consent(params("app"))
		asked(t, h.signedInAs("bob"), params("app"))
	})
	t.Run("a clone with the same name and address", func(t *testing.T) {
		h := newOAuthHouse(t)
		h.signedInAs("alice").consent(params("app"))
		h.register("clone", "")
		asked(t, h.signedInAs("alice"), params("clone"))
	})
	t.Run("the same client at another of its addresses", func(t *testing.T) {
		h := newOAuthHouse(t)
		h.register("two", "", func(m *model.ClientMetadata) {
			m.RedirectURIs = append(m.RedirectURIs, "https://app.example.org/other")
		})
		h.signedInAs("alice").consent(params("two"))
		asked(t, h.signedInAs("alice"), params("two", "redirect_uri", "https://app.example.org/other"))
	})
	t.Run("REG-27 the same metadata in another order is the same client, a redirect more is another", func(t *testing.T) {
		h := newOAuthHouse(t)
		one := h.enroll(object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b"}})
		again := h.enroll(object{"redirect_uris": []string{"https://example.com/b", "https://example.com/a"}})
		more := h.enroll(object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b", "https://example.com/evil"}})
		secret := h.enroll(object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b"}, "token_endpoint_auth_method": "client_secret_post"})
		if one != again || one == more || one == secret {
			t.Fatalf("%s %s %s %s", one, again, more, secret)
		}
		b := h.signedInAs("alice")
		b.consent(params(one, "redirect_uri", "https://example.com/a"))
		for _, id := range []string{more, secret} {
			asked(t, b, params(id, "redirect_uri", "https://example.com/a"))
		}
	})
	t.Run("native clients, each time", func(t *testing.T) {
		for _, uri := range []string{"org.example.app:/", "http://127.0.0.1/cb", "https://app.example.org/native"} {
			h := newOAuthHouse(t)
			h.register("native", "", native(uri))
			h.signedInAs("alice").consent(params("native", "redirect_uri", uri))
			asked(t, h.signedInAs("alice"), params("native", "redirect_uri", uri))
		}
	})
	t.Run("a consent of before the account was locked", func(t *testing.T) {
		h := newOAuthHouse(t)
		b := h.signedInAs("alice")
		b.consent(params("app"))
		act(h, LockUser, Name{User: "alice"})
		if got := b.response(b.authorize(params("app", "prompt", "none"))); got.Get("error") != "login_required" {
			t.Errorf("%v", got)
		}
		b.get(consentPath+"?request="+h.guest().request(params("app"))).shows(t, http.StatusForbidden, "locked")
	})
}

// TestAttackOpenRedirect: no parameter leads anywhere but to our pages and registered addresses
// (HTTP-8, RFC 9700 section 4.11).
func TestAttackOpenRedirect(t *testing.T) {
	h := newOAuthHouse(t)
	alice := h.guest()
	alice.signIn("alice", "")
	for _, evil := range []string{
		"//evil.example", "///evil.example", `\\evil.example`, `/\evil.example`, "https://evil.example/", "https:evil.example", "javascript:alert(1)", "data:text/html,evil",
		"\r\nLocation: https://evil.example", "%0d%0aLocation:%20https://evil.example", "/\t/evil.example", "..//evil.example", "@evil.example", "x?y=//evil.example", "\x00//evil.example",
	} {
		for _, path := range []string{"/account", "/account/", "/account/login", "/account/signed-out", consentPath, authorizePath} {
			for _, name := range []string{"request", "action", "device_id", "session", "next", "return_to", "continue", "redirect", "redirect_uri", "post_logout_redirect_uri", "stale", "ended"} {
				for _, v := range []*guest{alice, h.guest()} {
					v.ip = "" // everybody is in the office
					h.clock.Move(500_000_000)
					a := v.get(path + query(name, evil))
					wantHome(t, path+" "+name+" "+evil, a)
				}
			}
		}
		alice.get("/account/")
		token := alice.token()
		a := alice.ask(http.MethodPost, "/account/sessions/end"+query("next", evil), form(web.FormField, token, "session", evil, "next", evil), sameOriginForm())
		wantHome(t, "end "+evil, a)
		v := h.guest()
		v.get("/account/login")
		a = v.ask(http.MethodPost, "/account/login"+query("request", evil, "next", evil), form(web.FormField, v.token(), "username", "alice", "password", alicesPassword, "next", evil), sameOriginForm())
		wantHome(t, "sign in "+evil, a)
		v.get("/account/login")
		a = v.ask(http.MethodPost, "/account/logout", form(web.FormField, v.token(), "request", evil), sameOriginForm())
		wantHome(t, "sign out "+evil, a)
	}
}

// wantHome checks that a redirect stays on our pages: a path with a single slash before it, made of
// characters that every parser reads alike.
func wantHome(t testing.TB, name string, a answer) {
	t.Helper()
	if a.header.Get("Location") == "" {
		if a.status >= 300 && a.status < 400 {
			t.Errorf("%s: %d without a Location", name, a.status)
		}
		return
	}
	for _, to := range a.header.Values("Location") {
		path, rest, _ := strings.Cut(to, "?")
		if !strings.HasPrefix(path, "/account/") || strings.ContainsAny(to, "\\\r\n\t \x00") || strings.ContainsAny(rest, "/@:") {
			t.Errorf("%s: leads to %q", name, to)
		}
	}
}

// TestAttackMarkup: what clients, links and devices say of themselves is text, without control characters
// and without those that turn the direction of the text around them (HTTP-9).
func TestAttackMarkup(t *testing.T) {
	const evil = "Evil</bdi></title><script>alert(1)</script><img src=x onerror=alert(1)>\" onload=\"x\u202egnp.exe\u2066\u200f\x07\u200b' {{.}}"
	wantClean := func(t *testing.T, a answer) {
		t.Helper()
		for _, text := range []string{"<script>alert", "<img src=x", "onload=\"x", "</bdi></title>", "\u202e", "\u2066", "\u200f", "\u200b", "\x07", "ZgotmplZ"} {
			if strings.Contains(a.body, text) || strings.Contains(html.UnescapeString(a.body), text) && text[0] > 127 {
				t.Errorf("the page holds %q: %s", text, shown(a))
			}
		}
		if strings.Count(a.body, "<title>") != 1 || strings.Count(a.body, "<script") > strings.Count(a.body, "getElementById") {
			t.Errorf("the page is not ours:\n%s", a.body)
		}
	}
	h := newOAuthHouse(t)
	id := h.enroll(object{
		"client_name": evil, "client_name#de": "DE " + evil, "contacts": []string{evil}, "software_id": evil, "redirect_uris": []string{"https://example.com/cb?a='onclick=alert(1)&b=(x)"},
		"client_uri": "https://example.com/'onclick=alert(1)", "tos_uri": "https://example.com/'()*;,", "policy_uri": "https://example.com/?q=javascript:alert(1)",
	})
	redirect := "https://example.com/cb?a='onclick=alert(1)&b=(x)"
	values := func(changes ...string) url.Values {
		return params(id, append([]string{"redirect_uri", redirect, "state", evil, "login_hint", evil, "prompt", "consent"}, changes...)...)
	}
	b := h.signedInAs("alice")
	v := h.guest()
	for _, language := range []string{"en", "de"} {
		t.Run(language, func(t *testing.T) {
			h.clock.Move(60_000_000_000)
			pending := b.request(values("ui_locales", language+" <script>"))
			page := b.get(consentPath + "?request=" + pending)
			page.shows(t, http.StatusOK, `name="answer"`)
			wantClean(t, page)
			wantClean(t, v.get("/account/login"+query("request", pending)))
			wantClean(t, v.post("/account/login"+query("request", pending), "username", "nobody", "password", "x"))
			wantClean(t, b.authorize(values("ui_locales", language, "scope", evil)))
			wantClean(t, b.authorize(values("ui_locales", language, "response_mode", evil)))
			wantClean(t, b.authorize(values("client_id", evil)))
			form := b.submit(consentPath, "request", b.request(values("response_mode", "form_post")), "answer", "continue")
			form.shows(t, http.StatusOK, `action="https://example.com/cb?a=%27onclick=alert%281%29&amp;b=%28x%29"`)
			if strings.Contains(form.body, "<script>alert") {
				t.Errorf("the state runs:\n%s", form.body)
			}
		})
	}
	t.Run("devices and browsers", func(t *testing.T) {
		h.login("alice", object{"device_id": `D<script>"'&`, "initial_device_display_name": evil})
		h.tokens(h.token("grant_type", "authorization_code", "client_id", id, "code", b.code(b.submit(consentPath, "request", b.request(values()), "answer", "continue")), "redirect_uri", redirect, "code_verifier", verifier))
		a := v.ask(http.MethodGet, "/account/login", "", http.Header{"User-Agent": {strings.ReplaceAll(evil, "\x07", "")}})
		wantClean(t, a)
		v.ask(http.MethodPost, "/account/login", form("csrf", v.token(), "username", "alice", "password", alicesPassword), http.Header{
			"User-Agent": {"Firefox/1 <script>alert(1)</script>"}, "Content-Type": formType["Content-Type"],
		}).wantTo(t, "/account/")
		wantClean(t, v.follow())
		wantClean(t, v.get("/account/"+query("action", "org.matrix.device_delete", "device_id", `D<script>"'&`)))
		v.at.wantPage(t, http.StatusOK, "Sign out this session?")
	})
	t.Run("a link cannot make a page of ours say anything", func(t *testing.T) {
		h.clock.Move(60_000_000_000)
		for _, hint := range []string{"your account is at risk call 0900", "mxid:@support: call us:now", "alice</b>", "@a:b c", "https://evil.example/login", "bob\u202e"} {
			page := b.get(consentPath + "?request=" + b.request(values("login_hint", hint)))
			page.shows(t, http.StatusOK, `name="answer"`)
			if strings.Contains(shown(page), strings.TrimPrefix(hint, "mxid:")) || strings.Contains(shown(page), "The app asked for") && !strings.HasPrefix(hint, "bob") {
				t.Errorf("%q is shown: %s", hint, shown(page))
			}
		}
		b.get(consentPath+"?request="+b.request(values("login_hint", "bob"))).shows(t, http.StatusOK, "The app asked for")
	})
	t.Run("a name that nobody sees is none", func(t *testing.T) {
		for _, name := range []string{"\u200b", " \u2060\u00ad", "\u3164", "\u2800\u2800", "\u0301", "\U000E0041"} {
			h.clock.Move(60_000_000_000)
			nameless := h.enroll(object{"client_name": name, "redirect_uris": []string{"https://example.com/" + url.PathEscape(name)}})
			page := b.get(consentPath + "?request=" + b.request(params(nameless, "redirect_uri", "https://example.com/"+url.PathEscape(name))))
			page.shows(t, http.StatusOK, "Continue to <bdi>example.com</bdi>?")
		}
	})
}

// TestAttackHeaders: every page, fine or not, by GET and HEAD, keeps out of frames and caches, and lets
// no word of a request into a header (HTTP-4, HTTP-5, HTTP-6, HTTP-13).
func TestAttackHeaders(t *testing.T) {
	h := newOAuthHouse(t)
	h.register("native", "", native("org.example.app:/"))
	b := h.signedInAs("alice")
	h.loginOn("alice", "PHONE")
	id := b.request(params("app"))
	inject := "\r\nX-Evil: 1\r\n\r\n<script>"
	for _, path := range []string{
		"/account/login", "/account/login?request=" + id, "/account/", "/account", "/account/signed-out", "/account/logout", "/account/sessions/end", consentPath, consentPath + "?request=" + id,
		consentPath + query("request", inject), "/account/login" + query("request", inject), "/account/" + query("action", "session_view", "device_id", "PHONE"+inject), "/account/" + query("action", inject),
		"/account/" + query("action", "session_end", "device_id", "NOSUCH"), authorizePath, authorizePath + "?%zz", authorizePath + "?" + params("app", "state", inject).Encode(), authorizePath + "?" + params("app", "scope", inject).Encode(),
		authorizePath + "?" + params("native", "redirect_uri", "org.example.app:/", "response_mode", "form_post").Encode(), authorizePath + "?" + params("app", "redirect_uri", webCallback+inject).Encode(),
		authorizePath + "?" + params("app", "prompt", "none", "state", inject).Encode(), authorizePath + "?" + params("app", "client_id", inject).Encode(), authorizePath + "?x=" + strings.Repeat("x", 20_000),
	} {
		name, _, _ := strings.Cut(path, "?")
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, visitor := range []http.Header{nil, b.cookieHeader()} {
					a := h.do(call{method: method, path: path, header: visitor})
					wantPageHeaders(t, a)
					if a.header.Get("X-Evil") != "" || strings.Contains(a.body, "<script>") || len(a.header.Values("Location")) > 1 {
						t.Errorf("%s: a header or a script was injected: %v\n%s", path, a.header, a.body)
					}
					if method == http.MethodHead && a.body != "" || a.status >= 500 {
						t.Errorf("%s: %d %q", path, a.status, a.body)
					}
				}
			}
		})
	}
	t.Run("a state with line breaks comes back as it was", func(t *testing.T) { // AUTHZ-11
		for _, mode := range []string{"query", "fragment"} {
			got := b.response(b.submit(consentPath, "request", b.request(params("app", "state", inject, "response_mode", mode)), "answer", "cancel"))
			if got.Get("state") != inject || got.Get("error") != "access_denied" {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("a form cannot go to the scheme of an app", func(t *testing.T) {
		// A page that sent it would send the code to us instead.
		b.authorize(params("native", "redirect_uri", "org.example.app:/", "response_mode", "form_post")).shows(t, http.StatusBadRequest, "error=invalid_request")
	})
}

// TestCancelAtSignIn: who is asked to sign in has a way out too, and the client hears of it (AUTHZ-20).
func TestCancelAtSignIn(t *testing.T) {
	h := newOAuthHouse(t)
	for language, word := range map[string]string{"en": "Cancel", "de": "Abbrechen"} {
		v := h.guest()
		v.get(authorizePath + "?" + params("app", "ui_locales", language).Encode())
		v.follow()
		v.follow().shows(t, http.StatusOK, `value="cancel">`+word+"</button>")
		id := hidden(v.at.body, "request")
		got := h.guest().response(v.post(consentPath, "request", id, "answer", "cancel"))
		if got.Get("error") != "access_denied" || got.Get("iss") != issuer || got.Get("state") == "" {
			t.Errorf("%v", got)
		}
		// Who comes back is sent on once more.
		v.get("/account/login"+query("request", id)).wantTo(t, consentPath+query("request", id))
		if again := h.guest().response(v.follow()); again.Encode() != got.Encode() {
			t.Errorf("%v", again)
		}
	}
	v := h.guest()
	if v.get("/account/login"); strings.Contains(v.at.body, "cancel") {
		t.Error("a sign-in for nobody can be cancelled")
	}
}

// TestAttackLog: of a whole sign-in, with all its faults, no secret is in the log (KEY-6, TOK-19). The
// house looks for them when it closes.
func TestAttackLog(t *testing.T) {
	h := newOAuthHouse(t)
	h.register("confidential", "a secret that is long")
	h.secret(verifier)
	v := h.guest()
	v.signIn("alice", "")
	h.secret(v.cookies[cookieName])
	v.follow()
	h.secret(v.token())
	b := h.browserWith(v.cookies[cookieName])
	h.secret(web.FormToken(b.value()))
	v.get("/account/login")
	const guess = "a password that is wrong"
	h.secret(guess)
	v.post("/account/login", "username", "alice", "password", guess)
	for _, id := range []string{"app", "confidential"} {
		code := b.consent(params(id, "prompt", "consent"))
		fields := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", webCallback, "code_verifier", verifier}
		header := http.Header{"Content-Type": formType["Content-Type"], "Authorization": {basicAuth(id, "a secret that is long")}}
		if id == "app" {
			fields, header = append(fields, "client_id", "app"), formType
		}
		ask := func(path string, fields ...string) answer {
			return h.do(call{method: http.MethodPost, path: path, header: header, body: form(fields...)})
		}
		got := h.tokens(ask(tokenPath, fields...))
		ask(tokenPath, fields...)
		h.clock.Move(60_000_000_000)
		h.do(call{method: http.MethodPost, path: tokenPath + "?" + form(fields...), header: formType, body: form(fields...) + "&%zz" + code})
		h.do(call{method: http.MethodPost, path: tokenPath, header: http.Header{"Content-Type": {"text/" + code}}, body: form(fields...)})
		h.do(call{method: http.MethodPost, path: revokePath, header: formType, body: form("token", got.AccessToken, "client_secret", "a secret that is long", "client_id", "x")})
		h.do(call{path: authorizePath + "?" + params("app", "state", got.RefreshToken, "scope", got.AccessToken, "login_hint", code).Encode()})
		h.do(call{path: consentPath + query("request", code)})
		ask(tokenPath, fields...) // a replay, which is logged
		h.wantInactive(got.AccessToken)
	}
	h.fake.Stop()
	h.exchange("app", b.consent(params("app", "prompt", "consent")))
	if log := h.log.String(); !strings.Contains(log, "presented again") || !strings.Contains(log, `"route":"token"`) {
		t.Errorf("the log does not say what happened:\n%s", log)
	}
}
