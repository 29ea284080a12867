package edge

import (
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestGate: who is inside keeps the gate from closing, and nobody comes in after it was closed.
func TestGate(t *testing.T) {
	var g Gate
	if _, err := g.Enter(); err != nil {
		t.Fatal(err)
	}
	if g.Close(0) {
		t.Error("it closed while somebody was inside")
	}
	if _, err := g.Enter(); model.AsError(err).Code != model.TemporarilyDown || model.AsError(err).Retry == 0 {
		t.Errorf("after it was closed: %v", err)
	}
	g = Gate{}
	leave, err := g.Enter()
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan bool)
	go func() { closed <- g.Close(time.Minute) }()
	leave()
	if !<-closed {
		t.Error("it did not close once everybody had left")
	}
}
