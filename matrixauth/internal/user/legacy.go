package user

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// AppPasswordChange is a new password that somebody gives their own account in an app of the legacy API.
type AppPasswordChange struct {
	// Proof is that of the password so far, given for this change (PW-8).
	Proof model.Proof
	// Old and New are the passwords.
	Old, New string
	// SessionID is that of the app, which stays signed in.
	SessionID string
	// Others reports whether the sessions of all other apps end (LEG-48).
	Others bool
}

// ChangePasswordInApp is ChangePassword for an app: all browsers are signed out, as none of them asked. Errors:
// InvalidPassword, as of HashPassword; UnknownToken if the app was signed out meanwhile; LoginRequired if the password was
// changed meanwhile; UserLocked, UserDeactivated; TemporarilyDown.
func (u *Users) ChangePasswordInApp(ctx context.Context, by model.Actor, c AppPasswordChange) error {
	if password.Same(c.Old, c.New) {
		return refused(password.Refuse(password.Unchanged))
	}
	hash, err := u.HashPasswordFor(ctx, c.Proof.User, c.New)
	if err != nil {
		return err
	}
	err = u.config.Store.Update(ctx, func(tx *store.Tx) error {
		who, err := u.inApp(tx, c.Proof, c.SessionID)
		if err != nil {
			return err
		}
		return u.SetPassword(tx, by, who, hash, Ends{KeepApp: c.SessionID, Apps: c.Others})
	})
	if err != nil {
		return err
	}
	if c.Others {
		u.config.Sessions.Settle(ctx, by.ID)
	}
	return nil
}

// LeaveByApp is Leave for the app of a session, and returns UnknownToken if that is over.
func (u *Users) LeaveByApp(ctx context.Context, by model.Actor, proof model.Proof, sessionID string, erase bool) error {
	return u.leave(ctx, by, erase, func(tx *store.Tx) (model.User, error) { return u.inApp(tx, proof, sessionID) })
}

// EndDevices ends the sessions of some devices at the wish of their user, who proved in the app of a session who they are. A
// device that has no session here is deleted at the homeserver all the same: it may be older than we are. Errors: those of
// ChangePasswordInApp.
func (u *Users) EndDevices(ctx context.Context, by model.Actor, proof model.Proof, sessionID string, devices []string) error {
	err := u.config.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := u.inApp(tx, proof, sessionID); err != nil {
			return err
		}
		return u.config.Sessions.EndDevices(tx, by, devices)
	})
	if err != nil {
		return err
	}
	u.config.Sessions.Settle(ctx, by.ID)
	return nil
}

// inApp returns the account of a proof that was given in the app of a session, as both are now: of two requests at once the
// second one meets what the first one left.
func (u *Users) inApp(tx *store.Tx, proof model.Proof, sessionID string) (model.User, error) {
	who, err := stillProven(tx, proof)
	if err == nil {
		err = who.MayAct()
	}
	if err != nil {
		return who, err
	}
	return who, u.config.Sessions.CheckLive(tx, who.ID, sessionID)
}
