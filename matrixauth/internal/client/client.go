// Package client knows the OAuth clients: those that registered themselves, those that stand in the
// configuration, what either may ask for, and how a client proves that it is one.
package client

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config is what clients depend upon.
type Config struct {
	Store *store.Store
	// Static are the clients of the configuration, by their ids.
	Static map[string]model.Client
	// AllowHTTP accepts http addresses on loopback in registrations, for development.
	AllowHTTP bool
}

// Clients registers, finds and authenticates clients.
type Clients struct{ config Config }

// New makes the clients of a configuration.
func New(c Config) *Clients { return &Clients{c} }

// Find finds a client by its id, those of the configuration first. It gives an Error with code
// UnknownClient if there is none.
func (c *Clients) Find(ctx context.Context, id string) (found model.Client, err error) {
	err = c.config.Store.View(ctx, func(tx *store.Tx) error {
		found, err = c.In(tx, id)
		return err
	})
	return found, err
}

// In is Find within a transaction.
func (c *Clients) In(tx *store.Tx, id string) (model.Client, error) {
	if found, ok := c.config.Static[id]; ok {
		return found, nil
	}
	found, err := tx.Client(id)
	if errors.Is(err, model.ErrNotFound) {
		return found, model.NewError(model.UnknownClient)
	}
	return found, err
}
