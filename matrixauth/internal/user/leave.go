package user

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Leave deactivates an account at the wish of its holder, who has proved a moment ago who they are. All that Deactivate does
// follows, erase among it. The account is looked at again in the transaction, so that of two who do something at once the
// second one meets what the first one left. Errors: UserLocked, as whoever is locked may do nothing, and UserDeactivated;
// LoginRequired if the password was changed since the proof, which then is one of somebody who may not know it any more;
// NotSignedIn for an account that is gone; TemporarilyDown.
func (u *Users) Leave(ctx context.Context, by model.Actor, proof model.Proof, erase bool) error {
	return u.leave(ctx, by, erase, func(tx *store.Tx) (model.User, error) { return stillProven(tx, proof) })
}

// stillProven returns the account of a proof as it is now. Errors: NotSignedIn for one that is gone, and LoginRequired if the
// password was changed since the proof.
func stillProven(tx *store.Tx, proof model.Proof) (model.User, error) {
	now, err := tx.User(proof.User.ID)
	if errors.Is(err, model.ErrNotFound) {
		return now, model.NewError(model.NotSignedIn)
	}
	if err != nil {
		return now, err
	}
	changed, err := tx.PasswordChangedAt(now.ID)
	if err != nil && !errors.Is(err, model.ErrNotFound) { // whoever has no password proved something else
		return now, err
	}
	if changed.After(proof.At) {
		return now, model.NewError(model.LoginRequired)
	}
	return now, nil
}

// LeaveByBrowser is Leave for who is signed in in a browser, whose cookie holds value. The session, and when they proved in it
// who they are, is read in the same transaction: whoever was signed out meanwhile, in another tab, by an operator or by another
// password, has not asked for anything. Its errors are those of Leave, LoginRequired too if the proof is too old, and
// NotSignedIn too if the session is over or somebody else's.
func (u *Users) LeaveByBrowser(ctx context.Context, by model.Actor, value string, erase bool) error {
	return u.leave(ctx, by, erase, func(tx *store.Tx) (model.User, error) {
		s, who, err := u.config.Browsers.In(tx, value)
		switch {
		case err != nil:
			return who, err
		case who.ID != by.ID:
			return who, model.NewError(model.NotSignedIn)
		case who.MayAct() == nil && !s.Proved(tx.Now):
			return who, model.NewError(model.LoginRequired)
		}
		return who, nil
	})
}

// leave deactivates the account that proven finds to be of whoever asks.
func (u *Users) leave(ctx context.Context, by model.Actor, erase bool, proven func(tx *store.Tx) (model.User, error)) error {
	if u.config.ReadOnly {
		return model.Errorf(model.TemporarilyDown, "the homeserver is configured as read-only; nothing is written to it")
	}
	var left string
	err := u.config.Store.Update(ctx, func(tx *store.Tx) error {
		who, err := proven(tx)
		if err == nil {
			err = who.MayAct()
		}
		if err != nil {
			return err
		}
		left = who.ID
		return u.Deactivate(tx, by, &who, erase)
	})
	if err != nil {
		return err
	}
	u.config.Sessions.Settle(ctx, left)
	return nil
}
