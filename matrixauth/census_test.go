package matrixauth

import (
	"context"
	"testing"
	"time"
)

// TestCensusTakesItsShare: however often somebody scrapes, a count stands for a hundred times as long as it
// took; and whoever does not want to wait is given the one before.
func TestCensusTakesItsShare(t *testing.T) {
	h := newHouse(t)
	// Each look at this clock takes ten milliseconds, so that a count does.
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := census{store: h.core.store, now: func() time.Time { clock = clock.Add(10 * time.Millisecond); return clock }}
	count := func() int64 {
		t.Helper()
		p, known, err := c.take(context.Background())
		if err != nil || !known {
			t.Fatal(known, err)
		}
		return p.Active
	}
	if got := count(); got != 0 {
		t.Fatalf("%d users", got)
	}
	h.add("alice")
	if got := count(); got != 0 {
		t.Errorf("it was counted again at once: %d", got)
	}
	clock = clock.Add(2 * time.Second)
	hurried, cancel := context.WithCancel(context.Background())
	cancel()
	if _, known, _ := c.take(hurried); !known {
		t.Error("whoever does not wait is given nothing")
	}
	if got := count(); got != 1 {
		t.Errorf("%d users", got)
	}
}
