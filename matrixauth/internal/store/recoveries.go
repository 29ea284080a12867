package store

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectRecovery = `SELECT id, COALESCE(user_id, ''), email_id, asked, ticket_hash, ticket, language, ip, created_at, accepted_at, expires_at, ended_at, end_reason, used_by
	FROM recoveries`

func scanRecovery(s scanner) (r model.Recovery, err error) {
	err = s.Scan(&r.ID, &r.UserID, &r.EmailID, &r.Asked, hashInto{&r.Hash}, &r.Ticket, &r.Language, &r.IP, timeInto{&r.CreatedAt}, timeInto{&r.AcceptedAt}, timeInto{&r.ExpiresAt},
		timeInto{&r.EndedAt}, &r.EndReason, hashInto{&r.UsedBy})
	return r, err
}

// textOrNull returns a text for a column where none is NULL.
func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// InsertRecovery adds a request for recovery, or the ticket of an account.
func (tx *Tx) InsertRecovery(r model.Recovery) error {
	_, err := tx.exec(`INSERT INTO recoveries (id, user_id, email_id, asked, ticket_hash, ticket, language, ip, created_at, accepted_at, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`,
		r.ID, textOrNull(r.UserID), r.EmailID, r.Asked, hashOrNull(r.Hash), r.Ticket, clip(r.Language), clip(r.IP), micros(r.CreatedAt), micros(r.AcceptedAt), micros(r.ExpiresAt))
	return err
}

// Recovery finds a recovery by its id.
func (tx *Tx) Recovery(id string) (model.Recovery, error) {
	return one(tx, scanRecovery, selectRecovery+" WHERE id = ?1", id)
}

const recoveryByTicket = " WHERE ticket_hash = ?1"

// RecoveryByTicket finds a recovery by the hash of its ticket, whether it is over or not.
func (tx *Tx) RecoveryByTicket(hash model.TokenHash) (model.Recovery, error) {
	return one(tx, scanRecovery, selectRecovery+recoveryByTicket, hash[:])
}

const countRecoveries = `SELECT COALESCE(SUM(CASE WHEN email_id <> '' AND created_at > ?2 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN id > ?3 THEN 1 ELSE 0 END), 0)
	FROM recoveries WHERE user_id = ?1`

// CountRecoveries counts the recoveries of a user whose links went to an address and that were asked for after a time, and
// all those that came after the one of an id.
func (tx *Tx) CountRecoveries(userID string, since time.Time, id string) (mailed, later int, err error) {
	counts, err := one(tx, func(s scanner) (n [2]int, err error) { return n, s.Scan(&n[0], &n[1]) }, countRecoveries, userID, micros(since), id)
	return counts[0], counts[1], err
}

// IssueRecovery makes a request the ticket of an account, whose link goes to an address of it. What was typed is forgotten.
func (tx *Tx) IssueRecovery(r model.Recovery) error {
	_, err := tx.exec("UPDATE recoveries SET user_id = ?2, email_id = ?3, asked = NULL, ticket_hash = ?4, ticket = ?5 WHERE id = ?1",
		r.ID, textOrNull(r.UserID), r.EmailID, hashOrNull(r.Hash), r.Ticket)
	return err
}

// AcceptRecovery notes that the mail with the ticket is on its way, after which it expires at a time. Of the ticket only
// the hash remains. It changes nothing of one that has ended.
func (tx *Tx) AcceptRecovery(id string, expires time.Time) error {
	_, err := tx.exec("UPDATE recoveries SET accepted_at = ?2, expires_at = ?3, ticket = NULL WHERE id = ?1 AND ended_at IS NULL", id, micros(tx.Now), micros(expires))
	return err
}

// UseRecovery notes that a password was set by a ticket, in the browser whose value has a hash. It reports false if the
// ticket had ended before.
func (tx *Tx) UseRecovery(id string, by model.TokenHash) (bool, error) {
	n, err := tx.exec("UPDATE recoveries SET ended_at = ?2, end_reason = ?3, used_by = ?4, ticket = NULL WHERE id = ?1 AND ended_at IS NULL", id, micros(tx.Now), model.RecoveryUsed, hashOrNull(by))
	return n > 0, err
}

// EndRecovery ends a recovery that was not used.
func (tx *Tx) EndRecovery(id string, reason model.RecoveryEnd) error {
	_, err := tx.exec("UPDATE recoveries SET ended_at = ?2, end_reason = ?3, asked = NULL, ticket = NULL WHERE id = ?1 AND ended_at IS NULL", id, micros(tx.Now), reason)
	return err
}

const endRecoveries = "UPDATE recoveries SET ended_at = ?2, end_reason = ?3, ticket = NULL WHERE user_id = ?1 AND ended_at IS NULL"

// EndRecoveries ends all recoveries of a user that were not used.
func (tx *Tx) EndRecoveries(userID string, reason model.RecoveryEnd) error {
	_, err := tx.exec(endRecoveries, userID, micros(tx.Now), reason)
	return err
}

// EndMailedRecoveries is EndRecoveries for those whose links went to an address.
func (tx *Tx) EndMailedRecoveries(userID string, reason model.RecoveryEnd) error {
	_, err := tx.exec(endRecoveries+" AND email_id <> ''", userID, micros(tx.Now), reason)
	return err
}

// DeleteRecovery forgets a request that was about no account.
func (tx *Tx) DeleteRecovery(id string) error {
	_, err := tx.exec("DELETE FROM recoveries WHERE id = ?1", id)
	return err
}

// PasswordChangedAt returns when the password of a user was set last; model.ErrNotFound for an account without one.
func (tx *Tx) PasswordChangedAt(userID string) (time.Time, error) {
	return one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) }, "SELECT changed_at FROM passwords WHERE user_id = ?1", userID)
}
