package matrixauth_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestAttackRedirect: only what was registered, to the letter, is ever redirected to (AUTHZ-4, AUTHZ-5,
// RFC 9700 section 4.1).
func TestAttackRedirect(t *testing.T) {
	h := house.New(t, house.Unlimited, house.Registrations(matrixauth.Rate{Burst: 1000, PerMinute: 1000}))
	h.Add("alice")
	b := h.SignedInAs("alice")
	ask := func(id, uri string) house.Answer {
		h.Clock.Move(time.Second) // requests are limited by the minute
		return b.Authorize(house.Params(id, "redirect_uri", uri))
	}
	for _, c := range []struct {
		kind, registered  string
		accepted, refused []string
	}{
		{"web", "https://example.com/callback", nil, []string{
			"https://example.com/callback#fragment", "http://example.com/callback", "https://other.org/callback", "https://user:pw@example.com/callback",
			"https://notexample.com/callback", "https://example.com.evil.org/callback", "https://example.com/callback/", "https://example.com/callback?x=1",
			"https://example.com/callback?", "https://EXAMPLE.com/callback", "HTTPS://example.com/callback", "https://example.com:443/callback",
			"https://example.com./callback", "https://example.com/./callback", "https://example.com/x/../callback", "https://example.com//callback",
			"https://example.com/%63allback", "https://example.com/callback%00", "https://example.com/callback\x00", "https://example.com/callback ",
			" https://example.com/callback", "https://example.com\\@evil.org/callback", "https://evil.org\\.example.com/callback", "https://example.com@evil.org/callback",
			"https://evil.org#@example.com/callback", "https://evil.org?.example.com/callback", "https://exam\u200bple.com/callback", "https://еxample.com/callback",
			"//example.com/callback", "/callback", "callback", "javascript:alert(1)//https://example.com/callback", "data:text/html,x",
			"https://example.com/callback\r\nSet-Cookie: a=b", "https://example.com/callback\thttps://evil.org", "https://example.com/callback,https://evil.org/",
			"https://example.com/callback https://evil.org/", "https://example.com/callback&redirect_uri=https://evil.org/", "https://sub.example.com/callback",
		}},
		{"web", "https://example.com:5173/?query=value", nil, []string{
			"https://example.com/?query=value", "https://example.com:5174/?query=value", "https://example.com:5173/?query=value&x=1", "https://example.com:5173/?query=other", "https://example.com:5173/",
		}},
		{"native", "http://127.0.0.1/", []string{"http://127.0.0.1:49152/", "http://127.0.0.1:1/", "http://127.0.0.1:65535/"}, []string{
			"http://localhost:49152/", "http://127.0.0.1:49152/x", "https://127.0.0.1:49152/", "http://127.0.0.2/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:/",
			"http://127.0.0.1:080/", "http://127.0.0.1:80:80/", "http://127.0.0.1:80@evil.org/", "http://127.0.0.1@evil.org/", "http://127.0.0.1.evil.org/", "http://127.1/",
			"http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://[::1]:49152/", "http://127.0.0.1:49152", "http://127.0.0.1:49152/?", "http://127.0.0.1:49152/#",
			"http://127.0.0.1:+80/", "http://127.0.0.1:8 0/", "http://127.0.0.1:４９/",
		}},
		{"native", "http://localhost/callback", []string{"http://localhost:8080/callback"}, []string{"http://localhost.evil.org/callback", "http://LOCALHOST:8080/callback", "http://localhost:8080/callback/..", "http://127.0.0.1:8080/callback"}},
		{"native", "http://[::1]/callback", []string{"http://[::1]:8080/callback"}, []string{"http://[::2]/callback", "http://[0:0:0:0:0:0:0:1]:8080/callback", "http://[::1]evil.org/callback", "http://::1/callback", "http://[::1%25eth0]/callback"}},
		{"native", "com.example.app:/callback", nil, []string{
			"example:/callback", "com.examplefoo:/callback", "com.example.app://callback", "com.example.app:/callback#f", "COM.EXAMPLE.APP:/callback", "com.example.app:callback",
			"com.example.app:/callback/", "com.example.app:/callback?x", "com.example:/callback", "com.example.app.evil:/callback",
		}},
		{"native", "https://app.example.com/cb", nil, []string{"https://app.example.com:8443/cb", "http://app.example.com/cb", "https://localhost/cb"}},
		{"web", "https://example.com/", nil, []string{"http://localhost/", "https://example.com:49152/"}}, // no port is free but that of loopback
	} {
		t.Run(c.registered, func(t *testing.T) {
			id := h.Enroll(house.Object{"application_type": c.kind, "redirect_uris": []string{c.registered}})
			for _, uri := range append(c.accepted, c.registered) {
				if a := ask(id, uri); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), house.ConsentPath) {
					t.Errorf("%q: got %d to %q", uri, a.Status, a.Header.Get("Location"))
				}
			}
			for _, uri := range c.refused {
				t.Run(uri, func(t *testing.T) { house.WantPageOnly(t, ask(id, uri), "evil") })
			}
			for _, uri := range mutations(c.registered, 60) {
				if a := ask(id, uri); a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
					t.Errorf("%q passes for %q: %d to %q", uri, c.registered, a.Status, a.Header.Get("Location"))
				}
			}
			// Silence is no excuse: prompt=none is judged by the same rule.
			house.WantPageOnly(t, b.Authorize(house.Params(id, "redirect_uri", "https://evil.org/", "prompt", "none")), "evil")
		})
	}
}

// mutations are addresses a slip away from uri: a character changed, dropped, doubled or put in. They
// are the same at every run. A change of the port alone is none, as that may be free.
func mutations(uri string, count int) []string {
	random := rand.New(rand.NewPCG(1, uint64(len(uri))))
	const alphabet = "aZ0./:?#@%\\&=;+-_~[] \t\x00\x7fé"
	var all []string
	for len(all) < count {
		i, c := random.IntN(len(uri)), alphabet[random.IntN(len(alphabet))]
		mutant := []string{uri[:i] + string(c) + uri[i+1:], uri[:i] + uri[i+1:], uri[:i] + string(c) + uri[i:], uri[:i] + uri[i:i+1] + uri[i:]}[random.IntN(4)]
		if mutant != uri && !slices.Contains(all, mutant) && mutant != "" {
			all = append(all, mutant)
		}
	}
	return all
}
