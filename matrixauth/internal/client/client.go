// Package client knows the OAuth clients: those that registered themselves, those that stand in the
// configuration, what either may ask for, and how a client proves that it is one.
package client

import (
	"context"
	"errors"
	"maps"
	"slices"

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

// Find finds a client by its id, those of the configuration first. It returns an Error with code
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

// List returns at most limit clients with the number of their live sessions: those that registered themselves, in the
// order of their ids, beginning behind after; and before the first of them those of the configuration, all of them.
func (c *Clients) List(tx *store.Tx, after string, limit int) (all []store.ListedClient, err error) {
	if after == "" {
		for _, id := range slices.Sorted(maps.Keys(c.config.Static)) {
			live, err := tx.LiveSessionsOf(id)
			if err != nil {
				return nil, err
			}
			all = append(all, store.ListedClient{Client: c.config.Static[id], Sessions: len(live)})
		}
	}
	registered, err := tx.Clients(after, limit)
	return append(all, registered...), err
}

// Remove removes a client that registered itself with the consents to it, and returns their number. The caller ends its
// sessions. Errors: UnknownClient, and InvalidParam for one of the configuration.
func (c *Clients) Remove(tx *store.Tx, id string) (consents int64, err error) {
	if _, ok := c.config.Static[id]; ok {
		return 0, model.Errorf(model.InvalidParam, "the client %s stands in the configuration; remove it there", id)
	}
	there, consents, err := tx.DeleteClient(id)
	if err == nil && !there {
		err = model.Errorf(model.UnknownClient, "there is no client %s", id)
	}
	return consents, err
}
