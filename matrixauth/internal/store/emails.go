package store

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

const selectEmail = "SELECT id, user_id, address, key, created_at, recovery_since FROM user_emails"

func scanEmail(s scanner) (e model.Email, err error) {
	err = s.Scan(&e.ID, &e.UserID, &e.Address, &e.Key, timeInto{&e.CreatedAt}, timeInto{&e.RecoverySince})
	return e, err
}

// InsertEmail adds an address. The caller has made sure that its key is free.
func (tx *Tx) InsertEmail(e model.Email) error {
	_, err := tx.exec("INSERT INTO user_emails (id, user_id, address, key, created_at, recovery_since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		e.ID, e.UserID, e.Address, e.Key, micros(e.CreatedAt), micros(e.RecoverySince))
	return err
}

// Emails lists the addresses of a user, oldest first.
func (tx *Tx) Emails(userID string) ([]model.Email, error) {
	return many(tx, scanEmail, selectEmail+" WHERE user_id = ?1 ORDER BY created_at, id", userID)
}

// Email finds an address by its id.
func (tx *Tx) Email(id string) (model.Email, error) {
	return one(tx, scanEmail, selectEmail+" WHERE id = ?1", id)
}

// EmailByKey finds an address by its key.
func (tx *Tx) EmailByKey(key string) (model.Email, error) {
	return one(tx, scanEmail, selectEmail+" WHERE key = ?1", key)
}

// UserByEmail finds an account by the key of one of its addresses.
func (tx *Tx) UserByEmail(key string) (model.User, error) {
	return one(tx, scanUser, selectUser+" WHERE id = (SELECT user_id FROM user_emails WHERE key = ?1)", key)
}

// UseForRecovery makes an address of a user the one for recovery by name, in place of any other.
func (tx *Tx) UseForRecovery(userID, id string) error {
	if _, err := tx.exec("UPDATE user_emails SET recovery_since = NULL WHERE user_id = ?1 AND recovery_since IS NOT NULL", userID); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE user_emails SET recovery_since = ?3 WHERE user_id = ?1 AND id = ?2", userID, id, micros(tx.Now))
	return err
}

// DeleteEmail removes an address of a user by its id, and reports whether it was there.
func (tx *Tx) DeleteEmail(userID, id string) (bool, error) {
	n, err := tx.exec("DELETE FROM user_emails WHERE user_id = ?1 AND id = ?2", userID, id)
	return n > 0, err
}

// DeleteEmails removes all addresses of a user.
func (tx *Tx) DeleteEmails(userID string) error {
	_, err := tx.exec("DELETE FROM user_emails WHERE user_id = ?1", userID)
	return err
}
