package edge

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Some of our pages act when they are opened: a request of an app is stored, a remembered consent gives a code. A
// request that nobody meant must have no effect, whether it is the HEAD of a link checker or a prefetch of a browser.
// Both are answered here, whatever the route.

// head answers HEAD as GET, without a body (HTTP-13), but for what GET would change: where it would write,
// the answer is the bare headers.
func (e *Edge) head(w *recorder, r *http.Request, found *route) error {
	w.keepCookies = true
	err := e.run(w, r.WithContext(store.ReadOnly(r.Context())), found)
	if errors.Is(err, store.ErrReadOnly) && w.status == 0 {
		if found.Wire == web.PageWire {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return err
}

// isPrefetch reports whether this is a GET by which a browser fetches a page before anybody asked for it. No page of ours is
// worth that: each belongs to the moment. What is refused is asked for again when somebody does come.
func isPrefetch(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	// Sec-Purpose is of the Fetch standard and may have parameters; the others are of browsers before it.
	return hasToken(r.Header.Get("Sec-Purpose"), "prefetch") || hasToken(r.Header.Get("Purpose"), "prefetch") || hasToken(r.Header.Get("X-Moz"), "prefetch") ||
		hasToken(r.Header.Get("X-Purpose"), "preview") || hasToken(r.Header.Get("Purpose"), "preview")
}

// hasToken reports whether a header's value begins with a token.
func hasToken(value, token string) bool {
	first, _, _ := strings.Cut(value, ";")
	return strings.EqualFold(strings.TrimSpace(first), token)
}
