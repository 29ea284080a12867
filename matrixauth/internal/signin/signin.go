// Package signin knows the way of a browser to its goal: what a person has to do next before they are where they want
// to be, and how they prove who they are, within which limits. All doors ask it, and decide nothing of that themselves.
// It renders nothing, knows no HTTP, and leaves to others what it asks: accounts, browsers, and what a client may have.
package signin

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Config is what sign-ins depend upon.
type Config struct {
	Store    *store.Store
	Users    *user.Users
	Browsers *browser.Browsers
	Grants   *grant.Grants
	Limits   Limits
	// Failures is told of tries that failed; nil if nobody is.
	Failures *Failures
	// Registers reports whether people can make accounts of their own; nil if nobody can.
	Registers func() bool
}

// SignIns has people sign in, and leads them on to where they want to be.
type SignIns struct{ config Config }

// New makes the sign-ins of a configuration.
func New(c Config) *SignIns { return &SignIns{c} }
