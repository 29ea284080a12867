package matrixauth

import (
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// guest is a browser: it keeps cookies and the page that it is at, and follows no redirect by itself.
type guest struct {
	h       *house
	cookies map[string]string
	// ip is the address that the guest comes from; empty for the office.
	ip string
	// language is the Accept-Language header.
	language string
	at       answer
}

func (h *house) guest() *guest { return &guest{h: h, cookies: map[string]string{}} }

// cookieName is the cookie that names a browser.
const cookieName = "__Host-matrix_auth"

// browserWith returns a browser whose cookie is known.
func (h *house) browserWith(value string) *guest {
	b := h.guest()
	b.cookies[cookieName] = value
	return b
}

// value is what the browser's cookie holds.
func (v *guest) value() string { return v.cookies[cookieName] }

const browserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// ask makes a request with the guest's cookies and remembers those that come back.
func (v *guest) ask(method, target, body string, header http.Header) answer {
	v.h.t.Helper()
	r, err := http.NewRequestWithContext(v.h.t.Context(), method, v.h.site.URL+strings.TrimPrefix(target, strings.TrimSuffix(issuer, "/")), strings.NewReader(body))
	v.h.must(err)
	r.Host = issuerHost
	r.Header.Set("User-Agent", browserAgent)
	maps.Copy(r.Header, header)
	if v.ip != "" {
		r.Header.Set("X-Test-IP", v.ip)
	}
	if v.language != "" {
		r.Header.Set("Accept-Language", v.language)
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := v.h.http.Transport.RoundTrip(r)
	v.h.must(err)
	defer func() { v.h.must(res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	v.h.must(err)
	for _, cookie := range res.Cookies() {
		if cookie.MaxAge < 0 {
			delete(v.cookies, cookie.Name)
			continue
		}
		v.cookies[cookie.Name] = cookie.Value
	}
	v.at = answer{status: res.StatusCode, header: res.Header, body: string(text)}
	return v.at
}

func (v *guest) get(target string) answer {
	v.h.t.Helper()
	return v.ask(http.MethodGet, target, "", nil)
}

// post sends a form with the token of the page that the guest is at.
func (v *guest) post(target string, fields ...string) answer {
	v.h.t.Helper()
	return v.ask(http.MethodPost, target, form(append([]string{"csrf", v.token()}, fields...)...), sameOriginForm())
}

// submit sends a form with the token that follows from the cookie, as if its page had been opened before.
func (v *guest) submit(target string, fields ...string) answer {
	v.h.t.Helper()
	return v.ask(http.MethodPost, target, form(append(fields, web.FormField, web.FormToken(v.value()))...), sameOriginForm())
}

// cookieHeader is the guest's cookies, for a request of another kind.
func (v *guest) cookieHeader() http.Header {
	r := http.Request{Header: http.Header{}}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r.Header
}

func sameOriginForm() http.Header {
	return http.Header{"Content-Type": formType["Content-Type"], "Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}
}

var hiddenToken = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// token is the form token of the page that the guest is at.
func (v *guest) token() string {
	if match := hiddenToken.FindStringSubmatch(v.at.body); match != nil {
		return html.UnescapeString(match[1])
	}
	return ""
}

// follow goes where the last answer leads.
func (v *guest) follow() answer {
	v.h.t.Helper()
	if v.at.status != http.StatusSeeOther {
		v.h.t.Fatalf("got %d %s, want a redirect", v.at.status, v.at.body)
	}
	return v.get(v.at.header.Get("Location"))
}

// signIn signs in at the sign-in page of a query, and gives where that leads.
func (v *guest) signIn(user, query string) string {
	v.h.t.Helper()
	v.get("/account/login"+query).wantPage(v.h.t, http.StatusOK, "Sign in")
	v.post("/account/login"+query, "username", user, "password", alicesPassword)
	if v.at.status != http.StatusSeeOther {
		v.h.t.Fatalf("got %d %s, want a redirect", v.at.status, v.at.body)
	}
	return v.at.header.Get("Location")
}

var heading = regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)

// heading is the text of the page's heading.
func (a answer) heading() string {
	match := heading.FindStringSubmatch(a.body)
	if match == nil {
		return ""
	}
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(match[1], ""))
}

// wantPage checks status, heading, and what every page has.
func (a answer) wantPage(t testing.TB, status int, want string) {
	t.Helper()
	if a.status != status || a.heading() != want {
		t.Fatalf("got %d %q, want %d %q:\n%s", a.status, a.heading(), status, want, a.body)
	}
	wantPageHeaders(t, a)
}

// wantTo checks where a redirect leads.
func (a answer) wantTo(t testing.TB, location string) {
	t.Helper()
	if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != location {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", a.status, got, location, a.body)
	}
	wantPageHeaders(t, a)
}

// wantPageHeaders checks the headers of every answer of a page (HTTP-4, HTTP-5, HTTP-6, HTTP-12).
func wantPageHeaders(t testing.TB, a answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy":    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
		"X-Frame-Options":            "DENY",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cache-Control":              "no-store",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("a page has %s", name)
		}
	}
	if a.header.Get("Permissions-Policy") == "" {
		t.Error("a page has no Permissions-Policy")
	}
	if kind := a.header.Get("Content-Type"); a.status != http.StatusSeeOther && kind != "text/html; charset=utf-8" {
		t.Errorf("a page has the content type %q", kind)
	}
}

// query makes a query of pairs.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "?" + values.Encode()
}
