package user

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// busyRetry is what a client is told when too many passwords are being checked.
const busyRetry = 5 * time.Second

// badCredentials is the answer to every password login that fails, whatever the reason (LEG-20).
func badCredentials() error { return model.NewError(model.InvalidCredentials) }

// HashPassword hashes a new password after checking it, for SetPassword. Errors: InvalidPassword, and
// TemporarilyDown if too many are being hashed.
func (u *Users) HashPassword(ctx context.Context, clear string) (string, error) {
	if !utf8.ValidString(clear) || strings.ContainsRune(clear, 0) {
		// No client could send it: what they send is JSON or a form in UTF-8.
		return "", model.Errorf(model.InvalidPassword, "this password is not text: it is not UTF-8, or holds a NUL")
	}
	if len([]rune(clear)) < bound.PasswordLeast {
		return "", model.Errorf(model.InvalidPassword, "a password needs at least 8 characters")
	}
	hash, err := u.config.Passwords.Hash(ctx, clear)
	if errors.Is(err, password.ErrTooLong) {
		return "", model.Errorf(model.InvalidPassword, "this password is too long").WithCause(err)
	}
	return hash, busy(err)
}

func busy(err error) error {
	if errors.Is(err, password.ErrBusy) {
		return model.NewError(model.TemporarilyDown).WithCause(err).WithRetry(busyRetry)
	}
	return err
}

// SetPassword replaces the password of an account by one that HashPassword hashed. Its apps stay signed in; its browsers do not, as
// whoever knew the old password may sit at one of them (SESS-3), and what was consented to there counts
// no more.
func (u *Users) SetPassword(tx *store.Tx, by model.Actor, user model.User, hash string) error {
	if err := CheckActive(user); err != nil {
		return err
	}
	if _, err := u.config.Browsers.EndAll(tx, by, user.ID, model.EndPassword); err != nil {
		return err
	}
	if err := session.Withdraw(tx, user.ID, "", model.EndPassword); err != nil {
		return err
	}
	if err := tx.SetPassword(user.ID, hash); err != nil {
		return err
	}
	return tx.Record(by, model.ActionSetPassword, user.ID, nil)
}

// CheckPassword checks a password against the hash of an account, which is empty if there is nothing to prove. Every
// failure costs one hash and is an Error with code InvalidCredentials (PW-3). A hash of an old scheme is replaced. Only
// package signin may call it: it knows no limits.
func (u *Users) CheckPassword(ctx context.Context, who model.User, hash, clear string) error {
	if hash == "" {
		if err := u.config.Passwords.VerifyDummy(ctx, clear); err != nil && !errors.Is(err, password.ErrTooLong) {
			return busy(err)
		}
		return badCredentials()
	}
	result, err := u.config.Passwords.Verify(ctx, hash, clear)
	if errors.Is(err, password.ErrTooLong) {
		return badCredentials()
	}
	if err != nil {
		return busy(err)
	}
	if !result.OK {
		return badCredentials()
	}
	if result.Upgrade {
		u.upgrade(ctx, who, hash, clear)
	}
	return nil
}

// upgrade stores a password under the present scheme. The login that brought it has succeeded, so a
// failure is logged and tried again at the next login.
func (u *Users) upgrade(ctx context.Context, user model.User, old, clear string) {
	hash, err := u.config.Passwords.Hash(ctx, clear)
	if err == nil {
		err = u.config.Store.Update(ctx, func(tx *store.Tx) error { return tx.UpgradePassword(user.ID, old, hash) })
	}
	if err != nil {
		u.config.Logger.Warn("a password could not be stored under the present scheme", u.logUser(user), "error", err)
	}
}
