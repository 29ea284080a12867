package store

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectAuthorization = `SELECT id, client_id, request, network, created_at, expires_at, shown_at, COALESCE(user_id, ''), browser_session_id, remembered,
	code_hash, code_expires_at, consumed_at, COALESCE(session_id, '') FROM authorizations`

func scanAuthorization(s scanner) (a model.Authorization, err error) {
	var request string
	err = s.Scan(&a.ID, &a.ClientID, &request, &a.Network, timeInto{&a.CreatedAt}, timeInto{&a.ExpiresAt}, timeInto{&a.ShownAt}, &a.UserID, &a.BrowserSessionID, &a.Remembered,
		hashInto{&a.CodeHash}, timeInto{&a.CodeExpiresAt}, timeInto{&a.ConsumedAt}, &a.SessionID)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(request), &a.Request); err != nil {
		return a, fmt.Errorf("authorization %s: %w", a.ID, err)
	}
	return a, nil
}

// InsertAuthorization adds an authorization request that nobody has approved yet. If there are too many,
// others give way.
func (tx *Tx) InsertAuthorization(a model.Authorization) error {
	request, err := model.MarshalText(a.Request)
	if err != nil {
		return err
	}
	if err := tx.makeRoom(waitingCrowd, len(request)); err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO authorizations (id, client_id, request, size, network, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		a.ID, a.ClientID, request, len(request), a.Network, micros(a.CreatedAt), micros(a.ExpiresAt))
	return err
}

// ShowAuthorization notes that a browser was shown the page of a request. Beyond a number for each network
// the one that was shown longest ago counts as not shown.
func (tx *Tx) ShowAuthorization(a model.Authorization) error {
	shown, err := tx.exec("UPDATE authorizations SET shown_at = ?2 WHERE id = ?1 AND user_id IS NULL AND shown_at IS NULL", a.ID, micros(tx.Now))
	if err != nil || shown == 0 {
		return err
	}
	_, err = tx.exec(`UPDATE authorizations SET shown_at = NULL WHERE id IN (SELECT id FROM authorizations
		WHERE network = ?1 AND user_id IS NULL AND shown_at IS NOT NULL ORDER BY shown_at DESC, created_at DESC LIMIT -1 OFFSET ?2)`, a.Network, maxShown)
	return err
}

// Authorization finds an authorization request.
func (tx *Tx) Authorization(id string) (model.Authorization, error) {
	return one(tx, scanAuthorization, selectAuthorization+" WHERE id = ?1", id)
}

// AuthorizationByCode finds an authorization request by the hash of its code.
func (tx *Tx) AuthorizationByCode(hash model.TokenHash) (model.Authorization, error) {
	return one(tx, scanAuthorization, selectAuthorization+" WHERE code_hash = ?1", hash[:])
}

// ApproveAuthorization notes who approved a request, and the code for it. It reports false if the
// request was answered already. Of each user the requests that were answered last are kept.
func (tx *Tx) ApproveAuthorization(a model.Authorization) (bool, error) {
	n, err := tx.exec(`UPDATE authorizations SET user_id = ?2, browser_session_id = ?3, remembered = ?4, code_hash = ?5, code_expires_at = ?6,
		expires_at = ?7, network = '' WHERE id = ?1 AND code_hash IS NULL AND consumed_at IS NULL`,
		a.ID, a.UserID, a.BrowserSessionID, a.Remembered, a.CodeHash[:], micros(a.CodeExpiresAt), micros(a.ExpiresAt))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(`DELETE FROM authorizations WHERE id IN (
		SELECT id FROM authorizations WHERE user_id = ?1 ORDER BY code_expires_at DESC LIMIT -1 OFFSET ?2)`, a.UserID, maxAnswered)
	return true, err
}

// DeclineAuthorization closes a request with no, also one that was approved and whose code is not used
// up. The code is never given out: its hash tells the browser that answered, and its end how long the
// same answer is given again. It reports false if the request is closed.
func (tx *Tx) DeclineAuthorization(a model.Authorization) (bool, error) {
	n, err := tx.exec(`UPDATE authorizations SET user_id = NULL, code_hash = ?2, code_expires_at = ?3, consumed_at = ?4
		WHERE id = ?1 AND consumed_at IS NULL`, a.ID, a.CodeHash[:], micros(a.CodeExpiresAt), micros(tx.Now))
	return n == 1, err
}

// ConsumeAuthorization uses up a code. Of several callers one is told true (TOK-12).
func (tx *Tx) ConsumeAuthorization(id, sessionID string) (bool, error) {
	n, err := tx.exec("UPDATE authorizations SET consumed_at = ?2, session_id = NULLIF(?3, '') WHERE id = ?1 AND consumed_at IS NULL",
		id, micros(tx.Now), sessionID)
	return n == 1, err
}
