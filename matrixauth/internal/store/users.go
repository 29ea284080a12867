package store

import (
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectUser = "SELECT id, localpart, admin, created_at, locked_at, deactivated_at FROM users"

func scanUser(s scanner) (u model.User, err error) {
	err = s.Scan(&u.ID, &u.Localpart, &u.Admin, timeInto{&u.CreatedAt}, timeInto{&u.LockedAt}, timeInto{&u.DeactivatedAt})
	return u, err
}

// InsertUser adds an account. The caller has made sure that the localpart is free.
func (tx *Tx) InsertUser(u model.User) error {
	_, err := tx.exec("INSERT INTO users (id, localpart, admin, created_at, locked_at, deactivated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		u.ID, u.Localpart, u.Admin, micros(u.CreatedAt), micros(u.LockedAt), micros(u.DeactivatedAt))
	return err
}

// UpdateUser writes what may change of an account: admin, lock and deactivation.
func (tx *Tx) UpdateUser(u model.User) error {
	_, err := tx.exec("UPDATE users SET admin = ?2, locked_at = ?3, deactivated_at = ?4 WHERE id = ?1",
		u.ID, u.Admin, micros(u.LockedAt), micros(u.DeactivatedAt))
	return err
}

// User finds an account by its id.
func (tx *Tx) User(id string) (model.User, error) {
	return one(tx, scanUser, selectUser+" WHERE id = ?1", id)
}

// UserByLocalpart finds an account by its exact localpart.
func (tx *Tx) UserByLocalpart(localpart string) (model.User, error) {
	return one(tx, scanUser, selectUser+" WHERE localpart = ?1", localpart)
}

const usersByLogin = " WHERE localpart IN (?1, ?2) OR lower(localpart) = lower(?1) ORDER BY localpart = ?1 DESC, localpart = ?2 DESC LIMIT 2"

// UserByLogin finds an account by the name that a person typed: the exact localpart, or else the lower-cased one, or else
// the only one that differs in the case of letters alone, as names may that another server allowed. It is one look-up,
// whether anything is found or not.
func (tx *Tx) UserByLogin(name string) (model.User, error) {
	small := strings.ToLower(name)
	found, err := many(tx, scanUser, selectUser+usersByLogin, name, small)
	switch {
	case err != nil:
		return model.User{}, err
	case len(found) == 0, len(found) > 1 && found[0].Localpart != name && found[0].Localpart != small:
		return model.User{}, model.ErrNotFound
	}
	return found[0], nil
}

// Users lists at most limit accounts in the order of their localparts, beginning behind after.
func (tx *Tx) Users(after string, limit int) ([]model.User, error) {
	return many(tx, scanUser, selectUser+" WHERE localpart > ?1 ORDER BY localpart LIMIT ?2", after, limit)
}

// CountUsers counts all accounts.
func (tx *Tx) CountUsers() (int, error) {
	return one(tx, func(s scanner) (n int, err error) { return n, s.Scan(&n) }, "SELECT COUNT(*) FROM users")
}

// ActiveUsers lists at most limit accounts that are neither locked nor deactivated, those that may
// administer the homeserver first.
func (tx *Tx) ActiveUsers(limit int) ([]model.User, error) {
	return many(tx, scanUser, selectUser+" WHERE deactivated_at IS NULL AND locked_at IS NULL ORDER BY admin DESC, localpart LIMIT ?1", limit)
}

// LockedUsers lists the ids of all locked accounts.
func (tx *Tx) LockedUsers() ([]string, error) {
	return many(tx, scanText, "SELECT id FROM users WHERE locked_at IS NOT NULL")
}

func scanText(s scanner) (text string, err error) {
	err = s.Scan(&text)
	return text, err
}

// SetPassword stores the hash of a user's password in place of any earlier one.
func (tx *Tx) SetPassword(userID, hash string) error {
	_, err := tx.exec(`INSERT INTO passwords (user_id, hash, changed_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`,
		userID, hash, micros(tx.Now))
	return err
}

// UpgradePassword replaces a hash by one of the same password, unless it was changed meanwhile.
func (tx *Tx) UpgradePassword(userID, old, hash string) error {
	_, err := tx.exec("UPDATE passwords SET hash = ?3 WHERE user_id = ?1 AND hash = ?2", userID, old, hash)
	return err
}

// Password finds the hash of a user's password.
func (tx *Tx) Password(userID string) (string, error) {
	return one(tx, scanText, "SELECT hash FROM passwords WHERE user_id = ?1", userID)
}

// clip shortens text that came from outside to bound.ClientText bytes of valid UTF-8.
func clip(text string) string {
	if len(text) > bound.ClientText {
		text = text[:bound.ClientText]
	}
	return strings.ToValidUTF8(text, "")
}

// before returns the moment by which retention measures an age.
func (tx *Tx) before(age time.Duration) any { return micros(tx.Now.Add(-age)) }
