package store

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// tidyEvery is how many pairs a session mints between two clean-ups. tidyBatch is how many tokens of each kind one
	// clean-up looks at, the oldest first: more than were added since the last one.
	tidyEvery = 32
	tidyBatch = 128
	// idle is how long a session must be unused before Retain cleans it up: longer than any access token lives, and
	// than bound.KeepExpiredToken.
	idle = 26 * time.Hour
)

// The tokens of a session that are no longer needed. An access token older than the newest used generation is removed
// an hour after it expired, unless it belongs to one of the newest pairs. A refresh token is removed once it is older
// than an hour and two later generations were used; until then it may be retried, or reveal a theft. The use of an
// access token reveals the theft of the refresh token that minted it. By the time the access token is removed that
// refresh token is gone, as it is older. Those that another server made stay as long as their session: of ours a token
// says itself what it is.
const (
	oldAccess  = "expires_at < ?3 AND generation < ?4 AND pair <= ?5 AND imported IS NULL"
	oldRefresh = "created_at < ?3 AND generation < ?4 - 1 AND imported IS NULL"

	// oldestToken tells when the oldest access token of a session was made. Its refresh token goes before it.
	oldestToken = "SELECT created_at FROM tokens WHERE session_id = ?1 AND kind = ?2 ORDER BY generation LIMIT 1"

	tidyOldest = `DELETE FROM tokens WHERE id IN (
		SELECT id FROM tokens WHERE session_id = ?1 AND kind = ?2 ORDER BY generation LIMIT ?6) AND `
)

// TidyTokens removes the tokens of a session that are no longer needed. It does so for some of the pairs that are
// minted: pair is the number of the new pair, and used the generation of the token that minted it. So most refreshes
// pay nothing, while an index by time would cost every one of them.
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

// tidy removes unneeded tokens among the oldest of a session, at most batch of each kind.
func (tx *Tx) tidy(s model.Session, pairs, used int64, batch int) (removed int64, err error) {
	access, refresh := s.Kind.Tokens()
	removed, err = tx.exec(tidyOldest+oldAccess, s.ID, access, tx.before(bound.KeepExpiredToken), used, pairs-bound.KeptPairs, batch)
	if err != nil {
		return removed, err
	}
	n, err := tx.exec(tidyOldest+oldRefresh, s.ID, refresh, tx.before(bound.KeepConsumedToken), used, nil, batch)
	return removed + n, err
}

// idleSessions finds the sessions that became idle within a span of time and have access tokens beyond those that are
// kept. A session without an address, whose client was never seen, is not among them.
const idleSessions = `SELECT id, kind, used_generation, pairs FROM sessions
	WHERE last_ip <> '' AND last_active_at >= ?1 AND last_active_at < ?2 AND ended_at IS NULL
	AND EXISTS (SELECT 1 FROM tokens WHERE session_id = sessions.id AND kind IN ('compat_access', 'oauth_access')
		AND generation < sessions.used_generation AND pair <= sessions.pairs - ?3 AND imported IS NULL) LIMIT ?4`

// tidyIdle removes unneeded tokens of sessions that became idle since its last run: they mint no more pairs, so
// TidyTokens does not reach them.
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
