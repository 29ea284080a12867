package house

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

// Browser is a browser: it keeps cookies and the page that it is at, and follows no redirect by itself.
type Browser struct {
	House   *House
	Cookies map[string]string
	// IP is the address that the guest comes from; empty for the office.
	IP string
	// Language is the Accept-Language header.
	Language string
	At       Answer
	// Where is the address of the page that was opened last.
	Where string
}

// Browser returns a browser that has no cookies and comes from the office.
func (h *House) Browser() *Browser { return &Browser{House: h, Cookies: map[string]string{}} }

// CookieName is the cookie that names a browser.
const CookieName = "__Host-matrix_auth"

// BrowserWith returns a browser whose cookie is known.
func (h *House) BrowserWith(value string) *Browser {
	b := h.Browser()
	b.Cookies[CookieName] = value
	return b
}

// Value is what the browser's cookie holds.
func (b *Browser) Value() string { return b.Cookies[CookieName] }

// BrowserAgent is the User-Agent of browsers.
const BrowserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// Ask makes a request with the guest's cookies and remembers those that come back.
func (b *Browser) Ask(method, target, body string, header http.Header) Answer {
	b.House.T.Helper()
	r, err := http.NewRequestWithContext(b.House.T.Context(), method, b.House.Site.URL+strings.TrimPrefix(target, strings.TrimSuffix(Issuer, "/")), strings.NewReader(body))
	b.House.Must(err)
	r.Host = IssuerHost
	r.Header.Set("User-Agent", BrowserAgent)
	maps.Copy(r.Header, header)
	if b.IP != "" {
		r.Header.Set("X-Test-IP", b.IP)
	}
	if b.Language != "" {
		r.Header.Set("Accept-Language", b.Language)
	}
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := b.House.Client.Transport.RoundTrip(r)
	b.House.Must(err)
	defer func() { b.House.Must(res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	b.House.Must(err)
	for _, cookie := range res.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.Cookies, cookie.Name)
			continue
		}
		b.Cookies[cookie.Name] = cookie.Value
	}
	b.At = Answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
	return b.At
}

// Get opens an address.
func (b *Browser) Get(target string) Answer {
	b.House.T.Helper()
	b.Where = target
	return b.Ask(http.MethodGet, target, "", nil)
}

// Post sends a form with the token of the page that the guest is at.
func (b *Browser) Post(target string, fields ...string) Answer {
	b.House.T.Helper()
	return b.Ask(http.MethodPost, target, Form(append([]string{"csrf", b.Token()}, fields...)...), SameOriginForm())
}

// Submit sends a form with the token that follows from the cookie, as if its page had been opened before.
func (b *Browser) Submit(target string, fields ...string) Answer {
	b.House.T.Helper()
	return b.Ask(http.MethodPost, target, Form(append(fields, web.FormField, web.FormToken(b.Value()))...), SameOriginForm())
}

// CookieHeader is the guest's cookies, for a request of another kind.
func (b *Browser) CookieHeader() http.Header {
	r := http.Request{Header: http.Header{}}
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r.Header
}

// SameOriginForm returns the headers with which a browser sends a form of our own pages.
func SameOriginForm() http.Header {
	return http.Header{"Content-Type": FormType["Content-Type"], "Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}
}

// HiddenToken finds the form token of a page.
var HiddenToken = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// Token is the form token of the page that the guest is at.
func (b *Browser) Token() string {
	if match := HiddenToken.FindStringSubmatch(b.At.Body); match != nil {
		return html.UnescapeString(match[1])
	}
	return ""
}

// Follow goes where the last answer leads.
func (b *Browser) Follow() Answer {
	b.House.T.Helper()
	if b.At.Status != http.StatusSeeOther {
		b.House.T.Fatalf("got %d %s, want a redirect", b.At.Status, b.At.Body)
	}
	return b.Get(b.At.Header.Get("Location"))
}

// SignIn signs in at the sign-in page of a query, and gives where that leads.
func (b *Browser) SignIn(user, query string) string {
	b.House.T.Helper()
	b.Get("/account/login"+query).WantPage(b.House.T, http.StatusOK, "Sign in")
	b.Post("/account/login"+query, "username", user, "password", AlicesPassword)
	if b.At.Status != http.StatusSeeOther {
		b.House.T.Fatalf("got %d %s, want a redirect", b.At.Status, b.At.Body)
	}
	return b.At.Header.Get("Location")
}

var heading = regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)

// Heading is the text of the page's heading.
func (a Answer) Heading() string {
	match := heading.FindStringSubmatch(a.Body)
	if match == nil {
		return ""
	}
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(match[1], ""))
}

// WantPage checks status, heading, and what every page has.
func (a Answer) WantPage(t testing.TB, status int, want string) {
	t.Helper()
	if a.Status != status || a.Heading() != want {
		t.Fatalf("got %d %q, want %d %q:\n%s", a.Status, a.Heading(), status, want, a.Body)
	}
	WantPageHeaders(t, a)
}

// WantTo checks where a redirect leads, and that the browser gets there by GET (HTTP-7).
func (a Answer) WantTo(t testing.TB, location string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || got != location {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", a.Status, got, location, a.Body)
	}
	WantPageHeaders(t, a)
}

// WantPageHeaders checks the headers of every answer of a page (HTTP-4, HTTP-5, HTTP-6, HTTP-12).
func WantPageHeaders(t testing.TB, a Answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy":    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
		"X-Frame-Options":            "DENY",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cache-Control":              "no-store",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("a page has %s", name)
		}
	}
	if a.Header.Get("Permissions-Policy") == "" {
		t.Error("a page has no Permissions-Policy")
	}
	if kind := a.Header.Get("Content-Type"); a.Status != http.StatusSeeOther && kind != "text/html; charset=utf-8" {
		t.Errorf("a page has the content type %q", kind)
	}
}

// Query makes a query of pairs.
func Query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "?" + values.Encode()
}
