package page

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// newPages makes pages at the issuer of the tests.
func newPages(t testing.TB, c Config) *Pages {
	t.Helper()
	p, err := tryPages(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPages(c Config) (*Pages, error) {
	c.Issuer = &url.URL{Scheme: "https", Host: "matrix.example.com", Path: "/"}
	c.Cookie = web.NewBrowserCookie(c.Issuer)
	c.Now = func() time.Time { return now }
	return New(c)
}

func render(t testing.TB, p *Pages, r *http.Request, content Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	web.SetHeaders(w.Header(), web.PageWire)
	if err := p.Render(w, r, http.StatusOK, content); err != nil {
		t.Fatal(err)
	}
	return w
}
