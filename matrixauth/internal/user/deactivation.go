package user

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// confirmTimeout bounds what a sign-in waits to be told that the homeserver has deactivated the account.
const confirmTimeout = 3 * time.Second

// Confirm asks the homeserver whether it has deactivated an account that is active here, as its
// administration API does without our knowledge; the account is then deactivated here too, and the
// error has the code UserDeactivated. An answer that does not come, or that the homeserver does not
// know the user, is no error and changes nothing. Call it only for users who have proved who they are:
// it costs a call that unknown names do not (MOD-11, ENUM-1).
func (u *Users) Confirm(ctx context.Context, user model.User) error {
	work, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	leave, err := u.config.Outbox.Enter(work, model.ToHomeserver.Lane(user.ID))
	if err != nil {
		u.config.Logger.Info("the homeserver could not be asked about an account", u.logUser(user), "error", errors.Unwrap(err))
		return nil
	}
	defer leave()
	return u.ConfirmInLane(work, user)
}

// ConfirmInLane is Confirm for a caller who is in the user's lane: no reactivation is on its way to the
// homeserver then, which would make its answer an old one.
func (u *Users) ConfirmInLane(ctx context.Context, user model.User) error {
	found, err := u.config.Homeserver.QueryUser(ctx, user.Localpart)
	if homeserver.IsUnknownUser(err) {
		return nil
	}
	if err != nil {
		u.config.Logger.Info("the homeserver could not be asked about an account", u.logUser(user), "error", err)
		return nil
	}
	if !found.Deactivated {
		return nil
	}
	followed, err := u.FollowDeactivation(context.WithoutCancel(ctx), user.ID)
	if err != nil || !followed {
		return err
	}
	return model.NewError(model.UserDeactivated)
}

// FollowDeactivation deactivates an account that the homeserver has deactivated. The caller is in the
// user's lane. It reports false, and changes nothing, if a reactivation waits for the homeserver: what it
// said of the account is about to change then.
func (u *Users) FollowDeactivation(ctx context.Context, id string) (followed bool, err error) {
	err = u.config.Store.Update(ctx, func(tx *store.Tx) error {
		followed = false
		user, err := tx.User(id)
		if err != nil {
			return err
		}
		waits, err := ReactivateJob.Waits(tx, id)
		if err != nil || waits {
			return err
		}
		followed = true
		if user.Deactivated() {
			return nil
		}
		if err := u.deactivateRows(tx, model.TheServer(), &user, nil); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			u.config.Logger.Warn("the homeserver has deactivated an account; it is deactivated here too, and its sessions are ended", u.logUser(user))
		})
		return nil
	})
	return followed, err
}

// deactivateRows is what a deactivation means here: no session, no browser, no address, no link and no place remains.
func (u *Users) deactivateRows(tx *store.Tx, by model.Actor, user *model.User, details model.Details) error {
	if !user.Deactivated() {
		user.DeactivatedAt = tx.Now
	}
	if err := tx.UpdateUser(*user); err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionDeactivateUser, user.ID, details); err != nil {
		return err
	}
	if _, err := u.EndEverything(tx, by, user.ID, model.EndDeactivated); err != nil {
		return err
	}
	if err := tx.ForgetPlaces(user.ID); err != nil {
		return err
	}
	if err := tx.ForgetFailedSignIns(user.ID); err != nil {
		return err
	}
	if err := u.endWaysIn(tx, *user, model.RecoveryBlocked); err != nil { // MAIL-6
		return err
	}
	emails, err := tx.Emails(user.ID)
	if err != nil {
		return err
	}
	if len(emails) > 0 {
		if err := u.notify(tx, model.NoticeDeactivated, user.ID, emails); err != nil {
			return err
		}
	}
	// Addresses stand in what is kept of their registration and in a code that waits, too.
	if err := tx.DeleteVerification(ofAccount(*user)); err != nil {
		return err
	}
	if err := tx.DeleteRegistrationOf(user.ID); err != nil {
		return err
	}
	return errors.Join(tx.DeleteEmails(user.ID), tx.DeleteExternalLinks(user.ID), tx.DeleteOtherThreepids(user.ID))
}

// FollowDeactivated deactivates an account, in a transaction, that the homeserver has deactivated, or has no more. The
// homeserver is told nothing.
func (u *Users) FollowDeactivated(tx *store.Tx, by model.Actor, user *model.User) error {
	if user.Deactivated() {
		return nil
	}
	return u.deactivateRows(tx, by, user, nil)
}
