package store

import (
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Consented returns the scope that a user granted to a client at a redirect URI before; empty if none.
func (tx *Tx) Consented(userID, clientID, redirectURI string) (scope string, err error) {
	scope, err = one(tx, scanText, "SELECT scope FROM consents WHERE user_id = ?1 AND client_id = ?2 AND redirect_uri = ?3", userID, clientID, redirectURI)
	if errors.Is(err, model.ErrNotFound) {
		return "", nil
	}
	return scope, err
}

// SaveConsent remembers a consent in place of an earlier one.
func (tx *Tx) SaveConsent(c model.Consent) error {
	if _, err := tx.exec(`INSERT INTO consents (user_id, client_id, redirect_uri, scope, granted_at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (user_id, client_id, redirect_uri) DO UPDATE SET scope = excluded.scope, granted_at = excluded.granted_at`,
		c.UserID, c.ClientID, c.RedirectURI, c.Scope, micros(tx.Now)); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM consents WHERE user_id = ?1 AND (client_id, redirect_uri) IN (
		SELECT client_id, redirect_uri FROM consents`+consentsOfUser+beyond+`?2)`, c.UserID, bound.Consents)
	return err
}

const (
	consentsOfUser = " WHERE user_id = ?1 ORDER BY granted_at DESC, client_id, redirect_uri"
	// unspentOfUser repeats the condition of the index on codes: SQLite would not use it otherwise.
	unspentOfUser = " WHERE user_id = ?1 AND code_hash IS NOT NULL AND consumed_at IS NULL"
)

// Consents lists the consents that are remembered of a user, the newest first.
func (tx *Tx) Consents(userID string) ([]model.Consent, error) {
	return many(tx, func(s scanner) (c model.Consent, err error) {
		return c, s.Scan(&c.UserID, &c.ClientID, &c.RedirectURI, &c.Scope, timeInto{&c.GrantedAt})
	}, "SELECT user_id, client_id, redirect_uri, scope, granted_at FROM consents"+consentsOfUser, userID)
}

// DeleteConsents forgets the consents of a user to a client, at all of its redirect URIs, and returns their number.
func (tx *Tx) DeleteConsents(userID, clientID string) (int64, error) {
	return tx.exec("DELETE FROM consents WHERE user_id = ?1 AND client_id = ?2", userID, clientID)
}

// DeleteConsent forgets the consent of a user to a client at one redirect URI, and returns how many there were.
func (tx *Tx) DeleteConsent(userID, clientID, redirectURI string) (int64, error) {
	return tx.exec("DELETE FROM consents WHERE user_id = ?1 AND client_id = ?2 AND redirect_uri = ?3", userID, clientID, redirectURI)
}

// DeleteAllConsents forgets the consents of a user to all clients and returns their number.
func (tx *Tx) DeleteAllConsents(userID string) (int64, error) {
	return tx.exec("DELETE FROM consents WHERE user_id = ?1", userID)
}

// SpendCodes makes the codes worthless that a user approved for a client and that were not exchanged yet.
func (tx *Tx) SpendCodes(userID, clientID string) error {
	_, err := tx.exec("UPDATE authorizations SET consumed_at = ?3"+unspentOfUser+" AND client_id = ?2", userID, clientID, micros(tx.Now))
	return err
}

// SpendRememberedCodes is SpendCodes for those that were given without a question.
func (tx *Tx) SpendRememberedCodes(userID, clientID string) error {
	_, err := tx.exec("UPDATE authorizations SET consumed_at = ?3"+unspentOfUser+" AND client_id = ?2 AND remembered", userID, clientID, micros(tx.Now))
	return err
}

// SpendAllCodes is SpendCodes for all clients.
func (tx *Tx) SpendAllCodes(userID string) error {
	_, err := tx.exec("UPDATE authorizations SET consumed_at = ?2"+unspentOfUser, userID, micros(tx.Now))
	return err
}
