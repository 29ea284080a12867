package store

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The ages at which rows are removed. They equal those of matrix-authentication-service where it has such rows, so
// that operators find what they know.
const (
	keepIdleBrowser = 30 * 24 * time.Hour
)

// retentionBatch bounds the rows that one transaction of Retain removes, so that nobody waits long
// for the writer.
const retentionBatch = 500

// retention are the statements of Retain: ?1 is the time before which rows go, ?2 the size of a batch.
var retention = []struct {
	query string
	age   time.Duration
}{
	{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at < ?1 AND NOT (` + endedSoftly + `) LIMIT ?2)`, bound.KeepEndedSession},
	{`DELETE FROM outbox WHERE position IN (SELECT position FROM outbox WHERE set_aside_at < ?1 LIMIT ?2)`, bound.KeepSetAsideJob},
	{`UPDATE sessions SET last_ip = '' WHERE id IN (SELECT id FROM sessions WHERE last_ip <> '' AND last_active_at < ?1 LIMIT ?2)`, bound.KeepInactiveLastIP},
	// A row holds its own time: a request that nobody answered is kept only as long as it can be answered.
	{`DELETE FROM authorizations WHERE id IN (SELECT id FROM authorizations WHERE expires_at < ?1 LIMIT ?2)`, 0},
	// A row holds its own time here too.
	{`DELETE FROM registrations WHERE id IN (SELECT id FROM registrations WHERE expires_at < ?1 LIMIT ?2)`, 0},
	{`UPDATE browser_sessions SET ended_at = last_active_at, end_reason = 'idle' WHERE id IN (
		SELECT id FROM browser_sessions WHERE ended_at IS NULL AND last_active_at < ?1 LIMIT ?2)`, keepIdleBrowser},
	{`DELETE FROM browser_sessions WHERE id IN (SELECT id FROM browser_sessions WHERE ended_at < ?1 LIMIT ?2)`, bound.KeepEndedSession},
	// A registration with a live session stays, however old (REG-26).
	{`DELETE FROM clients WHERE id IN (SELECT id FROM clients WHERE used_at < ?1
		AND NOT EXISTS (SELECT 1 FROM sessions WHERE client_id = clients.id AND ended_at IS NULL) LIMIT ?2)`, bound.KeepUnusedClient},
	{`DELETE FROM clients WHERE id IN (SELECT id FROM clients WHERE used_at < ?1 AND proven_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM sessions WHERE client_id = clients.id AND ended_at IS NULL) LIMIT ?2)`, bound.KeepUnprovenClient},
	{`DELETE FROM known_browsers WHERE hash IN (SELECT hash FROM known_browsers WHERE seen_at < ?1 LIMIT ?2)`, bound.KeepKnownBrowser},
	{`DELETE FROM consents WHERE (user_id, client_id, redirect_uri) IN (
		SELECT user_id, client_id, redirect_uri FROM consents WHERE granted_at < ?1
		AND NOT EXISTS (SELECT 1 FROM clients WHERE id = consents.client_id) LIMIT ?2)`, bound.KeepUnusedClient},
	// One whose session came back.
	{`DELETE FROM lost_sessions WHERE session_id IN (SELECT session_id FROM lost_sessions WHERE last_seen_at < ?1
		AND EXISTS (SELECT 1 FROM sessions WHERE id = lost_sessions.session_id) LIMIT ?2)`, 0},
	{`UPDATE lost_sessions SET last_ip = '', user_agent = '' WHERE session_id IN (
		SELECT session_id FROM lost_sessions WHERE (last_ip <> '' OR user_agent <> '') AND last_seen_at < ?1 LIMIT ?2)`, bound.KeepInactiveLastIP},
	{`DELETE FROM recoveries WHERE id IN (SELECT id FROM recoveries WHERE expires_at < ?1 LIMIT ?2)`, bound.KeepRecovery},
	{`DELETE FROM verifications WHERE id IN (SELECT id FROM verifications WHERE created_at < ?1 LIMIT ?2)`, bound.VerificationLife},
	{`DELETE FROM failed_sign_ins WHERE (user_id, network) IN (SELECT user_id, network FROM failed_sign_ins WHERE last_at < ?1 LIMIT ?2)`, bound.KeepFailedSignIns},
	{`DELETE FROM events WHERE position IN (SELECT position FROM events WHERE at < ?1 LIMIT ?2)`, bound.KeepEvent},
	{`UPDATE events SET ip = '', user_agent = '' WHERE position IN (
		SELECT position FROM events WHERE (ip <> '' OR user_agent <> '') AND at < ?1 LIMIT ?2)`, bound.KeepEventSource},
}

// Retain removes expired rows in bounded batches, and returns their number. Of tokens it removes those of idle
// sessions only: TidyTokens removes the tokens of a session in use, and the end of a session removes all of its
// tokens. Two calls must not overlap.
func (s *Store) Retain(ctx context.Context) (removed int64, err error) {
	for _, step := range retention {
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
	for _, step := range []func(context.Context) (int64, error){s.retainNetworks, s.retainEvents, s.tidyIdle} {
		n, err := step(ctx)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}
