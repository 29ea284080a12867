package session

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// TestRefreshForAMonth: sessions that refresh every five minutes for thirty days keep no more rows and bytes in the
// database than after two. One of them never uses what it is given, one loses every seventh answer. Retention
// and the flush of uses run each hour, and the first uses are written with the refreshes.
func TestRefreshForAMonth(t *testing.T) {
	const every, days, sessions = 5 * time.Minute, 30, 3
	b := newBenchOf(t, false)
	tokens := make([]Tokens, sessions)
	for i := range tokens {
		_, tokens[i] = b.start(model.NewDeviceID())
	}
	early := [2]int64{}
	for step := 1; step <= days*24*12; step++ {
		b.clock.Move(every)
		given := make([]Tokens, sessions)
		// One transaction for all: each is the one that Refresh runs.
		b.update(func(tx *store.Tx) error {
			for i, had := range tokens {
				r := rotation{sessions: b.sessions, asked: Refresh{Kind: model.CompatSession}, hash: model.HashToken(had.Refresh)}
				if err := r.run(tx); err != nil || r.answer != nil {
					t.Errorf("step %d: %v, %v", step, err, r.answer)
					return err
				}
				given[i] = r.tokens
			}
			return nil
		})
		if t.Failed() {
			return
		}
		for i := range tokens {
			if i == 1 && step%7 == 0 {
				continue
			}
			if tokens[i] = given[i]; i > 0 {
				b.use(tokens[i].Access)
			}
		}
		if step%12 == 0 {
			b.must(b.sessions.config.Registry.Flush(context.Background()))
			_, err := b.store.Retain(context.Background())
			b.must(err)
		}
		if step%(24*12) != 0 {
			continue
		}
		day := step / (24 * 12)
		rows, bytes := int64(sqlite.Count(t, b.path, "tokens")), sqlite.Size(t, b.path)
		if day == 2 {
			early = [2]int64{rows, bytes}
		}
		// Between two tidyings 32 pairs come; a page is split here and there.
		if day > 2 && (rows > early[0]+64*sessions || bytes > early[1]*5/4) {
			t.Fatalf("day %d: %d rows and %d bytes are kept, on day 2 it was %d and %d", day, rows, bytes, early[0], early[1])
		}
		if day == days {
			t.Logf("after %d refreshes of each of %d sessions: %d rows of tokens, %d bytes of database", step, sessions, rows, bytes)
		}
	}
}
