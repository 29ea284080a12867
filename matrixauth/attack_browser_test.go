package matrixauth_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The attacks on people and their browsers.

// forge posts a form to a page with the victim's cookie, as another site has the victim's browser do.
func forge(b *house.Browser, path string, header http.Header, fields ...string) house.Answer {
	b.House.T.Helper()
	all := b.CookieHeader()
	all["Content-Type"] = house.FormType["Content-Type"]
	for name, values := range header {
		all[name] = values
	}
	return b.House.Do(house.Call{Method: http.MethodPost, Path: path, Header: all, Body: house.Form(fields...)})
}

// TestAttackConsentForgery: nobody consents, declines or signs out but the person before the page
// (HTTP-3, RFC 9700 section 4.7).
func TestAttackConsentForgery(t *testing.T) {
	h := house.WithApp(t)
	b, earlier := h.SignedInAs("alice"), h.BrowserWith(model.NewBrowserValue())
	id := b.Request(house.Params("app"))
	mine, bobs := web.FormToken(b.Value()), web.FormToken(h.SignedInAs("bob").Value())
	type header = http.Header
	for name, c := range map[string]struct {
		token  string
		header header
	}{
		"without a token":                         {"", header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of another browser":       {bobs, header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of before the sign-in":    {web.FormToken(earlier.Value()), header{"Sec-Fetch-Site": {"same-origin"}}},
		"with the token of no cookie":             {web.FormToken(""), header{}},
		"with the cookie for a token":             {b.Value(), header{}},
		"cross-site, although with a token":       {mine, header{"Sec-Fetch-Site": {"cross-site"}}},
		"from a sibling host, with a token":       {mine, header{"Sec-Fetch-Site": {"same-site"}, "Origin": {issuerOrigin}}},
		"from another origin, by an old browser":  {mine, header{"Origin": {"https://evil.example"}}},
		"from an origin that begins like ours":    {mine, header{"Origin": {issuerOrigin + ".evil.example"}}},
		"from ours over plain http":               {mine, header{"Origin": {"http://" + house.IssuerHost}}},
		"from nowhere, by an old browser":         {"", header{"Origin": {"null"}}},
		"from a frame of ours in another's page":  {mine, header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"iframe"}}},
		"with a header that no browser would say": {mine, header{"Sec-Fetch-Site": {"SAME-ORIGIN"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for path, fields := range map[string][]string{
				house.ConsentPath: {"request", id, "answer", "continue"}, house.ConsentPath + "?": {"request", id, "answer", "cancel"}, "/account/logout": {"request", id},
			} {
				forge(b, path, c.header, append(fields, web.FormField, c.token)...).WantPage(t, http.StatusForbidden, "Please try again")
			}
		})
	}
	t.Run("by GET", func(t *testing.T) {
		for _, answered := range []string{"continue", "cancel"} {
			b.Get(house.ConsentPath+house.Query("request", id, "answer", answered, web.FormField, mine)).Shows(t, http.StatusOK, "@alice:example.test")
		}
	})
	t.Run("an answer that is none", func(t *testing.T) {
		for _, answered := range []string{"", "yes", "CONTINUE", "continue ", "cancelled"} {
			b.Submit(house.ConsentPath, "request", id, "answer", answered).WantPage(t, http.StatusBadRequest, "This request cannot be answered")
		}
		b.Submit(house.ConsentPath, "request", id).WantPage(t, http.StatusBadRequest, "This request cannot be answered")
		b.Submit(house.ConsentPath+house.Query("request", id, "answer", "continue")).WantPage(t, http.StatusBadRequest, "This request cannot be answered")
	})
	b.Code(b.Submit(house.ConsentPath, "request", id, "answer", "continue"))
}

const issuerOrigin = "https://" + house.IssuerHost

// TestAttackLoginForgery: nobody is signed in to an account of somebody else's (HTTP-3, login CSRF).
func TestAttackLoginForgery(t *testing.T) {
	h := house.WithApp(t)
	attacker := h.Browser()
	attacker.Get("/account/login")
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "another origin": {"Origin": {"https://evil.example"}}, "no header at all": {},
	} {
		for holding, value := range map[string]string{"without a cookie": "", "with a cookie": model.NewBrowserValue()} {
			t.Run(name+" "+holding, func(t *testing.T) {
				a := forge(h.BrowserWith(value), "/account/login", header, "username", "bob", "password", house.AlicesPassword, web.FormField, attacker.Token())
				if a.Status == http.StatusSeeOther && a.Header.Get("Location") == "/account/login?stale=1" && name == "no header at all" {
					return // led to the form anew
				}
				a.WantPage(t, http.StatusForbidden, "Please try again")
				if a.Header.Get("Set-Cookie") != "" && strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age") {
					t.Errorf("a cookie was set: %q", a.Header.Get("Set-Cookie"))
				}
			})
		}
	}
}

