package edge_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestUnknownPaths: what is not ours goes on untouched, however close it comes (LEG-1, LEG-2).
func TestUnknownPaths(t *testing.T) {
	h := house.New(t)
	for _, path := range []string{
		"/", "/_matrix", "/_matrix/client/v3", "/_matrix/client/v3/login/get_token", "/_matrix/client/v1/login/get_token", "/_matrix/client/v3/logins",
		"/_matrix/client/v3/login//", "/_matrix/client/v3//login", "/_matrix/client/v3/./login", "/_matrix/client/v3/LOGIN", "/_matrix/client/v4/login",
		"/_matrix/client/v3/login/sso/redirect", "/_matrix/client/v3/logout/everything", "/_matrix/client/api/v1/refresh", "/_matrix/client/v3/register",
		"/_matrix/client/v3/account/whoami", "/_matrix/client/v3/devices/X", "/_matrix/client/versions", "/_matrix/federation/v1/version",
		"/_matrix/client/v1/media/download/a/b?access_token=x", "/_synapse/admin/v1/server_version", "/_synapse/massive", "/health",
		"/oauth2", "/oauth2x/token", "/accounts/", "/account.html", "/authorized", "//account/", "/Account/", "/x/account/nope", "/.well-known/openid-configuration/", "/.well-known/matrix/client", "/%00", "/_matrix/client/v3/login%00",
		"/_synapse/client/mas", "/synapse/mas", "/_synapses/mas", "/mas/_synapse", "/100%25/mas",
	} {
		t.Run(path, func(t *testing.T) {
			a := h.Do(house.Call{Method: "PUT", Path: path, Body: "hello"})
			if want := "PUT " + path + " hello"; a.Status != house.PassedOn || a.Body != want {
				t.Fatalf("got %d %q, want it passed on as %q", a.Status, a.Body, want)
			}
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") || name == "X-Content-Type-Options" {
					t.Errorf("an answer that is not ours has our header %s", name)
				}
			}
		})
	}
}

// TestBelowOurs: what lies below our paths and does not exist is told by us, in the shape of its family,
// at the issuer's host alone; it never reaches the homeserver, whose answer would be about something else
// (HTTP-13, HTTP-16).
func TestBelowOurs(t *testing.T) {
	for _, base := range []string{"/", "/auth/"} {
		h := house.New(t, func(c *matrixauth.Config) { c.Issuer = strings.TrimSuffix("https://"+house.IssuerHost+base, "/") })
		for _, path := range []string{"account/nope", "account//", "account/login/", "account/sessions", "account/login%00", "account/%2e%2e/x", "authorize/", "authorize/x/y"} {
			for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
				a := h.Do(house.Call{Method: method, Path: base + path})
				a.WantPage(t, http.StatusNotFound, "Page not found")
			}
		}
		for _, path := range []string{"oauth2/", "oauth2/nope", "oauth2/introspect/", "oauth2/token/x", "oauth2//token"} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				a := h.Do(house.Call{Method: method, Path: base + path})
				if d := a.Document(t); a.Status != http.StatusNotFound || d["error"] != "invalid_request" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s %s: got %d %s", method, path, a.Status, a.Body)
				}
			}
		}
		if h.Passed.Load() != 0 {
			t.Errorf("%d requests were passed on", h.Passed.Load())
		}
		for _, path := range []string{"account/nope", "oauth2/nope", "authorize/nope"} {
			if a := h.Do(house.Call{Path: base + path, Host: "example.test"}); a.Status != house.PassedOn {
				t.Errorf("another host's %s is answered with %d", path, a.Status)
			}
			if a := h.Do(house.Call{Path: "/elsewhere/" + path}); a.Status != house.PassedOn {
				t.Errorf("/elsewhere/%s is answered with %d", path, a.Status)
			}
			if base == "/" {
				continue
			}
			if a := h.Do(house.Call{Path: "/" + path}); a.Status != house.PassedOn {
				t.Errorf("%s outside of the issuer's path is answered with %d", path, a.Status)
			}
		}
	}
}

