package user

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// minPassword is the least number of characters of a new password (PW-5, hard floor).
const minPassword = 8

// busyRetry is what a client is told when too many passwords are being checked.
const busyRetry = 5 * time.Second

// badCredentials is the answer to every password login that fails, whatever the reason (LEG-20).
func badCredentials() error { return &model.Error{Kind: model.Denied, Code: model.InvalidCredentials} }

// hash hashes a new password after judging it.
func (u *Users) hash(ctx context.Context, clear string) (string, error) {
	if !utf8.ValidString(clear) || strings.ContainsRune(clear, 0) {
		// No client could send it: what they send is JSON or a form in UTF-8.
		return "", &model.Error{Kind: model.Invalid, Code: model.InvalidPassword, Text: "this password is no text: it is not UTF-8, or holds a NUL"}
	}
	if len([]rune(clear)) < minPassword {
		return "", &model.Error{Kind: model.Invalid, Code: model.InvalidPassword, Text: "a password needs at least 8 characters"}
	}
	hash, err := u.Passwords.Hash(ctx, clear)
	if errors.Is(err, password.ErrTooLong) {
		return "", &model.Error{Kind: model.Invalid, Code: model.InvalidPassword, Text: "this password is too long", Err: err}
	}
	return hash, busy(err)
}

func busy(err error) error {
	if errors.Is(err, password.ErrBusy) {
		return &model.Error{Kind: model.Unavailable, Code: model.TemporarilyDown, Retry: busyRetry, Err: err}
	}
	return err
}

// SetPassword replaces the password of an account. Its apps stay signed in; its browsers do not, as
// whoever knew the old password may sit at one of them (SESS-3), and what was consented to there counts
// no more.
func (u *Users) SetPassword(ctx context.Context, name, clear string) (model.User, error) {
	hash, err := u.hash(ctx, clear)
	if err != nil {
		return model.User{}, err
	}
	return u.change(ctx, name, func(tx *store.Tx, user *model.User) error {
		if user.Deactivated() {
			return &model.Error{Kind: model.Conflict, Code: model.UserDeactivated, Text: "the account is deactivated; reactivate it first"}
		}
		if _, err := u.Browsers.EndAll(tx, user.ID, model.EndPassword); err != nil {
			return err
		}
		if err := session.Withdraw(tx, user.ID, "", model.EndPassword); err != nil {
			return err
		}
		return tx.SetPassword(user.ID, hash)
	})
}

// Key is one key for all spellings of an account's name, whether there is such an account or not.
func (u *Users) Key(id Identifier) string {
	id = id.trimmed()
	if id.Name == "" {
		return emailKey(id.Email)
	}
	if localpart, server, ok := model.ParseMatrixID(id.Name); ok && server == u.ServerName {
		return strings.ToLower(localpart)
	}
	return strings.ToLower(id.Name)
}

// Authenticate proves a password, within the limits of where the attempt comes from (RateLimited). Every
// failure, an unknown name among them, costs one hash and three look-ups and gives the same error (LEG-20,
// PW-3). Only who knows the password learns that the account is locked (UserLocked) or deactivated
// (UserDeactivated); with these errors comes the account (LEG-21, MOD-5).
func (u *Users) Authenticate(ctx context.Context, a Attempt) (Proof, error) {
	found, forgive, err := u.admit(ctx, a)
	if err != nil {
		return Proof{}, err
	}
	err = u.prove(ctx, found, a.Password)
	if errors.Is(err, model.UserLocked) || errors.Is(err, model.UserDeactivated) {
		return Proof{User: found.user}, err
	}
	if err != nil {
		return Proof{}, err
	}
	forgive()
	return Proof{User: found.user, Device: a.device(found.place.Browser)}, nil
}

// admit finds whom an attempt is about and counts it.
func (u *Users) admit(ctx context.Context, a Attempt) (found candidate, forgive func(), err error) {
	if len(a.Devices) == 0 { // and so from no known browser: a flood costs no look-up
		if err := u.Logins.takeNetwork(a, store.Place{}); err != nil {
			return found, nil, err
		}
	}
	if found, err = u.candidate(ctx, a); err != nil {
		return found, nil, err
	}
	if a.About != nil && found.user.ID != "" {
		a.About(found.user)
	}
	if len(a.Devices) > 0 {
		if err := u.Logins.takeNetwork(a, found.place); err != nil {
			return found, nil, err
		}
	}
	forgive, err = u.Logins.takeAccount(a, u.Key(a.Identifier), found.place)
	return found, forgive, err
}

func (u *Users) prove(ctx context.Context, c candidate, clear string) error {
	if c.hash == "" {
		if err := u.Passwords.VerifyNobody(ctx, clear); err != nil && !errors.Is(err, password.ErrTooLong) {
			return busy(err)
		}
		return badCredentials()
	}
	result, err := u.Passwords.Verify(ctx, c.hash, clear)
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
		u.upgrade(ctx, c.user, c.hash, clear)
	}
	return c.user.MayAct()
}

// candidate is whom an attempt is about, with what there is to prove and how they are known where it comes from.
type candidate struct {
	user model.User
	// hash is empty if there is nothing to prove.
	hash  string
	place store.Place
}

// candidate finds whom an attempt is about. Name look-ups try the exact spelling, then the lower-cased one
// (LEG-16).
func (u *Users) candidate(ctx context.Context, a Attempt) (c candidate, err error) {
	err = u.Store.View(ctx, func(tx *store.Tx) error {
		if c.user, err = u.lookUp(tx, a.Identifier); err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		// Asked for whether an account was found or not, so that both cost the same.
		if c.place, err = tx.KnownPlace(c.user.ID, model.Place(a.IP), a.hashes()); err != nil {
			return err
		}
		c.hash, err = tx.Password(c.user.ID)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	return c, err
}

func (u *Users) lookUp(tx *store.Tx, id Identifier) (model.User, error) {
	id = id.trimmed()
	if id.Name == "" {
		return tx.UserByEmail(emailKey(id.Email))
	}
	return tx.UserByLogin(u.ownLocalpart(id.Name))
}

// ownLocalpart is the localpart of a name of this server; a name of another server yields a
// localpart that nobody has.
func (u *Users) ownLocalpart(name string) string {
	localpart, server, ok := model.ParseMatrixID(name)
	if !ok {
		return name
	}
	if server != u.ServerName {
		return ""
	}
	return localpart
}

// upgrade stores a password under the present scheme. The login that brought it has succeeded, so a
// failure is logged and tried again at the next login.
func (u *Users) upgrade(ctx context.Context, user model.User, old, clear string) {
	hash, err := u.Passwords.Hash(ctx, clear)
	if err == nil {
		err = u.Store.Update(ctx, func(tx *store.Tx) error { return tx.UpgradePassword(user.ID, old, hash) })
	}
	if err != nil {
		u.Logger.Warn("a password could not be stored under the present scheme", u.logUser(user), "error", err)
	}
}
