package client

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func registered(kind model.ApplicationType, uris ...string) model.Client {
	return model.Client{Metadata: model.ClientMetadata{ApplicationType: kind, RedirectURIs: uris}}
}

// TestMatchRedirect has one registered address per case.
func TestMatchRedirect(t *testing.T) { // AUTHZ-4, AUTHZ-5
	web, native := model.WebApplication, model.NativeApplication
	for name, test := range map[string]struct {
		kind       model.ApplicationType
		registered string
		right      []string
		wrong      []string
	}{
		"an_address_is_itself_and_nothing_else": {
			web, "https://example.com/callback",
			[]string{"https://example.com/callback"},
			[]string{
				"", "https://example.com", "https://example.com/callback/", "https://example.com/callback?", "https://example.com/callback#",
				"https://example.com/callback?x=y", "https://example.com/Callback", "https://example.com/./callback", "https://example.com/a/../callback",
				"https://example.com//callback", "https://example.com/%63allback", "https://example.com:443/callback", "https://EXAMPLE.com/callback",
				"HTTPS://example.com/callback", "http://example.com/callback", "https://example.com./callback", "https://example.com\\/callback",
				"https://user@example.com/callback", "https://example.com@evil.org/callback", "https://evil.org/https://example.com/callback",
				"https://example.com.evil.org/callback", "https://notexample.com/callback", "https://app.example.com/callback", "//example.com/callback",
				" https://example.com/callback", "https://example.com/callback ", "https://example.com/callback\n", "https://example.com/callback\x00",
				"https://example.com/callback%00", "https://example.com/callback;x", "https://example.com/callback/..;/", "javascript:alert(1)",
			},
		},
		"a_query_is_part_of_it": {
			web, "https://app.example.com/?no_universal_links=true",
			[]string{"https://app.example.com/?no_universal_links=true"},
			[]string{"https://app.example.com/", "https://app.example.com/?no_universal_links=true&x=y", "https://app.example.com/?no_universal_links=false"},
		},
		"a_private_scheme_is_exact_too": {
			native, "com.example.app:/callback",
			[]string{"com.example.app:/callback"},
			[]string{"com.example.app:/", "com.example.app://callback", "com.example.app:callback", "COM.example.app:/callback", "com.example.app:/callback/x"},
		},
		"the_port_of_a_native_loopback_does_not_matter": {
			native, "http://127.0.0.1/",
			[]string{"http://127.0.0.1/", "http://127.0.0.1:49152/", "http://127.0.0.1:1/", "http://127.0.0.1:65535/"},
			[]string{
				"http://localhost:49152/", "http://[::1]:49152/", "http://127.0.0.1:49152/x", "https://127.0.0.1:49152/", "http://127.0.0.1:49152",
				"http://127.0.0.1:49152/?x", "http://127.0.0.1:49152/#x", "http://127.0.0.1:/", "http://127.0.0.1:0/", "http://127.0.0.1:080/",
				"http://127.0.0.1:65536/", "http://127.0.0.1:99999999999999999999/", "http://127.0.0.1:-1/", "http://127.0.0.1:1x/", "http://127.0.0.1:1:2/",
				"http://127.0.0.1:80@evil.org/", "http://127.0.0.1:80\\@evil.org/", "http://127.0.0.1.evil.org/", "http://127.0.0.1@evil.org/",
				"http://127.0.0.2:49152/", "http://127.1:49152/", "http://2130706433:49152/", "http://0x7f.0.0.1:49152/", "HTTP://127.0.0.1:49152/",
				"http:127.0.0.1:49152/", "http:/127.0.0.1:49152/", "http:///127.0.0.1:49152/", "http://x@127.0.0.1:49152/", "http://127.0.0.1:٤٩/",
			},
		},
		"nor_does_one_that_was_registered": { // REG-14
			native, "http://localhost:3001/login",
			[]string{"http://localhost:3001/login", "http://localhost:3002/login", "http://localhost/login"},
			[]string{"http://localhost:3001/", "http://localhost:3001/login?x", "http://LOCALHOST:3001/login", "http://localhost.:3001/login", "http://127.0.0.1:3001/login", "http://localhost.evil.org/login"},
		},
		"of_version_6": {
			native, "http://[::1]/cb?a=b",
			[]string{"http://[::1]:8080/cb?a=b"},
			[]string{"http://[::2]:8080/cb?a=b", "http://[0:0:0:0:0:0:0:1]:8080/cb?a=b", "http://::1:8080/cb?a=b", "http://[::1%25lo]:8080/cb?a=b", "http://[::1]:8080/cb"},
		},
		"without_a_path": {
			native, "http://localhost",
			[]string{"http://localhost:1234"},
			[]string{"http://localhost:1234/", "http://localhostx", "http://localhost:1234x", "http://localhost#"},
		},
		"a_web_client's_port_matters": {
			web, "http://localhost:8080/cb",
			[]string{"http://localhost:8080/cb"},
			[]string{"http://localhost/cb", "http://localhost:8081/cb"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := registered(test.kind, "https://example.org/another", test.registered)
			for _, uri := range test.right {
				if !MatchRedirect(c, uri) {
					t.Errorf("%q is refused", uri)
				}
			}
			for _, uri := range test.wrong {
				if MatchRedirect(c, uri) {
					t.Errorf("%q passes", uri)
				}
			}
		})
	}
	if MatchRedirect(registered(native), "http://localhost/") || MatchRedirect(model.Client{}, "") {
		t.Error("a client without addresses matches one")
	}
}

