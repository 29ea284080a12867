package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectToken = `SELECT hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at, consumed_at,
	user_id, localpart, device_id, scope FROM tokens`

func scanToken(s scanner) (t model.Token, err error) {
	err = s.Scan(hashInto{&t.Hash}, &t.Kind, &t.SessionID, &t.Generation, &t.Pair, hashInto{&t.Parent},
		timeInto{&t.CreatedAt}, timeInto{&t.ExpiresAt}, timeInto{&t.UsedAt}, timeInto{&t.ConsumedAt},
		&t.UserID, &t.Localpart, &t.DeviceID, &t.Scope)
	return t, err
}

// hashInto scans a token hash; NULL is the zero hash.
type hashInto struct{ h *model.TokenHash }

// Scan implements sql.Scanner.
func (d hashInto) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.h = model.TokenHash{}
		return nil
	case []byte:
		if copy(d.h[:], v) == len(d.h) && len(v) == len(d.h) {
			return nil
		}
	}
	return errors.New("a token hash is stored in the wrong form")
}

func hashOrNull(h model.TokenHash) any {
	if h == (model.TokenHash{}) {
		return nil
	}
	return h[:]
}

// Token finds a token outside of any transaction. One row is consistent in itself, and this is the
// question that the homeserver asks on every request. The look-up takes microseconds, so it is not
// cancelled: watching a context would cost the driver a goroutine each time.
func (s *Store) Token(hash model.TokenHash) (model.Token, error) {
	t, err := scanToken(s.token.QueryRowContext(context.Background(), hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return t, model.ErrNotFound
	}
	return t, err
}

// Token finds a token.
func (tx *Tx) Token(hash model.TokenHash) (model.Token, error) {
	return one(tx, scanToken, selectToken+" WHERE hash = ?1", hash[:])
}

// InsertToken adds a token.
func (tx *Tx) InsertToken(t model.Token) error {
	_, err := tx.exec(`INSERT INTO tokens (hash, kind, session_id, generation, pair, parent, created_at, expires_at, used_at, consumed_at,
		user_id, localpart, device_id, scope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`,
		t.Hash[:], t.Kind, t.SessionID, t.Generation, t.Pair, hashOrNull(t.Parent), micros(t.CreatedAt), micros(t.ExpiresAt),
		micros(t.UsedAt), micros(t.ConsumedAt), t.UserID, t.Localpart, t.DeviceID, t.Scope)
	return err
}

// MarkTokenUsed notes the first use of a token and, with it, that its parent is consumed. Later
// calls change nothing.
func (tx *Tx) MarkTokenUsed(hash, parent model.TokenHash, at time.Time) error {
	if _, err := tx.exec("UPDATE tokens SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL", hash[:], micros(at)); err != nil {
		return err
	}
	if parent == (model.TokenHash{}) {
		return nil
	}
	_, err := tx.exec("UPDATE tokens SET consumed_at = ?2 WHERE hash = ?1 AND consumed_at IS NULL", parent[:], micros(at))
	return err
}

// GenerationUsedAt is the time of the first use of any token of a generation that is still stored;
// zero if none was used.
func (tx *Tx) GenerationUsedAt(sessionID string, generation int64) (time.Time, error) {
	return one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) },
		"SELECT MIN(used_at) FROM tokens WHERE session_id = ?1 AND generation = ?2", sessionID, generation)
}

// TrimSiblings deletes the oldest pairs of a generation of which no token was used, so that keep of
// them remain.
func (tx *Tx) TrimSiblings(sessionID string, generation int64, keep int) error {
	_, err := tx.exec(`DELETE FROM tokens WHERE session_id = ?1 AND generation = ?2 AND pair IN (
		SELECT pair FROM tokens WHERE session_id = ?1 AND generation = ?2
		GROUP BY pair HAVING MAX(used_at) IS NULL ORDER BY pair DESC LIMIT -1 OFFSET ?3)`, sessionID, generation, keep)
	return err
}

// LiveAccessTokens lists the access tokens of a session that have not expired.
func (tx *Tx) LiveAccessTokens(sessionID string) ([]model.TokenHash, error) {
	return many(tx, func(s scanner) (hash model.TokenHash, err error) { return hash, s.Scan(hashInto{&hash}) },
		"SELECT hash FROM tokens WHERE session_id = ?1 AND kind = ?2 AND (expires_at IS NULL OR expires_at > ?3)",
		sessionID, model.CompatAccess, micros(tx.Now))
}

// DeleteTokens removes all tokens of a session.
func (tx *Tx) DeleteTokens(sessionID string) error {
	_, err := tx.exec("DELETE FROM tokens WHERE session_id = ?1", sessionID)
	return err
}