// TestAttackFixation: a value that somebody planted before the sign-in opens nothing after it (SESS-2).
func TestAttackFixation(t *testing.T) {
	h := house.WithApp(t)
	planter := h.Browser()
	planter.Get("/account/login")
	planted := planter.Cookies[house.CookieName]
	victim := h.Browser()
	victim.Cookies[house.CookieName] = planted
	victim.SignIn("alice", "")
	fresh := victim.Cookies[house.CookieName]
	if fresh == planted {
		t.Fatal("the planted value is the session now")
	}
	planter.Get("/account/").WantTo(t, "/account/login")
	b := h.BrowserWith(fresh)
	id := b.Request(house.Params("app"))
	h.BrowserWith(planted).Submit(house.ConsentPath, "request", id, "answer", "continue").WantTo(t, "/account/login?request="+id)
	forge(b, house.ConsentPath, http.Header{"Sec-Fetch-Site": {"same-origin"}}, "request", id, "answer", "continue", web.FormField, web.FormToken(planted)).
		WantPage(t, http.StatusForbidden, "Please try again")
	// A sign-in anew, as somebody else, ends the session before.
	victim.Get("/account/")
	victim.Post("/account/login", "username", "bob", "password", house.AlicesPassword).WantTo(t, "/account/")
	b.Get("/account/").WantTo(t, "/account/login")
	// Names without a guarding prefix, which siblings and plain http can plant, count for nothing.
	for _, name := range []string{"matrix_auth", "__Secure-matrix_auth", "__host-matrix_auth", "__Host-matrix_auth2"} {
		a := h.Do(house.Call{Path: "/account/", Header: http.Header{"Cookie": {name + "=" + victim.Cookies[house.CookieName]}}})
		a.WantTo(t, "/account/login")
	}
}

// TestAttackCookieByIssuer: the cookie's name guards it as far as the issuer's address allows (SESS-1).
func TestAttackCookieByIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://" + house.IssuerHost:           "__Host-matrix_auth=; Path=/; HttpOnly; Secure; SameSite=Lax",
		"https://" + house.IssuerHost + "/auth": "__Secure-matrix_auth=; Path=/auth/; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:8080":                 "matrix_auth=; Path=/; HttpOnly; SameSite=Lax",
	} {
		t.Run(issuer, func(t *testing.T) {
			h := house.New(t, house.Unlimited, func(c *matrixauth.Config) { c.Issuer = issuer })
			u, err := url.Parse(issuer)
			h.Must(err)
			a := h.Do(house.Call{Path: u.Path + "/account/login", Host: u.Host})
			line := a.Header.Get("Set-Cookie")
			name, rest, _ := strings.Cut(line, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			if got := name + "=;" + attributes; got != want || len(a.Header.Values("Set-Cookie")) != 1 {
				t.Errorf("got %q", line)
			}
		})
	}
}