// realRedirects are redirect URIs of real clients, with the kind of client that has them.
var realRedirects = map[string]model.ApplicationType{
	"https://app.element.io/?no_universal_links=true":            model.WebApplication,
	"https://example.com/callback":                               model.WebApplication,
	"https://element.io/oauth/ios/io.element.elementx":           model.NativeApplication,
	"io.element.desktop:/vector/webapp/?no_universal_links=true": model.NativeApplication,
	"io.element.android:/":                                       model.NativeApplication,
	"http://127.0.0.1/":                                          model.NativeApplication,
	"http://[::1]/":                                              model.NativeApplication,
	"http://localhost:3001/login":                                model.NativeApplication,
}

// TestMutatedRedirects changes each real address in 200 ways, the same in every run: none passes.
func TestMutatedRedirects(t *testing.T) { // AUTHZ-4
	for uri, kind := range realRedirects {
		random := rand.New(rand.NewPCG(4, uint64(len(uri))))
		c := registered(kind, uri)
		seen := map[string]bool{uri: true}
		for len(seen) <= 200 {
			mutated := mutate(random, uri)
			if seen[mutated] || kind == model.NativeApplication && otherPort(uri, mutated) {
				continue
			}
			seen[mutated] = true
			if MatchRedirect(c, mutated) {
				t.Errorf("%q passes for %q", mutated, uri)
			}
		}
	}
}

// otherPort reports whether two loopback addresses differ in their ports alone, told in another way than
// the code under test does it.
func otherPort(a, b string) bool {
	strip := func(s string) string {
		for _, host := range []string{"http://localhost", "http://127.0.0.1", "http://[::1]"} {
			if rest, ok := strings.CutPrefix(s, host+":"); ok {
				return host + strings.TrimLeft(rest, "0123456789")
			}
		}
		return s
	}
	return strings.HasPrefix(a, "http://") && strip(a) == strip(b)
}

// mutations are what attackers write into addresses.
var mutations = []string{
	"@", ":", "/", "//", "\\", "..", "/../", "/./", "?", "#", "%2f", "%5c", "%2e", "%00", "%23", "%3f", "%40", "\x00", "\t", "\n", "\r\n", " ", ".", ";", "&", "=",
	"evil.org", ".evil.org", "@evil.org", "evil.org/", "user:pw@", ":80", ":443", ":0", "*", "é", "\u2024", "\uff0e", "\u3002", "\u200b", "A", "a",
}

func mutate(random *rand.Rand, uri string) string {
	at := random.IntN(len(uri) + 1)
	piece := mutations[random.IntN(len(mutations))]
	switch random.IntN(6) {
	case 0: // take something away
		if at == len(uri) {
			at--
		}
		return uri[:at] + uri[at+1:]
	case 1: // put something in the place of something
		if at == len(uri) {
			at--
		}
		return uri[:at] + piece + uri[at+1:]
	case 2: // change the case
		if at == len(uri) {
			at--
		}
		return uri[:at] + strings.ToUpper(uri[at:])
	case 3: // repeat a part
		return uri[:at] + uri
	case 4: // cut it short and go on with something else
		return uri[:at] + piece
	default:
		return uri[:at] + piece + uri[at:]
	}
}

// FuzzMatchRedirect holds the match against its definition: the same string, or two native loopback
// addresses that are the same string without what stands between host and path.
func FuzzMatchRedirect(f *testing.F) {
	for uri := range realRedirects {
		f.Add(uri, uri, true)
		f.Add(uri, strings.Replace(uri, "/", ":1/", 1), true)
	}
	f.Add("http://localhost/", "http://localhost:80/", true)
	f.Add("http://localhost/", "http://localhost:80/", false)
	f.Add("http://127.0.0.1:1", "http://127.0.0.1:65535", true)
	f.Add("http://[::1]?x", "http://[::1]:9?x", true)
	f.Fuzz(func(t *testing.T, have, asked string, native bool) {
		kind := model.WebApplication
		if native {
			kind = model.NativeApplication
		}
		if !MatchRedirect(registered(kind, have), asked) {
			if have == asked {
				t.Errorf("%q does not match itself", have)
			}
			return
		}
		if have != asked && (!native || !otherPort(have, asked)) {
			t.Errorf("%q passes for %q", asked, have)
		}
	})
}
