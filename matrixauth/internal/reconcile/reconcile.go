// Package reconcile finds changes that the homeserver made without telling us: accounts that its administration API
// has deactivated, and devices that it has deleted. Our side follows where the meaning is certain. A homeserver that
// does not answer never changes anything.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Config is what a reconciler depends upon.
type Config struct {
	Store      *store.Store
	Outbox     *outbox.Outbox
	Sessions   *session.Sessions
	Users      *user.Users
	Homeserver *homeserver.Client
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	Logger     *slog.Logger
}

// Reconciler compares our side with the homeserver's, and updates ours.
type Reconciler struct{ config Config }

// New makes the reconciler of a configuration.
func New(c Config) *Reconciler { return &Reconciler{c} }

// checkTimeout bounds the calls about one user, including the wait for their lane.
const checkTimeout = 10 * time.Second

// Account asks the homeserver whether it has deactivated a user, who is then deactivated here too. Its
// error means that there was no answer.
func (r *Reconciler) Account(ctx context.Context, userID string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := r.account(ctx, userID)
	return err
}

// account is Account; it also reports whether both sides have the account and consider it active.
func (r *Reconciler) account(ctx context.Context, userID string) (active bool, err error) {
	u, err := r.user(ctx, userID)
	if err != nil || u.Deactivated() {
		return false, err
	}
	// The lane is entered only for an account that seems to be deactivated, so this check delays nobody's login.
	found, err := r.config.Homeserver.QueryUser(ctx, u.Localpart)
	if homeserver.IsUnknownUser(err) {
		return false, nil
	}
	if err != nil || !found.Deactivated {
		return err == nil, err
	}
	if err := r.config.Users.Confirm(ctx, u); err != nil && !errors.Is(err, model.UserDeactivated) {
		return false, err
	}
	return false, nil
}

func (r *Reconciler) user(ctx context.Context, id string) (u model.User, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		if u, err = tx.User(id); err != nil {
			return fmt.Errorf("user %s: %w", id, err)
		}
		return nil
	})
	return u, err
}
