package client

import (
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestUseOfProvenClient: a client to which somebody consented is in use when it registers again, and keeps no network
// (REG-26).
func TestUseOfProvenClient(t *testing.T) {
	r := newRoom(t)
	id := r.register(with(t, nil)).ID
	if err := r.config.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.ProveClient(id) }); err != nil {
		t.Fatal(err)
	}
	before := r.find(id).UsedAt
	r.clock.Move(touchEvery / 2)
	r.register(with(t, nil))
	if found := r.find(id); found.UsedAt != before || found.Network != "" {
		t.Errorf("used at %v, of %q", found.UsedAt, found.Network)
	}
	r.clock.Move(touchEvery / 2)
	r.register(with(t, nil))
	if found := r.find(id); found.UsedAt != r.clock.Now() || found.Network != "" {
		t.Errorf("used at %v, want %v, of %q", found.UsedAt, r.clock.Now(), found.Network)
	}
}
