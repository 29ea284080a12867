package edge

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestPaths: where an endpoint lies, by what it declares.
func TestPaths(t *testing.T) {
	for _, c := range []struct {
		name     string
		endpoint web.Endpoint
		issuer   string
		side     web.Side
		want     []string
	}{
		{"below the issuer", web.Endpoint{Path: "a/b"}, "https://m.test", web.Public, []string{"/a/b"}},
		{"below an issuer with a path", web.Endpoint{Path: "a/b"}, "https://m.test/auth/", web.Public, []string{"/auth/a/b"}},
		{"public alone", web.Endpoint{Path: "a"}, "https://m.test", web.Internal, nil},
		{"internal alone", web.Endpoint{Path: "a", Place: web.Root, Side: web.Internal}, "https://m.test/auth", web.Public, nil},
		{"at the root", web.Endpoint{Path: "a", Place: web.Root, Side: web.Internal}, "https://m.test/auth", web.Internal, []string{"/a"}},
		{"on both sides, public", web.Endpoint{Path: "a", Side: web.Both}, "https://m.test/auth", web.Public, []string{"/auth/a"}},
		{"on both sides, internal", web.Endpoint{Path: "a", Side: web.Both}, "https://m.test/auth", web.Internal, []string{"/a", "/auth/a"}},
		{"well-known", web.Endpoint{Path: "w/x", Place: web.WellKnown}, "https://m.test", web.Public, []string{"/w/x"}},
		{"well-known of an issuer with a path", web.Endpoint{Path: "w/x", Place: web.WellKnown}, "https://m.test/auth", web.Public,
			[]string{"/w/x/auth", "/w/x/auth/", "/auth/w/x"}}, // DISC-10
		{"of the client API", web.Endpoint{Path: "login", Place: web.ClientAPI, Versions: []string{"v3", "r0"}}, "https://m.test/auth", web.Public,
			[]string{"/_matrix/client/v3/login", "/_matrix/client/v3/login/", "/_matrix/client/r0/login", "/_matrix/client/r0/login/"}}, // LEG-1
		{"before a variable", web.Endpoint{Path: "devices", Variable: "id", Place: web.ClientAPI, Versions: []string{"v3", "r0"}}, "https://m.test/auth", web.Public,
			[]string{"/_matrix/client/v3/devices/", "/_matrix/client/r0/devices/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer, err := ParseIssuer(c.issuer)
			if err != nil {
				t.Fatal(err)
			}
			if got := issuer.Paths(c.endpoint, c.side); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, s := range issuer.spellings(c.endpoint, c.side) {
				path := s.String()
				if !s.is(path) || s.is(path+"x") || s.is(path[:len(path)-1]) {
					t.Errorf("%s is not found by itself alone", path)
				}
			}
		})
	}
}

// TestVariable: a path is parted before it is decoded, as the homeserver does, and a method that we do not have is its own.
func TestVariable(t *testing.T) {
	v := variables{}
	v.add(Issuer{Base: "/"}, web.Bound{
		Endpoint: web.Endpoint{Path: "devices", Variable: "id", Place: web.ClientAPI, Versions: []string{"v3"}},
		Handlers: map[string]web.Handler{http.MethodDelete: func(http.ResponseWriter, *http.Request) error { return nil }},
	})
	for target, want := range map[string]string{
		"/_matrix/client/v3/devices/A": "A", "/_matrix/client/v3/devices/A%2FB": "A/B", "/_matrix/client/v3/devices/A%20?x=y": "A ",
		"/_matrix/client/v3/devices/": "", "/_matrix/client/v3/devices/A/B": "", "/_matrix/client/v3/devices/A/": "", "/_matrix/client/v3/devicesA": "",
	} {
		r := httptest.NewRequest(http.MethodDelete, target, nil)
		if found := v.find(r); (found != nil) != (want != "") || r.PathValue("id") != want {
			t.Errorf("%s: %v, %q", target, found != nil, r.PathValue("id"))
		}
		if v.find(httptest.NewRequest(http.MethodGet, target, nil)) != nil {
			t.Errorf("%s: GET is ours", target)
		}
	}
}
