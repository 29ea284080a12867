package reconcile

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// ErrNotMended means that a difference is gone, or that its cause is not known.
var ErrNotMended = errors.New("it is not certain what was meant")

// ErrRestored means that sessions of several users lost their devices at once: the homeserver was probably restored
// from an older database.
var ErrRestored = errors.New("devices of several users are missing at once, as after a restore of an older database")

// Mend resolves one difference after checking it again. Sessions without devices end. Accounts that the homeserver has
// deactivated are deactivated. Accounts that it lacks are made there, and devices of ended sessions are deleted there,
// through the outbox. It makes no device for a session that lost it: its keys are with the client only, so others
// could no longer write to it, and nobody would notice. Errors: ErrNotMended, ErrRestored.
func (r *Reconciler) Mend(ctx context.Context, d Difference) error {
	switch d.Kind {
	case SessionWithoutDevice:
		return r.mendSession(ctx, d)
	case DeactivatedThere:
		u, err := r.user(ctx, d.UserID)
		if err != nil {
			return err
		}
		if err := r.config.Users.Confirm(ctx, u); err != nil && !errors.Is(err, model.UserDeactivated) {
			return err
		} else if err == nil {
			return ErrNotMended
		}
		return nil
	case UnknownThere:
		return r.enqueue(ctx, d, func(tx *store.Tx) error {
			return user.ProvisionJob.Enqueue(r.config.Outbox, tx, d.UserID, user.Provision{SetEmails: true})
		})
	case DeviceWithoutSession:
		ours, err := r.wasOurs(ctx, d.UserID, d.DeviceID)
		if err != nil {
			return err
		}
		if !ours {
			return ErrNotMended
		}
		// The job leaves the device alone if a session has it by then.
		return r.enqueue(ctx, d, func(tx *store.Tx) error {
			return session.DeleteDeviceJob.Enqueue(r.config.Outbox, tx, d.UserID, session.DeleteDevice{DeviceID: d.DeviceID})
		})
	}
	return ErrNotMended
}

func (r *Reconciler) mendSession(ctx context.Context, d Difference) error {
	restored, err := r.Devices(ctx, d.UserID)
	if err != nil {
		return err
	}
	if restored {
		return ErrRestored
	}
	if live, err := r.config.Sessions.IsLive(ctx, d.SessionID); err != nil || live {
		return errors.Join(err, ErrNotMended)
	}
	return nil
}

// enqueue writes a job about the user of a difference, unless they are deactivated by now.
func (r *Reconciler) enqueue(ctx context.Context, d Difference, write func(*store.Tx) error) error {
	return r.config.Store.Update(ctx, func(tx *store.Tx) error {
		u, err := tx.User(d.UserID)
		if err != nil {
			return err
		}
		if u.Deactivated() {
			return ErrNotMended
		}
		return write(tx)
	})
}
