// Package compat is the door for clients of the legacy login API: login, refresh and logout in the
// words of the Client-Server API, and what those clients can do about the account.
package compat

import (
	"context"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what the door depends upon.
type Config struct {
	SignIns  *signin.SignIns
	Users    *user.Users
	Sessions *session.Sessions
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// Devices is the cookie of browsers in which somebody signed in before.
	Devices *web.DeviceCookie
	// Account reports whether what delegation took from old clients is answered (LEG-45).
	Account bool
	// Secret is the one that the homeserver shares: from it follows the key of what clients send back.
	Secret string
	// CheckName returns nil if somebody could register with a name.
	CheckName func(ctx context.Context, source model.Source, name string) error
	// Count is told the outcome of each login and refresh, for metrics.
	Count  func(operation, outcome string)
	Logger *slog.Logger
}

// Door answers the legacy login API.
type Door struct{ Config }

// New makes the door.
func New(c Config) *Door { return &Door{c} }
