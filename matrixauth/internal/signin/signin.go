// Package signin has people prove who they are, at whichever door they ask. It owns the limits of attempts. It renders
// nothing, and knows no password or hash by itself: those are the accounts'.
package signin

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Config is what sign-ins depend upon.
type Config struct {
	Store  *store.Store
	Users  *user.Users
	Limits Limits
}

// SignIns has people prove who they are.
type SignIns struct{ config Config }

// New makes the sign-ins of a configuration.
func New(c Config) *SignIns { return &SignIns{c} }
