package matrixauth_test

import (
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
)

// TestEveryActionIsLookOrDeed: an action that is new must be one or the other on purpose.
func TestEveryActionIsLookOrDeed(t *testing.T) {
	looks := house.New(t).Server.Table().Names(operate.Reads)
	slices.Sort(looks)
	// The backup that a note is of has its own line.
	want := []string{"audit.list", "backup.note", "client.list", "client.show", "consent.list", "doctor", "doctor.compare", "instance", "move.journal", "outbox.list", "registration-token.list", "registration.list", "session.list", "session.lost", "user.check", "user.list", "user.show"}
	if !slices.Equal(looks, want) {
		t.Errorf("these only look: %q, want %q", looks, want)
	}
}
