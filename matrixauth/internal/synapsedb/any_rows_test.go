package synapsedb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapsedb"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// chaotic is a Synapse whose rows are anything, and others in each run.
type chaotic struct {
	random *rand.Rand
	now    func() time.Time
}

func (chaotic) Counts(context.Context) (move.Counts, error) { return move.Counts{}, nil }

func (c chaotic) Accounts(_ context.Context, findings *move.Findings, f func(move.Account) error) error {
	for i := range 80 {
		a, comes := synapsedb.ChaosOf(c.random.IntN, model.MatrixID(fmt.Sprintf("u%02d", i), house.ServerName), house.ServerName, c.now(), findings)
		if !comes {
			continue
		}
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

func (chaotic) RegistrationTokens(context.Context, *move.Findings, func(move.RegistrationToken) error) error {
	return nil
}

func (chaotic) Close() error { return nil }

// laws are what never holds in our store.
var laws = map[string]string{
	"a token of a session that is over or not there":       "tokens t LEFT JOIN sessions s ON s.id = t.session_id WHERE s.id IS NULL OR s.ended_at IS NOT NULL AND (t.expires_at IS NULL OR t.expires_at > s.ended_at)",
	"an access token of another user than its session":     "tokens t JOIN sessions s ON s.id = t.session_id WHERE t.kind = 'compat_access' AND (t.user_id <> s.user_id OR t.device_id <> s.device_id OR t.scope <> s.scope)",
	"a token beyond its session's numbers":                 "tokens t JOIN sessions s ON s.id = t.session_id WHERE t.pair > s.pairs OR t.generation > s.generation",
	"a session that used more than it has":                 "sessions WHERE used_generation > generation",
	"a token that outlives its session":                    "tokens t JOIN sessions s ON s.id = t.session_id WHERE s.ends_at IS NOT NULL AND (t.expires_at IS NULL OR t.expires_at > s.ends_at)",
	"a deactivated account with a session":                 "sessions s JOIN users u ON u.id = s.user_id WHERE u.deactivated_at IS NOT NULL AND s.ended_at IS NULL",
	"a deactivated account with an address":                "user_emails e JOIN users u ON u.id = e.user_id WHERE u.deactivated_at IS NOT NULL",
	"administration in the hands of who may not":           "sessions s JOIN users u ON u.id = s.user_id WHERE s.ended_at IS NULL AND NOT u.admin AND s.scope LIKE '%admin%'",
	"a journal of an account that is not there":            "taken_accounts j LEFT JOIN users u ON u.id = j.user_id WHERE j.user_id <> '' AND u.id IS NULL",
	"a name that waits and is an account":                  "registrations r JOIN users u ON u.localpart = r.localpart WHERE r.state = 'waiting'",
	"a device that Synapse is told to delete":              "outbox o WHERE o.kind LIKE '%delete%' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.user_id = o.subject AND e.action = 'user.deactivate')",
	"an account that Synapse is told to deactivate":        "outbox WHERE kind LIKE '%deactivate%'",
	"an access token that is marked as one that we minted": "tokens WHERE imported IS NULL",
}

// TestAnyRowsInStore: whatever rows there are, and however they change between runs, our store keeps its laws, and Synapse is
// told to delete nothing of a live account.
func TestAnyRowsInStore(t *testing.T) {
	for seed := range uint64(6) {
		h := house.New(t, house.Unlimited)
		from := chaotic{rand.New(rand.NewPCG(seed, 3)), h.Clock.Now} //nolint:gosec // the same rows each time
		for run := range 4 {
			var findings move.Findings
			_, err := move.Run(t.Context(), from, operate.MoveTarget{Caller: h.Ops}, move.Options{}, &findings)
			h.Must(err)
			for law, rows := range laws {
				if n := h.Count(rows); n != 0 {
					t.Errorf("seed %d, run %d: %s: %d rows", seed, run, law, n)
				}
			}
			if t.Failed() {
				return
			}
			h.Clock.Move(time.Hour)
		}
	}
}
