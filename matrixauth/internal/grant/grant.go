// Package grant carries authorization requests from the client that asked, by the user who approves,
// to the session that starts (RFC 6749 section 4.1). It renders nothing.
package grant

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config is what grants depend upon.
type Config struct {
	Store    *store.Store
	Clients  *client.Clients
	Sessions *session.Sessions
}

// Grants carries authorization requests.
type Grants struct {
	config     Config
	deliveries map[model.DeliveryKind]delivery
}

// New makes the grants of a configuration.
func New(c Config) *Grants { return &Grants{c, deliveries} }

// Pending is a request that waits for its user, with the client that made it.
type Pending struct {
	model.Authorization
	Client model.Client
}

// requestExpired is the answer to a request that is unknown, over, or answered already.
func requestExpired() error { return model.NewError(model.RequestExpired) }

// Pending finds a request that waits for its user. It returns an Error with code RequestExpired if there
// is none.
func (g *Grants) Pending(tx *store.Tx, id string) (p Pending, err error) {
	p.Authorization, err = tx.Authorization(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && p.over(tx.Now) {
		return p, requestExpired()
	}
	if err != nil {
		return p, err
	}
	p.Client, err = g.clientOf(tx, p.Authorization)
	return p, err
}

// clientOf finds the client of a request, which is over if the client is gone.
func (g *Grants) clientOf(tx *store.Tx, a model.Authorization) (model.Client, error) {
	c, err := g.config.Clients.In(tx, a.ClientID)
	if errors.Is(err, model.UnknownClient) {
		return c, requestExpired()
	}
	return c, err
}

func (p Pending) over(now time.Time) bool {
	return !now.Before(p.ExpiresAt) || p.Answered() || !p.ConsumedAt.IsZero()
}

// NeedsSignIn reports whether the user must prove again who they are before they can approve: prompt=login
// asks for a proof newer than the request, max_age for one that is not older than that (OIDC-11, OIDC-13),
// and administration for one of a moment ago: the cookie of the browser alone must not do for that, as it
// lives for months (SCOPE-13).
func (p Pending) NeedsSignIn(b model.BrowserSession, now time.Time) bool {
	if p.Administers() && !b.Proved(now) {
		return true
	}
	if b.AuthenticatedAt.After(p.CreatedAt) {
		return false
	}
	if p.Asked.Login {
		return true
	}
	return p.Asked.MaxAge != nil && now.Sub(b.AuthenticatedAt) > time.Duration(*p.Asked.MaxAge)*time.Second
}

// Administers reports whether the client asks to administer the homeserver.
func (p Pending) Administers() bool { return model.Administers(p.Asked.Scope) }
