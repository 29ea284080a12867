package store

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// tidyEvery is how many pairs a session mints between two tidyings, tidyBatch how many tokens of a
	// kind one looks at, the oldest first: more than came since the last.
	tidyEvery = 32
	tidyBatch = 128
	// idle is how long a session was not used when Retain tidies it: longer than any access token lives, and
	// bound.KeepExpiredToken.
	idle = 26 * time.Hour
)

// The tokens of a session that have had their day. An access token older than the newest used generation
// goes an hour after its end, unless it is of one of the newest pairs. A refresh token goes once it is older
// than an hour and its generation was passed twice; until then it may be retried, or tell of a theft. By the
// hour when an access token goes, whose use tells of the theft of the refresh token that minted it, that
// refresh token is gone: it is older.
const (
	oldAccess  = "expires_at < ?3 AND generation < ?4 AND pair <= ?5"
	oldRefresh = "created_at < ?3 AND generation < ?4 - 1"

	// oldestToken tells when the oldest access token of a session was made. Its refresh token goes before it.
	oldestToken = "SELECT created_at FROM tokens WHERE session_id = ?1 AND kind = ?2 ORDER BY generation LIMIT 1"

	tidyOldest = `DELETE FROM tokens WHERE id IN (
		SELECT id FROM tokens WHERE session_id = ?1 AND kind = ?2 ORDER BY generation LIMIT ?6) AND `
)

// TidyTokens removes the tokens of a session that have had their day, once in a while as it mints
// pairs: pair is the number of the new one and used the generation of the token that minted it. Doing it
// here costs a refresh nothing as a rule; an index by time would cost each one.
func (tx *Tx) TidyTokens(s model.Session, pair, used int64) error {
	if pair%tidyEvery != 0 {
		return nil
	}
	access, _ := s.Kind.Tokens()
	oldest, err := one(tx, func(s scanner) (t time.Time, err error) { return t, s.Scan(timeInto{&t}) }, oldestToken, s.ID, access)
	if errors.Is(err, model.ErrNotFound) || err == nil && tx.Now.Sub(oldest) < bound.KeepExpiredToken {
		return nil // of what is older than an hour there is nothing
	}
	if err != nil {
		return err
	}
	_, err = tx.tidy(s, pair, used, tidyBatch)
	return err
}

// tidy removes what has had its day of the oldest tokens of a session, as many of each kind as batch says.
func (tx *Tx) tidy(s model.Session, pairs, used int64, batch int) (removed int64, err error) {
	access, refresh := s.Kind.Tokens()
	removed, err = tx.exec(tidyOldest+oldAccess, s.ID, access, tx.before(bound.KeepExpiredToken), used, pairs-bound.KeptPairs, batch)
	if err != nil {
		return removed, err
	}
	n, err := tx.exec(tidyOldest+oldRefresh, s.ID, refresh, tx.before(bound.KeepConsumedToken), used, nil, batch)
	return removed + n, err
}

// idleSessions finds sessions that fell idle within a span of time and have access tokens beyond those that
// are kept. A session without an address is not among them, which is one whose client nobody saw.
const idleSessions = `SELECT id, kind, used_generation, pairs FROM sessions
	WHERE last_ip <> '' AND last_active_at >= ?1 AND last_active_at < ?2 AND ended_at IS NULL
	AND EXISTS (SELECT 1 FROM tokens WHERE session_id = sessions.id AND kind IN ('compat_access', 'oauth_access')
		AND generation < sessions.used_generation AND pair <= sessions.pairs - ?3) LIMIT ?4`

// tidyIdle removes the old tokens of sessions that fell idle since it last ran: they mint no pair any more
// by which they would be tidied.
func (s *Store) tidyIdle(ctx context.Context) (removed int64, err error) {
	from, until := s.idleUntil, s.Now().Add(-idle)
	for {
		var found []model.Session
		if err := s.View(ctx, func(tx *Tx) error {
			found, err = many(tx, func(row scanner) (i model.Session, err error) {
				return i, row.Scan(&i.ID, &i.Kind, &i.UsedGeneration, &i.Pairs)
			}, idleSessions, from.UnixMicro(), until.UnixMicro(), bound.KeptPairs, retentionBatch)
			return err
		}); err != nil {
			return removed, err
		}
		before := removed
		for _, i := range found {
			var n int64
			if err := s.Update(ctx, func(tx *Tx) (err error) {
				n, err = tx.tidy(i, i.Pairs, i.UsedGeneration, retentionBatch)
				return err
			}); err != nil {
				return removed, err
			}
			removed += n
		}
		if removed == before { // none is left, or what is left is not yet old by a clock that was set back
			s.idleUntil = until
			return removed, nil
		}
	}
}
