package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// FuzzCookie: a value is taken only if we can have made it, and what is given back is a cookie of the
// guarded name and nothing else (SESS-1).
func FuzzCookie(f *testing.F) {
	value := model.NewBrowserValue()
	for _, header := range []string{
		"", "__Host-matrix_auth=" + value, "__Host-matrix_auth=\"" + value + "\"", "matrix_auth=" + value, "__Host-matrix_auth=x; __Host-matrix_auth=" + value, "__Host-matrix_auth=" + value + "x",
		"__Host-matrix_auth=;;=", "__Host-matrix_auth=\xff", "__Host-matrix_auth= " + value,
	} {
		f.Add(header)
	}
	cookie := NewBrowserCookie(&url.URL{Scheme: "https", Host: "auth.example", Path: "/"})
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Cookie"] = []string{header}
		got := cookie.Value(r)
		if got != "" && !model.IsBrowserValue(got) {
			t.Fatalf("%q gives %q", header, got)
		}
		w := httptest.NewRecorder()
		ensured := cookie.Ensure(w, r)
		if !model.IsBrowserValue(ensured) || got != "" && ensured != got {
			t.Fatalf("%q ensures %q", header, ensured)
		}
		set := w.Result().Cookies()
		if got != "" && len(set) != 0 || got == "" && (len(set) != 1 || set[0].Name != "__Host-matrix_auth" || set[0].Value != ensured || !set[0].Secure || set[0].Domain != "") {
			t.Fatalf("%q sets %v", header, set)
		}
	})
}
