package user

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Lock keeps a user from doing anything but logging out. Sessions, tokens, devices and with them the
// keys of the clients stay, so that all goes on after Unlock (MOD-1, MOD-2). Locking a locked user
// changes nothing.
func (u *Users) Lock(ctx context.Context, name string) (model.User, error) {
	return u.setLock(ctx, name, true)
}

// Unlock lets a locked user go on.
func (u *Users) Unlock(ctx context.Context, name string) (model.User, error) {
	return u.setLock(ctx, name, false)
}

func (u *Users) setLock(ctx context.Context, name string, lock bool) (model.User, error) {
	return u.change(ctx, name, func(tx *store.Tx, user *model.User) error {
		if user.Locked() == lock {
			return nil
		}
		user.LockedAt = time.Time{}
		if lock {
			user.LockedAt = tx.Now
		}
		if err := tx.UpdateUser(*user); err != nil {
			return err
		}
		id := user.ID
		tx.AfterCommit(func() { u.Sessions.Registry.SetLocked(id, lock) })
		if user.Deactivated() {
			return nil
		}
		// The homeserver hides a locked user from its directory.
		return u.Outbox.Enqueue(tx, user.ID, model.JobProvisionUser, model.JobPayload{})
	})
}

// Deactivate ends all sessions of a user, in apps and browsers, forgets the addresses and has the homeserver deactivate
// the account, which deletes its devices (MOD-11). The password stays, so that who knows it is told
// the truth. The name is never given out again. With erase, newcomers do not see old messages. For an
// account that is deactivated already it tells the homeserver once more, which may have been restored
// from an older state.
func (u *Users) Deactivate(ctx context.Context, name string, erase bool) (model.User, error) {
	return u.change(ctx, name, func(tx *store.Tx, user *model.User) error {
		if err := u.deactivateRows(tx, user); err != nil {
			return err
		}
		return u.Outbox.Enqueue(tx, user.ID, model.JobDeactivateUser, model.JobPayload{Erase: erase})
	})
}

// EndEverything ends all sessions of a user, in apps and browsers, and gives their number.
func (u *Users) EndEverything(tx *store.Tx, userID string, reason model.EndReason) (int, error) {
	apps, err := u.Sessions.EndAll(tx, userID, reason)
	if err != nil {
		return 0, err
	}
	browsers, err := u.Browsers.EndAll(tx, userID, reason)
	return apps + browsers, err
}

// LogoutAll ends all sessions of a user at their own wish, in apps and browsers (LEG-38): a browser that
// stayed signed in could have an app in again. It works for locked users too (LEG-39).
func (u *Users) LogoutAll(ctx context.Context, userID string) error {
	err := u.Store.Update(ctx, func(tx *store.Tx) error {
		_, err := u.EndEverything(tx, userID, model.EndLogoutAll)
		return err
	})
	if err != nil {
		return err
	}
	u.Sessions.Settle(ctx, userID)
	return nil
}

// Reactivate makes a deactivated account usable again. Its sessions do not come back.
func (u *Users) Reactivate(ctx context.Context, name string) (model.User, error) {
	return u.change(ctx, name, func(tx *store.Tx, user *model.User) error {
		if !user.Deactivated() {
			return nil
		}
		user.DeactivatedAt = time.Time{}
		if err := tx.UpdateUser(*user); err != nil {
			return err
		}
		if err := u.Outbox.Enqueue(tx, user.ID, model.JobReactivateUser, model.JobPayload{}); err != nil {
			return err
		}
		return u.Outbox.Enqueue(tx, user.ID, model.JobProvisionUser, model.JobPayload{SetEmails: true})
	})
}
