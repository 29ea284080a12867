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
func (u *Users) Lock(tx *store.Tx, by model.Actor, user *model.User) error {
	return u.setLock(tx, by, user, true)
}

// Unlock lets a locked user go on.
func (u *Users) Unlock(tx *store.Tx, by model.Actor, user *model.User) error {
	return u.setLock(tx, by, user, false)
}

func (u *Users) setLock(tx *store.Tx, by model.Actor, user *model.User, lock bool) error {
	if user.Locked() == lock {
		return nil
	}
	action := model.ActionUnlockUser
	user.LockedAt = time.Time{}
	if lock {
		action, user.LockedAt = model.ActionLockUser, tx.Now
		if err := u.endWaysIn(tx, *user, model.RecoveryBlocked); err != nil { // MAIL-6
			return err
		}
	}
	if err := tx.UpdateUser(*user); err != nil {
		return err
	}
	if err := tx.Record(by, action, user.ID, nil); err != nil {
		return err
	}
	id := user.ID
	tx.AfterCommit(func() { u.config.Sessions.SetLocked(id, lock) })
	if user.Deactivated() {
		return nil
	}
	// The homeserver hides a locked user from its directory.
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{})
}

// Deactivate ends all sessions of a user, in apps and browsers, forgets the addresses and has the homeserver deactivate
// the account, which deletes its devices (MOD-11). The password stays, so that who knows it is told
// the truth. The name is never given out again. With erase, newcomers do not see old messages. For an
// account that is deactivated already it tells the homeserver once more, which may have been restored
// from an older state.
func (u *Users) Deactivate(tx *store.Tx, by model.Actor, user *model.User, erase bool) error {
	if err := u.deactivateRows(tx, by, user, model.Details{"erase": erase}); err != nil {
		return err
	}
	return DeactivateJob.Enqueue(u.config.Outbox, tx, user.ID, Deactivate{Erase: erase})
}

// EndEverything ends all sessions of a user, in apps and browsers, and returns their number.
func (u *Users) EndEverything(tx *store.Tx, by model.Actor, userID string, reason model.EndReason) (int, error) {
	apps, err := u.config.Sessions.EndAll(tx, by, userID, reason)
	if err != nil {
		return 0, err
	}
	browsers, err := u.config.Browsers.EndAll(tx, by, userID, reason)
	return apps + browsers, err
}

// EndOne ends the live session of an id, be it of an app or of a browser, and returns whose it was; a browser
// has no device. It returns an Error with code SessionNotFound if there is none.
func (u *Users) EndOne(tx *store.Tx, by model.Actor, id string, reason model.EndReason) (model.Session, error) {
	ended, lived, err := u.config.Sessions.EndLive(tx, by, id, reason)
	if err != nil || lived {
		return ended, err
	}
	b, err := u.config.Browsers.End(tx, by, id, reason)
	return model.Session{ID: b.ID, UserID: b.UserID}, err
}

// LogoutAll ends all sessions of a user at their own wish, in apps and browsers (LEG-38): a browser that
// stayed signed in could have an app in again. It works for locked users too (LEG-39).
func (u *Users) LogoutAll(ctx context.Context, by model.Actor) error {
	err := u.config.Store.Update(ctx, func(tx *store.Tx) error {
		_, err := u.EndEverything(tx, by, by.ID, model.EndLogoutAll)
		return err
	})
	if err != nil {
		return err
	}
	u.config.Sessions.Settle(ctx, by.ID)
	return nil
}

// Reactivate makes a deactivated account usable again. Its sessions do not come back.
func (u *Users) Reactivate(tx *store.Tx, by model.Actor, user *model.User) error {
	if !user.Deactivated() {
		return nil
	}
	user.DeactivatedAt = time.Time{}
	if err := tx.UpdateUser(*user); err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionReactivateUser, user.ID, nil); err != nil {
		return err
	}
	if err := ReactivateJob.Enqueue(u.config.Outbox, tx, user.ID, Reactivate{}); err != nil {
		return err
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{SetEmails: true})
}

// CheckActive refuses an account that is deactivated, with an Error of code UserDeactivated.
func CheckActive(user model.User) error {
	if user.Deactivated() {
		return model.Errorf(model.UserDeactivated, "the account is deactivated; reactivate it first")
	}
	return nil
}
