package operate

import (
	"context"
	"log/slog"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestNote: a transaction that runs twice tells nothing twice.
func TestNote(t *testing.T) {
	done := new(trail)
	ctx := context.WithValue(t.Context(), trailKey{}, done)
	for n := range 2 {
		note(ctx, model.User{ID: "alice"}, slog.String("session_id", "S"), slog.Int("sessions", n))
	}
	if len(done.details) != 2 || done.details[0].String() != "session_id=S" || done.details[1].String() != "sessions=1" {
		t.Errorf("the line has %v", done.details)
	}
}
