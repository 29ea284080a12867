package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The kinds of work at the homeserver that changes of accounts make necessary. The subject of each is the user.
var (
	ProvisionJob  = outbox.NewKind[Provision](model.JobProvisionUser, model.ToHomeserver)
	DeactivateJob = outbox.NewKind[Deactivate](model.JobDeactivateUser, model.ToHomeserver)
	ReactivateJob = outbox.NewKind[Reactivate](model.JobReactivateUser, model.ToHomeserver)
)

// Provision says what of an account, beside its existence and lock, the homeserver is brought up to.
type Provision struct {
	// SetEmails asks for the homeserver's list of addresses to be replaced by ours.
	SetEmails bool `json:"set_emails,omitempty"`
	// DisplayName is set if not empty.
	DisplayName string `json:"display_name,omitempty"`
}

// Deactivate says how the homeserver deactivates an account.
type Deactivate struct {
	// Erase asks for the user's messages to be hidden from newcomers too.
	Erase bool `json:"erase,omitempty"`
}

// Reactivate says nothing beside the user.
type Reactivate struct{}

// Handlers returns the outbox handlers for accounts. Each reads the account as it is when the job runs,
// so that a late or second run brings the homeserver to the present state, never back to an old one.
func (u *Users) Handlers() []outbox.Handler {
	return []outbox.Handler{ProvisionJob.Handle(u.provision), DeactivateJob.Handle(u.deactivate), ReactivateJob.Handle(u.reactivate)}
}

func (u *Users) provision(ctx context.Context, job outbox.Job[Provision]) error {
	user, emails, err := u.present(ctx, job.Subject)
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
	return err
}

func (u *Users) deactivate(ctx context.Context, job outbox.Job[Deactivate]) error {
	user, _, err := u.present(ctx, job.Subject)
	if err != nil || !user.Deactivated() {
		return err
	}
	return u.config.Homeserver.DeleteUser(ctx, user.Localpart, job.Payload.Erase)
}

func (u *Users) reactivate(ctx context.Context, job outbox.Job[Reactivate]) error {
	user, _, err := u.present(ctx, job.Subject)
	if err != nil || user.Deactivated() {
		return err
	}
	return u.config.Homeserver.ReactivateUser(ctx, user.Localpart)
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
		return user, nil, outbox.Permanent(fmt.Errorf("there is no account %s", id))
	}
	return user, addresses, err
}
