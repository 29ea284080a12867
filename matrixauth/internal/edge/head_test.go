package edge_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// prefetches are the headers by which browsers say that nobody asked for a page yet.
var prefetches = map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch", "X-Purpose": "preview", "sec-purpose": "Prefetch"}

// TestLooking: neither HEAD nor a browser that guesses changes anything, on any route of ours (HTTP-13).
func TestLooking(t *testing.T) {
	h := house.WithApp(t)
	b := h.SignedInAs("alice")
	h.Tokens(h.Exchange("app", b.Consent(house.Params("app"))))
	remembered := b.Request(house.Params("app", "scope", house.DeviceScope("NEXT")))
	asked := b.Request(house.Params("app", "scope", house.DeviceScope("NEXT"), "prompt", "consent"))
	again := b.Request(house.Params("app", "scope", house.DeviceScope("NEXT"), "prompt", "login"))
	h.Clock.Move(5 * time.Minute) // so that a visit would be noted
	queries := []string{"", "?" + house.Params("app").Encode(), "?" + house.Params("app", "prompt", "none").Encode(), "?" + house.Params("app", "prompt", "none login").Encode()}
	for _, id := range []string{remembered, asked, again, "nobody"} {
		queries = append(queries, "?request="+id)
	}
	pages := 0
	wires := pathsWithGet(h)
	for _, path := range slices.Sorted(maps.Keys(wires)) {
		for _, q := range queries {
			for _, v := range []*house.Browser{b, h.Browser()} {
				before := h.Rows()
				a := h.Do(house.Call{Method: http.MethodHead, Path: path + q, Header: v.CookieHeader()})
				if a.Body != "" || a.Status >= 500 || a.Header.Get("Set-Cookie") != "" || h.Rows() != before {
					t.Errorf("HEAD %s%s: got %d, cookie %q, rows changed: %v", path, q, a.Status, a.Header.Get("Set-Cookie"), h.Rows() != before)
				}
				if wires[path] != web.PageWire {
					continue
				}
				pages++
				for name, value := range prefetches {
					header := v.CookieHeader()
					header[name] = []string{value}
					a := h.Do(house.Call{Path: path + q, Header: header})
					if a.Status != http.StatusTooEarly || a.Body != "" || a.Header.Get("Set-Cookie") != "" || a.Header.Get("Cache-Control") != "no-store" || h.Rows() != before {
						t.Errorf("%s: %s of %s%s: got %d, rows changed: %v", name, value, path, q, a.Status, h.Rows() != before)
					}
				}
			}
		}
	}
	if pages < 50 {
		t.Errorf("only %d pages were looked at", pages)
	}
	t.Run("a HEAD of what only reads is the GET", func(t *testing.T) {
		a := h.Do(house.Call{Method: http.MethodHead, Path: "/account/", Header: http.Header{}})
		if a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/account/login" {
			t.Errorf("got %d to %q", a.Status, a.Header.Get("Location"))
		}
		if a := h.Do(house.Call{Method: http.MethodHead, Path: "/account/login?request=nobody"}); a.Status != http.StatusBadRequest {
			t.Errorf("got %d", a.Status)
		}
	})
	t.Run("what was looked at is there for who comes", func(t *testing.T) {
		h.Tokens(h.Exchange("app", b.Code(b.Get(house.ConsentPath+"?request="+url.QueryEscape(remembered)))))
		b.Get(house.ConsentPath+"?request="+asked).Shows(t, http.StatusOK, `name="answer"`)
	})
	t.Run("a form is no look", func(t *testing.T) {
		header := b.CookieHeader()
		maps.Copy(header, house.FormType)
		header["Sec-Fetch-Site"], header["Sec-Purpose"] = []string{"same-origin"}, []string{"prefetch"}
		a := h.Do(house.Call{Method: http.MethodPost, Path: house.ConsentPath, Header: header, Body: house.Form("request", asked, "answer", "continue", web.FormField, web.FormToken(b.Value()))})
		b.Code(a)
	})
}

// pathsWithGet returns the paths of the public site that can be got, with their wires.
func pathsWithGet(h *house.House) map[string]web.Wire {
	all := map[string]web.Wire{}
	for _, b := range h.Wiring.Routes {
		if b.Handlers[http.MethodGet] == nil || b.Side == web.Internal {
			continue
		}
		for _, path := range h.Wiring.Issuer.Paths(b.Endpoint, web.Public) {
			all[path] = b.Wire
		}
	}
	return all
}
