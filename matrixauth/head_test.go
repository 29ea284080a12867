package matrixauth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// prefetches are the headers by which browsers say that nobody asked for a page yet.
var prefetches = map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch", "X-Purpose": "preview", "sec-purpose": "Prefetch"}

// TestLooking: neither HEAD nor a browser that guesses changes anything, on any route of ours (HTTP-13).
func TestLooking(t *testing.T) {
	h := newOAuthHouse(t)
	b := h.signedInAs("alice")
	h.tokens(h.exchange("app", b.consent(params("app"))))
	remembered := b.request(params("app", "scope", deviceScope("NEXT")))
	asked := b.request(params("app", "scope", deviceScope("NEXT"), "prompt", "consent"))
	again := b.request(params("app", "scope", deviceScope("NEXT"), "prompt", "login"))
	h.clock.Move(5 * time.Minute) // so that a visit would be noted
	queries := []string{"", "?" + params("app").Encode(), "?" + params("app", "prompt", "none").Encode(), "?" + params("app", "prompt", "none login").Encode()}
	for _, id := range []string{remembered, asked, again, "nobody"} {
		queries = append(queries, "?request="+id)
	}
	pages := 0
	wires := h.current().PathsWithGet()
	for _, path := range slices.Sorted(maps.Keys(wires)) {
		for _, q := range queries {
			for _, v := range []*guest{b, h.guest()} {
				before := h.rows()
				a := h.do(call{method: http.MethodHead, path: path + q, header: v.cookieHeader()})
				if a.body != "" || a.status >= 500 || a.header.Get("Set-Cookie") != "" || h.rows() != before {
					t.Errorf("HEAD %s%s: got %d, cookie %q, rows changed: %v", path, q, a.status, a.header.Get("Set-Cookie"), h.rows() != before)
				}
				if wires[path] != web.PageWire {
					continue
				}
				pages++
				for name, value := range prefetches {
					header := v.cookieHeader()
					header[name] = []string{value}
					a := h.do(call{path: path + q, header: header})
					if a.status != http.StatusTooEarly || a.body != "" || a.header.Get("Set-Cookie") != "" || a.header.Get("Cache-Control") != "no-store" || h.rows() != before {
						t.Errorf("%s: %s of %s%s: got %d, rows changed: %v", name, value, path, q, a.status, h.rows() != before)
					}
				}
			}
		}
	}
	if pages < 50 {
		t.Errorf("only %d pages were looked at", pages)
	}
	t.Run("a HEAD of what only reads is the GET", func(t *testing.T) {
		a := h.do(call{method: http.MethodHead, path: "/account/", header: http.Header{}})
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/account/login" {
			t.Errorf("got %d to %q", a.status, a.header.Get("Location"))
		}
		if a := h.do(call{method: http.MethodHead, path: "/account/login?request=nobody"}); a.status != http.StatusBadRequest {
			t.Errorf("got %d", a.status)
		}
	})
	t.Run("what was looked at is there for who comes", func(t *testing.T) {
		h.tokens(h.exchange("app", b.code(b.get(consentPath+"?request="+url.QueryEscape(remembered)))))
		b.get(consentPath+"?request="+asked).shows(t, http.StatusOK, `name="answer"`)
	})
	t.Run("a form is no look", func(t *testing.T) {
		header := b.cookieHeader()
		maps.Copy(header, formType)
		header["Sec-Fetch-Site"], header["Sec-Purpose"] = []string{"same-origin"}, []string{"prefetch"}
		a := h.do(call{method: http.MethodPost, path: consentPath, header: header, body: form("request", asked, "answer", "continue", web.FormField, web.FormToken(b.value()))})
		b.code(a)
	})
}
