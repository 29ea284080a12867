package matrixauth

import (
	"net/http"
	"strings"
	"testing"
)

// TestUnknownPaths: what is not ours goes on untouched, however close it comes (LEG-1, LEG-2).
func TestUnknownPaths(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{
		"/", "/_matrix", "/_matrix/client/v3", "/_matrix/client/v3/login/get_token", "/_matrix/client/v1/login/get_token", "/_matrix/client/v3/logins",
		"/_matrix/client/v3/login//", "/_matrix/client/v3//login", "/_matrix/client/v3/./login", "/_matrix/client/v3/LOGIN", "/_matrix/client/v4/login",
		"/_matrix/client/v3/login/sso/redirect", "/_matrix/client/v3/logout/everything", "/_matrix/client/api/v1/refresh", "/_matrix/client/v3/register",
		"/_matrix/client/v3/account/whoami", "/_matrix/client/v3/devices/X", "/_matrix/client/versions", "/_matrix/federation/v1/version",
		"/_matrix/client/v1/media/download/a/b?access_token=x", "/_synapse/admin/v1/server_version", "/_synapse/massive", "/health",
		"/oauth2/introspect/", "/oauth2", "/.well-known/openid-configuration/", "/.well-known/matrix/client", "/%00", "/_matrix/client/v3/login%00",
	} {
		t.Run(path, func(t *testing.T) {
			a := h.do(call{method: "PUT", path: path, body: "hello"})
			if want := "PUT " + path + " hello"; a.status != passedOn || a.body != want {
				t.Fatalf("got %d %q, want it passed on as %q", a.status, a.body, want)
			}
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control-") || name == "X-Content-Type-Options" {
					t.Errorf("an answer that is not ours has our header %s", name)
				}
			}
		})
	}
}

// TestGuardedPaths: the homeserver's API for us is closed to the outside, however it is spelled (SYN-14).
func TestGuardedPaths(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{
		"/_synapse/mas", "/_synapse/mas/", "/_synapse/mas/query_user", "/_synapse//mas/query_user", "//_synapse/mas/x", "/_synapse/./mas/x",
		"/_synapse/client/../mas/x", "/_synapse/%6das/x", "/_synapse/MAS/x", "/_synapse%2fmas%2fx",
	} {
		t.Run(path, func(t *testing.T) {
			a := h.do(call{method: "POST", path: path, bearer: sharedKey})
			a.want(t, http.StatusNotFound, "M_UNRECOGNIZED")
			if h.passed.Load() != 0 {
				t.Error("it was passed on")
			}
		})
	}
}

// TestOtherHosts: hosts other than the issuer's serve only the Matrix API.
func TestOtherHosts(t *testing.T) {
	h := newHouse(t, unlimited)
	for _, host := range []string{"example.test", "example.test:443", "[::1]:8448"} {
		t.Run(host, func(t *testing.T) {
			if a := h.do(call{path: "/.well-known/openid-configuration", host: host}); a.status != passedOn {
				t.Errorf("discovery: got %d, want it passed on", a.status)
			}
			if a := h.do(call{method: "POST", path: "/oauth2/introspect", host: host, bearer: sharedKey, header: formType, body: "token=x"}); a.status != passedOn {
				t.Errorf("introspection: got %d, want it passed on", a.status)
			}
			if a := h.do(call{path: loginPath, host: host}); a.status != http.StatusOK {
				t.Errorf("login: got %d, want 200", a.status)
			}
		})
	}
	for _, host := range []string{issuerHost, strings.ToUpper(issuerHost), issuerHost + ":8443"} {
		t.Run(host, func(t *testing.T) {
			if a := h.do(call{path: "/.well-known/openid-configuration", host: host}); a.status != http.StatusOK {
				t.Errorf("discovery: got %d, want 200", a.status)
			}
		})
	}
}
