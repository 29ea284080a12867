// Package oauth is the door for OAuth 2.0: what the homeserver asks about tokens, and the metadata
// from which it learns who we are.
package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what the door depends upon.
type Config struct {
	Sessions *session.Sessions
	Clients  *client.Clients
	// Issuer is our public address with a slash at its end.
	Issuer string
	// Secret is the secret shared with the homeserver.
	Secret string
	// Limiter counts wrong secrets by network.
	Limiter *web.Limiter
	// WrongSecrets is the rate of wrong secrets from one network.
	WrongSecrets web.Rate
	// Count is told the outcome of each introspection, for metrics.
	Count func(outcome string)
	// Seen is told of each probe of a doctor.
	Seen   func(Probe)
	Logger *slog.Logger
}

// Probe is a doctor's bogus token that somebody asked us about.
type Probe struct {
	Token string
	// SecretOK tells whether the caller knew the secret.
	SecretOK bool
}

// Door answers OAuth requests.
type Door struct {
	Config
	secret [sha256.Size]byte
}

// New makes the door.
func New(c Config) *Door {
	return &Door{Config: c, secret: sha256.Sum256([]byte(c.Secret))}
}

// knowsSecret compares by hash, so that neither length nor content shows in the time it takes (KEY-5).
func (d *Door) knowsSecret(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], d.secret[:]) == 1
}

// metadata is the discovery document. It holds what is there and nothing else.
type metadata struct {
	Issuer                string `json:"issuer"`
	AccountManagementURI  string `json:"account_management_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
}

// Metadata answers GET /.well-known/openid-configuration with the members that Synapse cannot do
// without (SYN-2, DISC-15).
func (d *Door) Metadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=600")
	web.SetCORS(w.Header())
	return web.WriteJSON(w, http.StatusOK, metadata{
		Issuer:                d.Issuer,
		AccountManagementURI:  d.Issuer + "account/",
		IntrospectionEndpoint: d.Issuer + "oauth2/introspect",
	})
}
