package user

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// PasswordChange is a new password that somebody gives their own account, in a browser in which they are signed in.
type PasswordChange struct {
	// Proof is that of the password so far, given for this change (PW-8).
	Proof model.Proof
	// Old and New are the passwords.
	Old, New string
	// Value is what the browser's cookie holds.
	Value string
	// Apps reports whether the sessions of apps end too.
	Apps bool
}

// ChangePassword replaces a password at the wish of whose account it is. Their other browsers are signed out, and the one that
// asks goes on under another value, which is returned: whoever has the old one, or knows the old password, is out (PW-8,
// SESS-2). Errors: InvalidPassword, as of HashPassword; NotSignedIn if the browser was signed out meanwhile, as by another
// change; UserLocked, UserDeactivated; TemporarilyDown.
func (u *Users) ChangePassword(ctx context.Context, by model.Actor, c PasswordChange) (value string, err error) {
	who := c.Proof.User
	if password.Same(c.Old, c.New) {
		return "", refused(password.Refuse(password.Unchanged))
	}
	hash, err := u.HashPasswordFor(ctx, who, c.New)
	if err != nil {
		return "", err
	}
	value = model.NewBrowserValue()
	err = u.config.Store.Update(ctx, func(tx *store.Tx) error {
		// The session tells that nobody else set a password since the proof: that would have ended it.
		s, err := u.config.Browsers.Renew(tx, c.Value, value, c.Proof)
		if err != nil {
			return err
		}
		now, err := tx.User(who.ID)
		if err == nil {
			err = now.MayAct()
		}
		if err != nil {
			return err
		}
		return u.SetPassword(tx, by, now, hash, Ends{Keep: s.ID, Apps: c.Apps})
	})
	if err != nil {
		return "", err
	}
	if c.Apps {
		u.config.Sessions.Settle(ctx, who.ID)
	}
	return value, nil
}

// HasPassword reports whether an account can sign in by a password.
func (u *Users) HasPassword(ctx context.Context, userID string) (has bool, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		_, err := tx.Password(userID)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		has = err == nil
		return err
	})
	return has, err
}

// HashPasswordFor is HashPassword for an account that is there: its password must not be made of its name and addresses. (The
// display name is at the homeserver, which is not asked.)
func (u *Users) HashPasswordFor(ctx context.Context, who model.User, clear string) (string, error) {
	about := []string{who.Localpart}
	err := u.config.Store.View(ctx, func(tx *store.Tx) error {
		addresses, err := tx.Emails(who.ID)
		for _, a := range addresses {
			about = append(about, a.Address)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return u.HashPassword(ctx, clear, about...)
}
