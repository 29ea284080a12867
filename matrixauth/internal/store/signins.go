package store

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// NoteSignIn notes that somebody signed in to an account, and in what language they read if that is known. It reports
// whether nobody did before.
func (tx *Tx) NoteSignIn(userID, language string) (first bool, err error) {
	_, err = written(tx, scanText, "UPDATE users SET signed_in_at = ?2 WHERE id = ?1 AND signed_in_at IS NULL RETURNING id", userID, micros(tx.Now))
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return false, err
	}
	first = err == nil
	if language != "" {
		_, err = tx.exec("UPDATE users SET language = ?2 WHERE id = ?1 AND language <> ?2", userID, clip(language))
		return first, err
	}
	return first, nil
}

// UserLanguage returns in what language the holder of an account reads, as a BCP 47 tag; empty if nobody knows.
func (tx *Tx) UserLanguage(userID string) (string, error) {
	return one(tx, scanText, "SELECT language FROM users WHERE id = ?1", userID)
}

// NoteTold notes that the holder was told of the sign-in of a browser session, or needs no telling.
func (tx *Tx) NoteTold(browserSessionID string) error {
	_, err := tx.exec("UPDATE browser_sessions SET told_at = ?2 WHERE id = ?1", browserSessionID, micros(tx.Now))
	return err
}

// Told reports whether NoteTold was called for a browser session within an age.
func (tx *Tx) Told(browserSessionID string, age time.Duration) (bool, error) {
	return one(tx, scanBool, "SELECT EXISTS (SELECT 1 FROM browser_sessions WHERE id = ?1 AND told_at > ?2)", browserSessionID, tx.before(age))
}

func scanBool(s scanner) (is bool, err error) {
	err = s.Scan(&is)
	return is, err
}

// HadSession reports whether an account has, or had lately, a session like one that is to begin: of the same OAuth client;
// or without a client on the same device, or by a program that calls itself the same and from a network by which the account
// is known.
func (tx *Tx) HadSession(s model.Session) (bool, error) {
	if s.ClientID != "" {
		return one(tx, scanBool, "SELECT EXISTS (SELECT 1 FROM sessions WHERE user_id = ?1 AND client_id = ?2)", s.UserID, s.ClientID)
	}
	return one(tx, scanBool, `SELECT EXISTS (SELECT 1 FROM sessions WHERE user_id = ?1 AND kind = ?2 AND (device_id = ?3 OR user_agent = ?4
		AND EXISTS (SELECT 1 FROM known_networks WHERE user_id = ?1 AND network = ?5 AND seen_at > ?6)))`,
		s.UserID, s.Kind, s.DeviceID, clip(s.UserAgent), model.Place(s.LastIP), tx.before(bound.KeepKnownNetwork))
}

// CountWaiting counts the jobs of a kind about a user that wait in the lanes of model.SubjectOf.
func (tx *Tx) CountWaiting(to model.Destination, userID string, kind model.JobKind) (int64, error) {
	// A zero is the character behind the slash.
	return one(tx, scanCount, "SELECT COUNT(*) FROM outbox WHERE destination = ?1 AND subject > ?2 AND subject < ?3 AND kind = ?4 AND set_aside_at IS NULL",
		to, userID+"/", userID+"0", kind)
}

// TrimSetAside removes all but the newest jobs for a destination that are set aside.
func (tx *Tx) TrimSetAside(to model.Destination, keep int) error {
	_, err := tx.exec(`DELETE FROM outbox WHERE position IN (
		SELECT position FROM outbox WHERE destination = ?1 AND set_aside_at IS NOT NULL ORDER BY position DESC`+beyond+`?2)`, to, keep)
	return err
}
