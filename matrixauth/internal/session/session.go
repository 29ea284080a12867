// Package session is the one path on which sessions start, are recognised, rotate their tokens and
// end, whatever API they belong to. It knows neither clients nor passwords: who calls Start has
// decided that the user may sign in.
package session

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config is what sessions depend upon.
type Config struct {
	Store      *store.Store
	Outbox     *outbox.Outbox
	Registry   *Registry
	Homeserver *homeserver.Client
	// ReadOnly keeps everything from being written to the homeserver: a session starts only on a
	// device that must be there already.
	ReadOnly bool
	// Confirm is asked in the user's lane, before a session starts, whether the homeserver still has the
	// user; its error refuses the session. Nil asks nobody.
	Confirm func(context.Context, model.User) error
	// Refreshed is told whose tokens were refreshed. It must be quick. Nil tells nobody.
	Refreshed func(userID string)
	// AccessLife is the life of an access token that can be refreshed.
	AccessLife time.Duration
	// Limiter counts refreshes by session, and Refreshes is their rate.
	Limiter   *limit.Limiter
	Refreshes limit.Rate
	// ServerName is the homeserver's name in Matrix ids, for the log.
	ServerName string
	Logger     *slog.Logger
}

// Sessions starts, resolves, rotates and ends sessions.
type Sessions struct{ Config }

// New makes the sessions of a configuration.
func New(c Config) *Sessions { return &Sessions{c} }

// Tokens is a pair of tokens in clear. They exist only on their way to the client.
type Tokens struct {
	Access string
	// Refresh is empty for a session that cannot be refreshed.
	Refresh string
	// Life is the life of the access token; zero if it does not expire.
	Life time.Duration
	// Scope is what the access token grants.
	Scope string
	// Owner is whose they are.
	Owner model.Owner
}

// unknownToken is the answer to every access token that grants nothing, whatever the reason.
func unknownToken() error { return model.NewError(model.UnknownToken) }

// Access finds a live access token and notes that it was used. Its errors are those of Peek. It says
// nothing about the lock of its user: ask the registry.
func (s *Sessions) Access(token string) (model.Token, error) {
	t, err := s.Peek(token)
	if err != nil {
		return t, err
	}
	now := s.Store.Now()
	if t.UsedAt.IsZero() {
		s.Registry.noteUse(t, now)
	}
	s.Registry.noteActivity(t.SessionID, now)
	return t, nil
}

// Peek finds a live access token without noting any use. Its errors: ExpiredToken for one that has expired
// and whose session lives, so that nobody tells its client that all is over (SOFT-3); UnknownToken for any
// other.
func (s *Sessions) Peek(token string) (model.Token, error) {
	t, err := s.Owner(token)
	if err == nil && t.Expired(s.Store.Now()) {
		return model.Token{}, model.NewError(model.ExpiredToken)
	}
	return t, err
}

// Owner finds the row of an access token of a live session, expired or not: it tells whose it is, and
// is no proof that it may be used.
func (s *Sessions) Owner(token string) (model.Token, error) {
	if kind, ok := model.StoredToken(token); !ok || kind.Refresh() {
		return model.Token{}, unknownToken()
	}
	return s.Find(token)
}

// Find finds the row of a token of a live session, be it an access or a refresh token, of whatever kind
// and however old: who has it may revoke it (REV-2, REV-5, REV-6, AMB-14). It is no proof that it may be used.
func (s *Sessions) Find(token string) (model.Token, error) {
	if _, ok := model.StoredToken(token); !ok {
		return model.Token{}, unknownToken()
	}
	t, err := s.Store.Token(model.HashToken(token))
	if errors.Is(err, model.ErrNotFound) {
		return t, unknownToken()
	}
	return t, err
}
