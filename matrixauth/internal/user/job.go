package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Handlers are the outbox handlers for accounts. Each reads the account as it is when the job runs,
// so that a late or second run brings the homeserver to the present state, never back to an old one.
func (u *Users) Handlers() map[model.JobKind]outbox.Handler {
	return map[model.JobKind]outbox.Handler{
		model.JobProvisionUser:  u.provision,
		model.JobDeactivateUser: u.deactivate,
		model.JobReactivateUser: u.reactivate,
	}
}

func (u *Users) provision(ctx context.Context, job model.Job) error {
	user, emails, err := u.present(ctx, job.Lane)
	if err != nil || user.Deactivated() {
		return err
	}
	locked := user.Locked()
	call := homeserver.ProvisionUser{Localpart: user.Localpart, Locked: &locked}
	if job.Payload.SetEmails {
		call.Emails = &emails
	}
	if job.Payload.DisplayName != "" {
		call.DisplayName = &job.Payload.DisplayName
	}
	_, err = u.config.Homeserver.ProvisionUser(ctx, call)
	return session.Outcome(err)
}

func (u *Users) deactivate(ctx context.Context, job model.Job) error {
	user, _, err := u.present(ctx, job.Lane)
	if err != nil || !user.Deactivated() {
		return err
	}
	return session.Outcome(u.config.Homeserver.DeleteUser(ctx, user.Localpart, job.Payload.Erase))
}

func (u *Users) reactivate(ctx context.Context, job model.Job) error {
	user, _, err := u.present(ctx, job.Lane)
	if err != nil || user.Deactivated() {
		return err
	}
	return session.Outcome(u.config.Homeserver.ReactivateUser(ctx, user.Localpart))
}

// present reads an account with its addresses.
func (u *Users) present(ctx context.Context, id string) (user model.User, addresses []string, err error) {
	addresses = []string{}
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		if user, err = tx.User(id); err != nil {
			return err
		}
		emails, err := tx.Emails(id)
		for _, e := range emails {
			addresses = append(addresses, e.Address)
		}
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return user, nil, outbox.Refuse(fmt.Errorf("there is no account %s", id))
	}
	return user, addresses, err
}