// TestAttackConsentBypass: a consent stands for one user, one client and one address, and for nobody who
// looks like them (AUTHZ-18, RFC 8252 section 8.6).
func TestAttackConsentBypass(t *testing.T) {
	asked := func(t *testing.T, b *house.Browser, values url.Values) {
		t.Helper()
		b.Get(house.ConsentPath+"?request="+b.Request(values)).Shows(t, http.StatusOK, `name="answer"`)
		if got, _ := b.Silently(values); got.Get("error") != "consent_required" || got.Has("code") {
			t.Errorf("silently: %v", got)
		}
	}
	t.Run("another user of the same browser", func(t *testing.T) {
		h := house.WithApp(t)
		h.SignedInAs("alice").Consent(house.Params("app"))
		asked(t, h.SignedInAs("bob"), house.Params("app"))
	})
	t.Run("a clone with the same name and address", func(t *testing.T) {
		h := house.WithApp(t)
		h.SignedInAs("alice").Consent(house.Params("app"))
		h.Register("clone", "")
		asked(t, h.SignedInAs("alice"), house.Params("clone"))
	})
	t.Run("the same client at another of its addresses", func(t *testing.T) {
		h := house.WithApp(t)
		h.Register("two", "", func(m *model.ClientMetadata) {
			m.RedirectURIs = append(m.RedirectURIs, "https://app.example.org/other")
		})
		h.SignedInAs("alice").Consent(house.Params("two"))
		asked(t, h.SignedInAs("alice"), house.Params("two", "redirect_uri", "https://app.example.org/other"))
	})
	t.Run("REG-27 the same metadata in another order is the same client, a redirect more is another", func(t *testing.T) {
		h := house.WithApp(t)
		one := h.Enroll(house.Object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b"}})
		again := h.Enroll(house.Object{"redirect_uris": []string{"https://example.com/b", "https://example.com/a"}})
		more := h.Enroll(house.Object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b", "https://example.com/evil"}})
		secret := h.Enroll(house.Object{"redirect_uris": []string{"https://example.com/a", "https://example.com/b"}, "token_endpoint_auth_method": "client_secret_post"})
		if one != again || one == more || one == secret {
			t.Fatalf("%s %s %s %s", one, again, more, secret)
		}
		b := h.SignedInAs("alice")
		b.Consent(house.Params(one, "redirect_uri", "https://example.com/a"))
		for _, id := range []string{more, secret} {
			asked(t, b, house.Params(id, "redirect_uri", "https://example.com/a"))
		}
	})
	t.Run("native clients, each time", func(t *testing.T) {
		for _, uri := range []string{"org.example.app:/", "http://127.0.0.1/cb", "https://app.example.org/native"} {
			h := house.WithApp(t)
			h.Register("native", "", house.Native(uri))
			h.SignedInAs("alice").Consent(house.Params("native", "redirect_uri", uri))
			asked(t, h.SignedInAs("alice"), house.Params("native", "redirect_uri", uri))
		}
	})
	t.Run("a consent of before the account was locked", func(t *testing.T) {
		h := house.WithApp(t)
		b := h.SignedInAs("alice")
		b.Consent(house.Params("app"))
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		if got := b.Response(b.Authorize(house.Params("app", "prompt", "none"))); got.Get("error") != "login_required" {
			t.Errorf("%v", got)
		}
		b.Get(house.ConsentPath+"?request="+h.Browser().Request(house.Params("app"))).Shows(t, http.StatusForbidden, "locked")
	})
}

// TestAttackOpenRedirect: no parameter leads anywhere but to our pages and registered addresses
// (HTTP-8, RFC 9700 section 4.11).
func TestAttackOpenRedirect(t *testing.T) {
	h := house.WithApp(t)
	alice := h.Browser()
	alice.SignIn("alice", "")
	for _, evil := range []string{
		"//evil.example", "///evil.example", `\\evil.example`, `/\evil.example`, "https://evil.example/", "https:evil.example", "javascript:alert(1)", "data:text/html,evil",
		"\r\nLocation: https://evil.example", "%0d%0aLocation:%20https://evil.example", "/\t/evil.example", "..//evil.example", "@evil.example", "x?y=//evil.example", "\x00//evil.example",
	} {
		for _, path := range []string{"/account", "/account/", "/account/browsers", "/account/addresses", "/account/login", "/account/signed-out", house.ConsentPath, house.AuthorizePath} {
			for _, name := range []string{"request", "action", "device_id", "session", "next", "return_to", "continue", "redirect", "redirect_uri", "post_logout_redirect_uri", "stale", "ended"} {
				for _, v := range []*house.Browser{alice, h.Browser()} {
					v.IP = "" // everybody is in the office
					h.Clock.Move(500_000_000)
					a := v.Get(path + house.Query(name, evil))
					wantHome(t, path+" "+name+" "+evil, a)
				}
			}
		}
		alice.Get("/account/")
		token := alice.Token()
		a := alice.Ask(http.MethodPost, "/account/sessions/end"+house.Query("next", evil), house.Form(web.FormField, token, "session", evil, "next", evil), house.SameOriginForm())
		wantHome(t, "end "+evil, a)
		v := h.Browser()
		for _, name := range []string{"request", "action", "device_id", "session", "next", "return_to", "continue", "redirect", "redirect_uri"} {
			v = h.Browser()
			query := house.Query(name, evil)
			if v.Get("/account/login" + query); name == "request" {
				query = "" // such a request is refused before anybody signs in; it may come with the form all the same
				v.Get("/account/login")
			}
			a = v.Ask(http.MethodPost, "/account/login"+query, house.Form(web.FormField, v.Token(), "username", "alice", "password", house.AlicesPassword, name, evil), house.SameOriginForm())
			wantHome(t, "sign in "+name+" "+evil, a)
			signedIn := v.Get("/account/")
			if name == "request" && a.Status != http.StatusSeeOther {
				continue
			}
			if a.Status != http.StatusSeeOther || signedIn.Heading() != "Apps and devices" {
				t.Errorf("%s %q: nobody was signed in: %d, and then %q", name, evil, a.Status, signedIn.Heading())
			}
		}
		v.Get("/account/login")
		a = v.Ask(http.MethodPost, "/account/logout", house.Form(web.FormField, v.Token(), "request", evil), house.SameOriginForm())
		wantHome(t, "sign out "+evil, a)
	}
}

// wantHome checks that a redirect stays on our pages: a path with a single slash before it, made of
// characters that every parser reads alike.
func wantHome(t testing.TB, name string, a house.Answer) {
	t.Helper()
	if a.Header.Get("Location") == "" {
		if a.Status >= 300 && a.Status < 400 {
			t.Errorf("%s: %d without a Location", name, a.Status)
		}
		return
	}
	for _, to := range a.Header.Values("Location") {
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
	wantClean := func(t *testing.T, a house.Answer) {
		t.Helper()
		for _, text := range []string{"<script>alert", "<img src=x", "onload=\"x", "</bdi></title>", "\u202e", "\u2066", "\u200f", "\u200b", "\x07", "ZgotmplZ"} {
			if strings.Contains(a.Body, text) || strings.Contains(html.UnescapeString(a.Body), text) && text[0] > 127 {
				t.Errorf("the page holds %q: %s", text, house.Shown(a))
			}
		}
		if strings.Count(a.Body, "<title>") != 1 || strings.Count(a.Body, "<script") > strings.Count(a.Body, "getElementById") {
			t.Errorf("the page is not ours:\n%s", a.Body)
		}
	}
	h := house.WithApp(t)
	id := h.Enroll(house.Object{
		"client_name": evil, "client_name#de": "DE " + evil, "contacts": []string{evil}, "software_id": evil, "redirect_uris": []string{"https://example.com/cb?a='onclick=alert(1)&b=(x)"},
		"client_uri": "https://example.com/'onclick=alert(1)", "tos_uri": "https://example.com/'()*;,", "policy_uri": "https://example.com/?q=javascript:alert(1)",
	})
	redirect := "https://example.com/cb?a='onclick=alert(1)&b=(x)"
	values := func(changes ...string) url.Values {
		return house.Params(id, append([]string{"redirect_uri", redirect, "state", evil, "login_hint", evil, "prompt", "consent"}, changes...)...)
	}
	b := h.SignedInAs("alice")
	v := h.Browser()
	for _, language := range []string{"en", "de", "ar", "ja"} {
		t.Run(language, func(t *testing.T) {
			h.Clock.Move(60_000_000_000)
			pending := b.Request(values("ui_locales", language+" <script>"))
			page := b.Get(house.ConsentPath + "?request=" + pending)
			page.Shows(t, http.StatusOK, `name="answer"`)
			wantClean(t, page)
			wantClean(t, v.Get("/account/login"+house.Query("request", pending)))
			wantClean(t, v.Post("/account/login"+house.Query("request", pending), "username", "nobody", "password", "x"))
			wantClean(t, b.Authorize(values("ui_locales", language, "scope", evil)))
			wantClean(t, b.Authorize(values("ui_locales", language, "response_mode", evil)))
			wantClean(t, b.Authorize(values("client_id", evil)))
			form := b.Submit(house.ConsentPath, "request", b.Request(values("response_mode", "form_post")), "answer", "continue")
			form.Shows(t, http.StatusOK, `action="https://example.com/cb?a=%27onclick=alert%281%29&amp;b=%28x%29"`)
			if strings.Contains(form.Body, "<script>alert") {
				t.Errorf("the state runs:\n%s", form.Body)
			}
		})
	}
	t.Run("devices and browsers", func(t *testing.T) {
		h.Login("alice", house.Object{"device_id": `D<script>"'&`, "initial_device_display_name": evil})
		h.Tokens(h.Token("grant_type", "authorization_code", "client_id", id, "code", b.Code(b.Submit(house.ConsentPath, "request", b.Request(values()), "answer", "continue")), "redirect_uri", redirect, "code_verifier", house.Verifier))
		a := v.Ask(http.MethodGet, "/account/login", "", http.Header{"User-Agent": {strings.ReplaceAll(evil, "\x07", "")}})
		wantClean(t, a)
		v.Ask(http.MethodPost, "/account/login", house.Form("csrf", v.Token(), "username", "alice", "password", house.AlicesPassword), http.Header{
			"User-Agent": {"Firefox/1 <script>alert(1)</script>"}, "Content-Type": house.FormType["Content-Type"],
		}).WantTo(t, "/account/")
		wantClean(t, v.Follow())
		wantClean(t, v.Get("/account/"+house.Query("action", "org.matrix.device_delete", "device_id", `D<script>"'&`)))
		v.At.WantPage(t, http.StatusOK, "Sign out this session?")
	})
	t.Run("a link cannot make a page of ours say anything", func(t *testing.T) {
		h.Clock.Move(60_000_000_000)
		for _, hint := range []string{"your account is at risk call 0900", "mxid:@support: call us:now", "alice</b>", "@a:b c", "https://evil.example/login", "bob\u202e"} {
			page := b.Get(house.ConsentPath + "?request=" + b.Request(values("login_hint", hint)))
			page.Shows(t, http.StatusOK, `name="answer"`)
			if strings.Contains(house.Shown(page), strings.TrimPrefix(hint, "mxid:")) || strings.Contains(house.Shown(page), "The app asked for") && !strings.HasPrefix(hint, "bob") {
				t.Errorf("%q is shown: %s", hint, house.Shown(page))
			}
		}
		b.Get(house.ConsentPath+"?request="+b.Request(values("login_hint", "bob"))).Shows(t, http.StatusOK, "The app asked for")
	})
	t.Run("a name that nobody sees is none", func(t *testing.T) {
		for _, name := range []string{"\u200b", " \u2060\u00ad", "\u3164", "\u2800\u2800", "\u0301", "\U000E0041"} {
			h.Clock.Move(60_000_000_000)
			nameless := h.Enroll(house.Object{"client_name": name, "redirect_uris": []string{"https://example.com/" + url.PathEscape(name)}})
			page := b.Get(house.ConsentPath + "?request=" + b.Request(house.Params(nameless, "redirect_uri", "https://example.com/"+url.PathEscape(name))))
			page.Shows(t, http.StatusOK, "Continue to <bdi>example.com</bdi>?")
		}
	})
}

// TestAttackHeaders: every page, fine or not, by GET and HEAD, keeps out of frames and caches, and lets
// no word of a request into a header (HTTP-4, HTTP-5, HTTP-6, HTTP-13).
func TestAttackHeaders(t *testing.T) {
	h := house.WithApp(t)
	h.Register("native", "", house.Native("org.example.app:/"))
	b := h.SignedInAs("alice")
	h.LoginOn("alice", "PHONE")
	id := b.Request(house.Params("app"))
	inject := "\r\nX-Evil: 1\r\n\r\n<script>"
	for _, path := range []string{
		"/account/login", "/account/login?request=" + id, "/account/", "/account", "/account/signed-out", "/account/logout", "/account/sessions/end", house.ConsentPath, house.ConsentPath + "?request=" + id,
		"/account/browsers" + house.Query("ended", inject), "/account/addresses" + house.Query("changed", inject), "/account/sessions/end" + house.Query("session", inject), "/account/sessions/end" + house.Query("browser", inject),
		"/account/sessions/end-others" + house.Query("what", "apps"+inject), "/account/sessions/name" + house.Query("session", inject), "/account/password" + house.Query("stale", inject),
		house.ConsentPath + house.Query("request", inject), "/account/login" + house.Query("request", inject), "/account/" + house.Query("action", "session_view", "device_id", "PHONE"+inject), "/account/" + house.Query("action", inject),
		"/account/" + house.Query("action", "session_end", "device_id", "NOSUCH"), house.AuthorizePath, house.AuthorizePath + "?%zz", house.AuthorizePath + "?" + house.Params("app", "state", inject).Encode(), house.AuthorizePath + "?" + house.Params("app", "scope", inject).Encode(),
		house.AuthorizePath + "?" + house.Params("native", "redirect_uri", "org.example.app:/", "response_mode", "form_post").Encode(), house.AuthorizePath + "?" + house.Params("app", "redirect_uri", house.WebCallback+inject).Encode(),
		house.AuthorizePath + "?" + house.Params("app", "prompt", "none", "state", inject).Encode(), house.AuthorizePath + "?" + house.Params("app", "client_id", inject).Encode(), house.AuthorizePath + "?x=" + strings.Repeat("x", 20_000),
	} {
		name, _, _ := strings.Cut(path, "?")
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, visitor := range []http.Header{nil, b.CookieHeader()} {
					a := h.Do(house.Call{Method: method, Path: path, Header: visitor})
					house.WantPageHeaders(t, a)
					if a.Header.Get("X-Evil") != "" || strings.Contains(a.Body, "<script>") || len(a.Header.Values("Location")) > 1 {
						t.Errorf("%s: a header or a script was injected: %v\n%s", path, a.Header, a.Body)
					}
					if method == http.MethodHead && a.Body != "" || a.Status >= 500 {
						t.Errorf("%s: %d %q", path, a.Status, a.Body)
					}
				}
			}
		})
	}
	t.Run("a state with line breaks comes back as it was", func(t *testing.T) { // AUTHZ-11
		for _, mode := range []string{"query", "fragment"} {
			got := b.Response(b.Submit(house.ConsentPath, "request", b.Request(house.Params("app", "state", inject, "response_mode", mode)), "answer", "cancel"))
			if got.Get("state") != inject || got.Get("error") != "access_denied" {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("a form cannot go to the scheme of an app", func(t *testing.T) {
		// A page that sent it would send the code to us instead.
		b.Authorize(house.Params("native", "redirect_uri", "org.example.app:/", "response_mode", "form_post")).Shows(t, http.StatusBadRequest, "error=invalid_request")
	})
}

// TestAttackLog: of a whole sign-in, with all its faults, no secret is in the log (KEY-6, TOK-19). The
// house looks for them when it closes.
func TestAttackLog(t *testing.T) {
	h := house.WithApp(t)
	h.Register("confidential", "a secret that is long")
	h.Secret(house.Verifier)
	v := h.Browser()
	v.SignIn("alice", "")
	h.Secret(v.Cookies[house.CookieName])
	v.Follow()
	h.Secret(v.Token())
	b := h.BrowserWith(v.Cookies[house.CookieName])
	h.Secret(web.FormToken(b.Value()))
	v.Get("/account/login")
	const guess = "a password that is wrong"
	h.Secret(guess)
	v.Post("/account/login", "username", "alice", "password", guess)
	for _, id := range []string{"app", "confidential"} {
		code := b.Consent(house.Params(id, "prompt", "consent"))
		fields := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", house.WebCallback, "code_verifier", house.Verifier}
		header := http.Header{"Content-Type": house.FormType["Content-Type"], "Authorization": {house.BasicAuth(id, "a secret that is long")}}
		if id == "app" {
			fields, header = append(fields, "client_id", "app"), house.FormType
		}
		ask := func(path string, fields ...string) house.Answer {
			return h.Do(house.Call{Method: http.MethodPost, Path: path, Header: header, Body: house.Form(fields...)})
		}
		got := h.Tokens(ask(house.TokenPath, fields...))
		ask(house.TokenPath, fields...)
		h.Clock.Move(60_000_000_000)
		h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath + "?" + house.Form(fields...), Header: house.FormType, Body: house.Form(fields...) + "&%zz" + code})
		h.Do(house.Call{Method: http.MethodPost, Path: house.TokenPath, Header: http.Header{"Content-Type": {"text/" + code}}, Body: house.Form(fields...)})
		h.Do(house.Call{Method: http.MethodPost, Path: house.RevokePath, Header: house.FormType, Body: house.Form("token", got.AccessToken, "client_secret", "a secret that is long", "client_id", "x")})
		h.Do(house.Call{Path: house.AuthorizePath + "?" + house.Params("app", "state", got.RefreshToken, "scope", got.AccessToken, "login_hint", code).Encode()})
		h.Do(house.Call{Path: house.ConsentPath + house.Query("request", code)})
		ask(house.TokenPath, fields...) // a replay, which is logged
		h.WantInactive(got.AccessToken)
	}
	h.Fake.Stop()
	h.Exchange("app", b.Consent(house.Params("app", "prompt", "consent")))
	if log := h.Log.String(); !strings.Contains(log, "presented again") || !strings.Contains(log, `"route":"token"`) {
		t.Errorf("the log does not say what happened:\n%s", log)
	}
}
