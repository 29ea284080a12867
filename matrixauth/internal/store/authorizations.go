package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectAuthorization = `SELECT id, client_id, asked, delivery, network, created_at, expires_at, shown_at, COALESCE(user_id, ''), browser_session_id, remembered,
	answer_hash, code_hash, code_expires_at, consumed_at, COALESCE(session_id, '') FROM authorizations`

func scanAuthorization(s scanner) (a model.Authorization, err error) {
	var asked, delivery string
	err = s.Scan(&a.ID, &a.ClientID, &asked, &delivery, &a.Network, timeInto{&a.CreatedAt}, timeInto{&a.ExpiresAt}, timeInto{&a.ShownAt}, &a.UserID, &a.BrowserSessionID, &a.Remembered,
		hashInto{&a.AnswerHash}, hashInto{&a.CodeHash}, timeInto{&a.CodeExpiresAt}, timeInto{&a.ConsumedAt}, &a.SessionID)
	if err != nil {
		return a, err
	}
	if err := errors.Join(json.Unmarshal([]byte(asked), &a.Asked), json.Unmarshal([]byte(delivery), &a.Delivery)); err != nil {
		return a, fmt.Errorf("authorization %s: %w", a.ID, err)
	}
	return a, nil
}

// InsertAuthorization adds an authorization request that nobody has approved yet. If there is no room, other requests
// are removed (see makeRoom).
func (tx *Tx) InsertAuthorization(a model.Authorization) error {
	asked, err := model.MarshalText(a.Asked)
	if err != nil {
		return err
	}
	delivery, err := model.MarshalText(a.Delivery)
	if err != nil {
		return err
	}
	size := len(asked) + len(delivery)
	if err := tx.makeRoom(waitingCrowd, size); err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO authorizations (id, client_id, asked, delivery, size, network, created_at, expires_at, code_hash)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		a.ID, a.ClientID, asked, delivery, size, a.Network, micros(a.CreatedAt), micros(a.ExpiresAt), hashOrNull(a.CodeHash))
	return err
}

// ShowAuthorization notes that a browser was shown the page of a request. Each network has a limited number of shown
// requests; beyond it the one that was shown longest ago counts as not shown.
func (tx *Tx) ShowAuthorization(a model.Authorization) error {
	shown, err := tx.exec("UPDATE authorizations SET shown_at = ?2 WHERE id = ?1 AND user_id IS NULL AND shown_at IS NULL", a.ID, micros(tx.Now))
	if err != nil || shown == 0 {
		return err
	}
	_, err = tx.exec(`UPDATE authorizations SET shown_at = NULL WHERE id IN (SELECT id FROM authorizations
		WHERE network = ?1 AND user_id IS NULL AND shown_at IS NOT NULL ORDER BY shown_at DESC, created_at DESC`+beyond+`?2)`, a.Network, bound.ShownRequests)
	return err
}

// Authorization finds an authorization request.
func (tx *Tx) Authorization(id string) (model.Authorization, error) {
	return one(tx, scanAuthorization, selectAuthorization+" WHERE id = ?1", id)
}

// AuthorizationByCode finds an authorization request by the hash of what its client presents.
func (tx *Tx) AuthorizationByCode(hash model.TokenHash) (model.Authorization, error) {
	return one(tx, scanAuthorization, selectAuthorization+" WHERE code_hash = ?1", hash[:])
}

// ApproveAuthorization notes who approved a request, and what its client will present. It reports false if the
// request was answered already. Of each user the requests that were answered last are kept.
func (tx *Tx) ApproveAuthorization(a model.Authorization) (bool, error) {
	n, err := tx.exec(`UPDATE authorizations SET user_id = ?2, browser_session_id = ?3, remembered = ?4, answer_hash = ?5, code_hash = ?6,
		code_expires_at = ?7, expires_at = ?8, network = '' WHERE id = ?1 AND answer_hash IS NULL AND consumed_at IS NULL`,
		a.ID, a.UserID, a.BrowserSessionID, a.Remembered, a.AnswerHash[:], hashOrNull(a.CodeHash), micros(a.CodeExpiresAt), micros(a.ExpiresAt))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(`DELETE FROM authorizations WHERE id IN (
		SELECT id FROM authorizations WHERE user_id = ?1 ORDER BY code_expires_at DESC`+beyond+`?2)`, a.UserID, bound.AnsweredRequests)
	return true, err
}

// DeclineAuthorization closes a request with a no. The request may have been approved before, as long as its code was
// not used. AnswerHash identifies the browser that answered, and CodeExpiresAt says how long it is given the same
// answer again. It reports false if the request is closed already.
func (tx *Tx) DeclineAuthorization(a model.Authorization) (bool, error) {
	n, err := tx.exec(`UPDATE authorizations SET user_id = NULL, answer_hash = ?2, code_expires_at = ?3, consumed_at = ?4
		WHERE id = ?1 AND consumed_at IS NULL`, a.ID, a.AnswerHash[:], micros(a.CodeExpiresAt), micros(tx.Now))
	return n == 1, err
}

// ConsumeAuthorization uses up a code. It returns true to the first caller only (TOK-12).
func (tx *Tx) ConsumeAuthorization(id, sessionID string) (bool, error) {
	n, err := tx.exec("UPDATE authorizations SET consumed_at = ?2, session_id = NULLIF(?3, '') WHERE id = ?1 AND consumed_at IS NULL",
		id, micros(tx.Now), sessionID)
	return n == 1, err
}