// TestGuardedPaths: the homeserver's API for us is closed to the outside, however it is spelled (SYN-14).
func TestGuardedPaths(t *testing.T) {
	h := house.New(t)
	for _, path := range []string{
		"/_synapse/mas", "/_synapse/mas/", "/_synapse/mas/query_user", "/_synapse//mas/query_user", "//_synapse/mas/x", "/_synapse/./mas/x",
		"/_synapse/client/../mas/x", "/_synapse/%6das/x", "/_synapse/MAS/x", "/_synapse%2fmas%2fx",
		"/x/_synapse/mas/query_user", "/x/y//_synapse/./mas", "/x_synapse/mas/x", "/x%2F_synapse%2Fmas", "/X_SYNAPSE/Mas", "/x/_synapse/y/../mas/x",
		"/_synapse/mas/query_user/../..", "/_synapse/mas/..", "/x/..%2f_synapse/mas/x", "/%255Fsynapse/mas/x", "/_synapse/%25256das/x", "/100%25/%255Fsynapse/mas/x", "/_synapse/_synapse/mas",
	} {
		t.Run(path, func(t *testing.T) {
			a := h.Do(house.Call{Method: "POST", Path: path, Bearer: house.SharedKey})
			a.Want(t, http.StatusNotFound, "M_UNRECOGNIZED")
			if h.Passed.Load() != 0 {
				t.Error("it was passed on")
			}
		})
	}
}

// TestTargetsWithoutPath: a request target that is no path is passed on to nobody, as Synapse reads one in it
// (SYN-14).
func TestTargetsWithoutPath(t *testing.T) {
	h := house.New(t)
	for _, target := range []string{"x:a_synapse/mas/query_user", "x:a%5fsynapse/mas/query_user", "http:_matrix/client/v3/sync", "x:y"} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + house.IssuerHost + "\r\n\r\n")))
		h.Must(err)
		w := httptest.NewRecorder()
		h.Must(h.Current().ServeHTTP(w, r, house.Next{House: h}))
		if w.Code != http.StatusNotFound || h.Passed.Load() != 0 {
			t.Errorf("%s: got %d, passed on %d", target, w.Code, h.Passed.Load())
		}
		if w = httptest.NewRecorder(); !h.Config.Unready(w, r) || w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d before the start", target, w.Code)
		}
	}
}

// TestOtherHosts: hosts other than the issuer's serve only the Matrix API.
func TestOtherHosts(t *testing.T) {
	h := house.New(t, house.Unlimited)
	for _, host := range []string{"example.test", "example.test:443", "[::1]:8448"} {
		t.Run(host, func(t *testing.T) {
			if a := h.Do(house.Call{Path: "/.well-known/openid-configuration", Host: host}); a.Status != house.PassedOn {
				t.Errorf("discovery: got %d, want it passed on", a.Status)
			}
			if a := h.Do(house.Call{Method: "POST", Path: "/oauth2/introspect", Host: host, Bearer: house.SharedKey, Header: house.FormType, Body: "token=x"}); a.Status != house.PassedOn {
				t.Errorf("introspection: got %d, want it passed on", a.Status)
			}
			if a := h.Do(house.Call{Path: house.LoginPath, Host: host}); a.Status != http.StatusOK {
				t.Errorf("login: got %d, want 200", a.Status)
			}
		})
	}
	for _, host := range []string{house.IssuerHost, strings.ToUpper(house.IssuerHost), house.IssuerHost + ":8443"} {
		t.Run(host, func(t *testing.T) {
			if a := h.Do(house.Call{Path: "/.well-known/openid-configuration", Host: host}); a.Status != http.StatusOK {
				t.Errorf("discovery: got %d, want 200", a.Status)
			}
		})
	}
}
