// Package gateway stops requests on their way to the homeserver: those of locked users, whom the homeserver
// does not know as such when logins are delegated, and those with tokens that ended a moment ago, which it may
// still honour from memory. It changes answers of the homeserver too, by one table: a refused token whose
// session lives is no reason for a client to destroy keys. It must not slow a request that is not concerned.
package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what the gateway depends upon.
type Config struct {
	Sessions *session.Sessions
	// Enter keeps the store open until leave is called. Its error is the answer while it is not open.
	Enter func() (leave func(), err error)
	// Refused is told of each access token that is live and not expired and that the homeserver refused
	// all the same. It must be cheap and never wait. Nil tells nobody.
	Refused func(model.Token)
	// Refusals counts the refusals of each token.
	Refusals *Refusals
	// ClientIP returns the address of a request's client, found through trusted proxies only.
	ClientIP func(*http.Request) string
	// LegacyAccount reports whether apps of the legacy API can change what is theirs, and HasPassword whether a user can
	// confirm it.
	LegacyAccount bool
	HasPassword   func(ctx context.Context, userID string) (bool, error)
	// ServerName is the homeserver's name in Matrix ids, for the log.
	ServerName string
	Logger     *slog.Logger
}

// Gateway checks requests that are not ours, and the answers to them.
type Gateway struct {
	Config
	forms   forms
	changes []change
}

// New makes the gateway.
func New(c Config) *Gateway { return &Gateway{Config: c, changes: changes} }

// Next answers the requests that go on.
type Next interface {
	ServeHTTP(http.ResponseWriter, *http.Request) error
}

// Pass has next answer a request, changes the answer if the table has it, and notes the new name of a device.
// Any other answer passes as it comes, at no cost. The error is next's.
func (g *Gateway) Pass(w http.ResponseWriter, r *http.Request, next Next) error {
	p := passageOf(r)
	if !g.mayChange(p) {
		return next.ServeHTTP(w, r)
	}
	name := watchNaming(r)
	a := newAnswer(w, g, p)
	err := next.ServeHTTP(a, r)
	if status := a.finish(); name != nil && status == http.StatusOK {
		g.named(p, name)
	}
	return err
}

// Idle reports whether no request needs a check. It costs two atomic loads, and is true nearly always.
func (g *Gateway) Idle() bool { return !g.Sessions.Watchful() }

// Check returns an Error with code UserLocked for a request that bears the token of a locked user
// (MOD-1): with it the client keeps its keys and waits. The token of a session that has ended gives
// UnknownToken, at once and not when the homeserver has forgotten it (REV-9). Anything else passes,
// whatever its token; that is for the homeserver. A store that cannot be read is an error too, as
// SOFT-7 has it: never a 401. Beside the error it returns what is to be logged.
func (g *Gateway) Check(r *http.Request, found Reading) (known web.Outcome, err error) {
	if found.token == "" {
		return known, nil
	}
	owner, err := g.Sessions.MayPass(found.token)
	if e := model.AsError(err); e != nil && e.Kind() == model.Unauthenticated {
		known = web.Outcome{Refused: model.HashToken(found.token), Owner: owner}
	}
	return known, err
}
