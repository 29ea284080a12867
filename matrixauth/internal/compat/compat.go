// Package compat is the door for clients of the legacy login API: login, refresh and logout in the
// words of the Client-Server API.
package compat

import (
	"log/slog"

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
	// Count is told the outcome of each login and refresh, for metrics.
	Count  func(operation, outcome string)
	Logger *slog.Logger
}

// Door answers the legacy login API.
type Door struct{ Config }

// New makes the door.
func New(c Config) *Door { return &Door{c} }
