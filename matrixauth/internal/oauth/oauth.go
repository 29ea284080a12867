// Package oauth is the door for OAuth 2.0: clients that register, ask for authorization and redeem it,
// users who consent, what the homeserver asks about tokens, and the metadata that tells all of them who
// we are.
package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what the door depends upon.
type Config struct {
	Sessions *session.Sessions
	Clients  *client.Clients
	Grants   *grant.Grants
	SignIns  *signin.SignIns
	Pages    *page.Pages
	Cookie   *web.BrowserCookie
	// Issuer is our public address with a slash at its end, Base its path.
	Issuer, Base string
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// AccountActions are the actions of the account page that links may ask for (MSC4191).
	AccountActions []string
	// Secret is the secret shared with the homeserver.
	Secret string
	// Registrations is the rate of registrations of clients from one network.
	Registrations limit.Rate
	// Limiter counts requests of anybody by network.
	Limiter *limit.Limiter
	// WrongSecrets is the rate of wrong secrets from one network.
	WrongSecrets limit.Rate
	// Count is told the outcome of each introspection, for metrics.
	Count func(outcome string)
	// CountGrant is told the outcome of each request for tokens, by its grant type.
	CountGrant func(grantType, outcome string)
	// Seen is told of each probe of a doctor.
	Seen   func(Probe)
	Logger *slog.Logger
}

// Probe is a doctor's bogus token that somebody asked us about.
type Probe struct {
	Token string
	// SecretOK reports whether the caller knew the secret.
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
