package edge_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestUnready: before the database is open our paths wait, and nobody else's do.
func TestUnready(t *testing.T) {
	config := matrixauth.Config{ServerName: house.ServerName, Issuer: "https://" + house.IssuerHost + "/auth"}.WithDefaults()
	for _, path := range []string{"/auth/oauth2/token", "/auth/oauth2/revoke", "/auth/oauth2/introspect", "/auth/authorize", "/auth/account/consent", "/auth/account/nope", "/auth/oauth2/nope",
		"/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth", "/_matrix/client/v1/auth_metadata"} {
		if status, ours := house.Unready(config, path); !ours || status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d, %v", path, status, ours)
		}
	}
	for _, path := range []string{"/oauth2/token", "/authorize", "/auth", "/auth/oauth2", "/account/nope", "/.well-known/oauth-authorization-server", "/"} {
		if _, ours := house.Unready(config, path); ours {
			t.Errorf("%s was kept", path)
		}
	}
	// Another host's pages are its own, however long we are not ready; the Matrix API is ours wherever it is.
	for path, want := range map[string]bool{"/auth/account/": false, "/auth/oauth2/token": false, house.LoginPath: true} {
		if ours := config.Unready(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://other.test"+path, nil)); ours != want {
			t.Errorf("at another host %s: %v", path, ours)
		}
	}
}

// TestUnreadyInside: what the homeserver asks before the database is open is answered 503 in the shape of what
// it asked: a token that is refused then, or called inactive, would cost a client its keys.
func TestUnreadyInside(t *testing.T) {
	config := matrixauth.Config{ServerName: house.ServerName, Issuer: "https://" + house.IssuerHost + "/auth"}.WithDefaults()
	for _, path := range []string{"/oauth2/introspect", "/auth/oauth2/introspect", "/.well-known/openid-configuration", "/auth/.well-known/openid-configuration", "/health", "/nope"} {
		w := httptest.NewRecorder()
		config.UnreadyInside(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "temporarily_unavailable") || w.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}
