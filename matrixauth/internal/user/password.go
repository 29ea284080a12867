package user

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// busyRetry is what a client is told when too many passwords are being checked.
const busyRetry = 5 * time.Second

// badCredentials is the answer to every password login that fails, whatever the reason (LEG-20).
func badCredentials() error { return model.NewError(model.InvalidCredentials) }

// HashPassword hashes a new password for SetPassword, once the policy finds nothing wrong with it. about is what the password
// must not be made of, beside the server name: the localpart, the display name, addresses. Errors: InvalidPassword, of
// which password.ReasonOf tells the reason and whose text is a sentence for operators and programs; and TemporarilyDown
// if too many are being hashed.
func (u *Users) HashPassword(ctx context.Context, clear string, about ...string) (string, error) {
	var weak error
	// The judgement takes as long as a hash, so it waits for its turn like one.
	err := u.config.Passwords.InTurn(ctx, func() { weak = u.config.Policy.Check(clear, append(about, u.config.ServerName)...) })
	if err != nil {
		return "", busy(err)
	}
	return u.hash(ctx, clear, weak)
}

// HashWeakPassword is HashPassword for an operator who goes against the policy knowingly. What the policy never lets pass
// is refused all the same: what is shorter than bound.PasswordLeast, too long, or not text.
func (u *Users) HashWeakPassword(ctx context.Context, clear string) (string, error) {
	return u.hash(ctx, clear, u.config.Policy.CheckFloor(clear))
}

func (u *Users) hash(ctx context.Context, clear string, weak error) (string, error) {
	if weak != nil {
		return "", refused(weak)
	}
	if u.config.BcryptCost == 0 {
		hash, err := u.config.Passwords.Hash(ctx, clear)
		return hash, busy(err)
	}
	pepper, err := u.presentPepper(ctx)
	if err != nil {
		return "", err
	}
	hash, err := u.config.Passwords.HashBcrypt(ctx, clear, u.config.BcryptCost, pepper)
	return hash, busy(err)
}

func busy(err error) error {
	if errors.Is(err, password.ErrBusy) {
		return model.NewError(model.TemporarilyDown).WithCause(err).WithRetry(busyRetry)
	}
	return err
}

// Ends says what ends with a new password beside the browser sessions. The zero value is what suits most: nothing else.
type Ends struct {
	// Keep is the browser session in which the password was changed, which goes on; empty for none.
	Keep string
	// Apps reports whether the sessions of apps end too, with what is encrypted for their devices alone.
	Apps bool
	// KeepApp is the session of an app that does not end with the others; empty for none.
	KeepApp string
}

// refused returns the error about a new password that is refused.
func refused(weak error) error {
	return model.Errorf(model.InvalidPassword, "%s", weak).WithCause(weak)
}

// SetPassword replaces the password of an account by one that HashPassword hashed. Its apps stay signed in unless ends says
// otherwise; its browsers do not, as whoever knew the old password may sit at one of them (SESS-3), and what was consented
// to there counts no more. A caller that ends apps calls session.Settle after the commit.
func (u *Users) SetPassword(tx *store.Tx, by model.Actor, user model.User, hash string, ends Ends) error {
	if err := u.replacePassword(tx, by, user, hash, ends); err != nil {
		return err
	}
	return u.notify(tx, model.NoticePassword, user.ID, nil)
}

// FollowPassword is SetPassword for a password that was changed at another server, whose account is taken over. Its apps stay
// signed in, and nobody is told: that server did.
func (u *Users) FollowPassword(tx *store.Tx, by model.Actor, user model.User, hash string) error {
	return u.replacePassword(tx, by, user, hash, Ends{})
}

func (u *Users) replacePassword(tx *store.Tx, by model.Actor, user model.User, hash string, ends Ends) error {
	if err := CheckActive(user); err != nil {
		return err
	}
	if _, err := u.config.Browsers.EndAllBut(tx, by, user.ID, ends.Keep, model.EndPassword); err != nil {
		return err
	}
	if ends.Apps {
		if _, err := u.config.Sessions.EndAllBut(tx, by, user.ID, ends.KeepApp, model.EndPassword); err != nil {
			return err
		}
	}
	if err := session.Withdraw(tx, user.ID, "", model.EndPassword); err != nil {
		return err
	}
	if err := tx.SetPassword(user.ID, hash); err != nil {
		return err
	}
	if err := u.endWaysIn(tx, user, model.RecoveryPassword); err != nil { // MAIL-2
		return err
	}
	return tx.Record(by, model.ActionSetPassword, user.ID, nil)
}

// CheckPassword checks a password against the hash of an account, which is empty if there is nothing to prove. Every
// failure costs one hash and is an Error with code InvalidCredentials (PW-3). A hash of an old scheme is replaced. Only
// package signin may call it: it knows no limits.
func (u *Users) CheckPassword(ctx context.Context, who model.User, hash, clear string) error {
	if hash == "" {
		if err := u.verifyDummy(ctx, clear); err != nil && !errors.Is(err, password.ErrTooLong) {
			return busy(err)
		}
		return badCredentials()
	}
	pepper, err := u.pepperOf(ctx, hash)
	if err != nil {
		return err
	}
	result, err := u.config.Passwords.VerifyPeppered(ctx, hash, clear, pepper)
	if errors.Is(err, password.ErrTooLong) {
		return badCredentials()
	}
	if err != nil {
		return busy(err)
	}
	if !result.OK {
		return badCredentials()
	}
	// A hash of bcrypt is not replaced where the way back to Synapse is to stay open.
	if result.Upgrade && u.config.BcryptCost == 0 {
		u.upgrade(ctx, who, hash, clear)
	}
	return nil
}

// verifyDummy does the work of checking a password at the cost of a new hash.
func (u *Users) verifyDummy(ctx context.Context, clear string) error {
	if u.config.BcryptCost != 0 {
		return u.config.Passwords.VerifyDummyBcrypt(ctx, clear, u.config.BcryptCost)
	}
	return u.config.Passwords.VerifyDummy(ctx, clear)
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
