package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func cookieOf(t *testing.T, issuer string) *BrowserCookie {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return NewBrowserCookie(u)
}

func TestBrowserCookie(t *testing.T) { // SESS-1, SESS-6
	value := model.NewBrowserValue()
	for issuer, want := range map[string]struct{ name, attributes string }{
		"https://matrix.example.com/":      {"__Host-matrix_auth", "; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax"},
		"https://matrix.example.com:8448/": {"__Host-matrix_auth", "; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax"},
		"https://example.com/auth/":        {"__Secure-matrix_auth", "; Path=/auth/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax"},
		"http://localhost:8080/":           {"matrix_auth", "; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax"},
		"http://127.0.0.1/auth/":           {"matrix_auth", "; Path=/auth/; Max-Age=7776000; HttpOnly; SameSite=Lax"},
	} {
		t.Run(issuer, func(t *testing.T) {
			c := cookieOf(t, issuer)
			w := httptest.NewRecorder()
			c.Set(w, value)
			if got := w.Header().Get("Set-Cookie"); got != want.name+"="+value+want.attributes {
				t.Errorf("got %s", got)
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.AddCookie(&http.Cookie{Name: want.name, Value: value})
			if c.Value(r) != value || c.Ensure(httptest.NewRecorder(), r) != value {
				t.Error("the value does not come back")
			}
			w = httptest.NewRecorder()
			c.Clear(w)
			if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, want.name+"=;") || !strings.Contains(got, "Max-Age=0") {
				t.Errorf("cleared by %s", got)
			}
		})
	}
	t.Run("a value that cannot be ours is none", func(t *testing.T) { // SESS-2
		c := cookieOf(t, "https://example.com/")
		for _, bad := range []string{"", "short", value + "x", strings.Repeat("-", len(value)), value[1:] + "é"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Cookie", "__Host-matrix_auth="+bad)
			if got := c.Value(r); got != "" {
				t.Errorf("%q is taken for %q", bad, got)
			}
			if got := c.Ensure(httptest.NewRecorder(), r); got == bad || !model.IsBrowserValue(got) {
				t.Errorf("%q is replaced by %q", bad, got)
			}
		}
	})
	t.Run("one answer sets one value", func(t *testing.T) {
		c, w, r := cookieOf(t, "https://example.com/"), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		first := c.Ensure(w, r)
		if c.Ensure(w, r) != first {
			t.Error("two values in one answer")
		}
		c.Set(w, value)
		if c.Ensure(w, r) != value || len(w.Header()["Set-Cookie"]) != 1 {
			t.Errorf("the answer sets %q", w.Header()["Set-Cookie"])
		}
		r.AddCookie(&http.Cookie{Name: "__Host-matrix_auth", Value: value})
		c.Clear(w)
		if got := c.Ensure(w, r); got == value || len(w.Header()["Set-Cookie"]) != 1 {
			t.Errorf("a value that was taken away is used: %q", w.Header()["Set-Cookie"])
		}
	})
}

func TestReadFormOfPage(t *testing.T) { // HTTP-3
	c := cookieOf(t, "https://example.com:443/")
	value := model.NewBrowserValue()
	for name, test := range map[string]struct {
		site, origin, cookie, token string
		ok                          bool
	}{
		"from our page":                  {"same-origin", "null", value, FormToken(value), true},
		"by an old browser":              {"", "https://example.com", value, FormToken(value), true},
		"without a word":                 {"", "", value, FormToken(value), true},
		"cross-site":                     {"cross-site", "", value, FormToken(value), false},
		"from a sister site":             {"same-site", "", value, FormToken(value), false},
		"a word that nobody knows":       {"same-planet", "", value, FormToken(value), false},
		"from another origin":            {"", "https://example.com.evil.example", value, FormToken(value), false},
		"over plain http":                {"", "http://example.com", value, FormToken(value), false},
		"without a token":                {"same-origin", "", value, "", false},
		"with another's token":           {"same-origin", "", value, FormToken(model.NewBrowserValue()), false},
		"with the value for a token":     {"same-origin", "", value, value, false},
		"without a cookie":               {"same-origin", "", "", FormToken(""), false},
		"with a cookie that is not ours": {"same-origin", "", "guessed", FormToken("guessed"), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{FormField: {test.token}, "a": {"b"}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for header, v := range map[string]string{"Sec-Fetch-Site": test.site, "Origin": test.origin} {
				if v != "" {
					r.Header.Set(header, v)
				}
			}
			if test.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "__Host-matrix_auth", Value: test.cookie})
			}
			form, err := c.ReadForm(httptest.NewRecorder(), r)
			if test.ok {
				wantCode(t, err, "")
			} else {
				wantCode(t, err, model.CrossOrigin)
			}
			if (form["a"] == "b") != test.ok {
				t.Errorf("the form is %v", form)
			}
		})
	}
}

func TestAllowScript(t *testing.T) { // HTTP-4
	h := http.Header{}
	SetHeaders(h, PageWire)
	AllowScript(h, "")
	const want = "; script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
	if got := h.Get("Content-Security-Policy"); got != pagePolicy+want || strings.Contains(got, "form-action") || strings.Contains(got, "unsafe") {
		t.Errorf("the policy is %q", got)
	}
}
