package metrics

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestPopulationTakesItsShare: however often somebody scrapes, a count stands for a hundred times as long as it
// took; and whoever does not want to wait is given the one before.
func TestPopulationTakesItsShare(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "auth.db"), Create: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	// Each look at this clock takes ten milliseconds, so that a count does.
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := populationCounter{store: s, now: func() time.Time { clock = clock.Add(10 * time.Millisecond); return clock }}
	count := func() int64 {
		t.Helper()
		p, known, err := c.take(t.Context())
		if err != nil || !known {
			t.Fatal(known, err)
		}
		return p.Active
	}
	if got := count(); got != 0 {
		t.Fatalf("%d users", got)
	}
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertUser(model.User{ID: model.NewID(clock), Localpart: "alice", CreatedAt: clock})
	}); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 0 {
		t.Errorf("it was counted again at once: %d", got)
	}
	clock = clock.Add(2 * time.Second)
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if _, known, _ := c.take(hurried); !known {
		t.Error("whoever does not wait is given nothing")
	}
	if got := count(); got != 1 {
		t.Errorf("%d users", got)
	}
}
