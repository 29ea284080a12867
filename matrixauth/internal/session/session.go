// Package session is the one path on which sessions start, are recognised, rotate their tokens and
// end, whatever API they belong to. It knows neither clients nor passwords: who calls Start has
// decided that the user may sign in.
package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// Config is what sessions depend upon.
type Config struct {
	Store    *store.Store
	Outbox   *outbox.Outbox
	Registry *Registry
	// Keys prove the tokens.
	Keys       *tokenkey.Ring
	Homeserver *homeserver.Client
	// ReadOnly keeps everything from being written to the homeserver: a session starts only on a
	// device that must be there already.
	ReadOnly bool
	// Started is told of each session that its user starts, in the transaction and before the row is there; nil tells nobody.
	Started func(tx *store.Tx, s model.Session) error
	// Confirm is asked in the user's lane, before a session starts, whether the homeserver still has the
	// user; its error refuses the session. Nil asks nobody.
	Confirm func(context.Context, model.User) error
	// FindDevice asks the homeserver about the device of a live session; its error means that there was no answer. It is
	// asked for sessions whose database went back in time. Nil asks nobody.
	FindDevice func(context.Context, model.Session) (DeviceStanding, error)
	// Refreshed is told whose tokens were refreshed. It must be quick. Nil tells nobody.
	Refreshed func(userID string)
	// Count is told of what happens to sessions out of the ordinary. Nil tells nobody.
	Count func(model.SessionEvent)
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
type Sessions struct{ config Config }

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
