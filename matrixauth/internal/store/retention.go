package store

import (
	"context"
	"time"
)

// The ages at which rows go. They are those of matrix-authentication-service, so that operators who
// know one know the other.
const (
	keepEndedSession   = 30 * 24 * time.Hour
	keepExpiredToken   = 30 * 24 * time.Hour
	keepConsumedToken  = time.Hour
	keepSetAsideJob    = 30 * 24 * time.Hour
	keepInactiveLastIP = 30 * 24 * time.Hour
)

// retentionBatch bounds the rows that one transaction of Retain removes, so that nobody waits long
// for the writer.
const retentionBatch = 500

// Retain removes the rows whose time is over, in bounded batches, and gives their number. Tokens are
// not among them: TidyTokens removes them as their session goes on, and its end removes all.
func (s *Store) Retain(ctx context.Context) (removed int64, err error) {
	steps := []struct {
		query string
		age   time.Duration
	}{
		{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at < ?1 LIMIT ?2)`, keepEndedSession},
		{`DELETE FROM outbox WHERE position IN (SELECT position FROM outbox WHERE set_aside_at < ?1 LIMIT ?2)`, keepSetAsideJob},
		{`UPDATE sessions SET last_ip = '' WHERE id IN (SELECT id FROM sessions WHERE last_ip <> '' AND last_active_at < ?1 LIMIT ?2)`, keepInactiveLastIP},
	}
	for _, step := range steps {
		for {
			var n int64
			err := s.Update(ctx, func(tx *Tx) (err error) {
				n, err = tx.exec(step.query, tx.before(step.age), retentionBatch)
				return err
			})
			if err != nil {
				return removed, err
			}
			removed += n
			if n < retentionBatch {
				break
			}
		}
	}
	return removed, nil
}
