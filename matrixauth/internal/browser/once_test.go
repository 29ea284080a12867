package browser

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestStartOnce: a form that is sent twice, as somebody clicked twice, begins one session.
func TestStartOnce(t *testing.T) {
	once := func(b *bench, value, replaced string) string {
		b.t.Helper()
		started, err := b.browsers.StartOnce(b.t.Context(), Start{Proof: b.proof(model.MethodPassword), Value: value, Replaced: replaced, Device: "device of " + value})
		b.must(err)
		if started.Device != "device of "+started.Value {
			t.Errorf("value %q comes with %q", started.Value, started.Device)
		}
		return started.Value
	}
	live := func(b *bench) int {
		b.t.Helper()
		all, err := b.browsers.List(b.t.Context(), "alice")
		b.must(err)
		return len(all)
	}
	t.Run("a form that comes twice at once", func(t *testing.T) {
		b := newBench(t)
		var group sync.WaitGroup
		values := make([]string, 8)
		for i := range values {
			group.Go(func() { values[i] = once(b, string(rune('a'+i)), "form") })
		}
		group.Wait()
		for _, value := range values {
			if value != values[0] {
				t.Errorf("the browser is given %q and %q", values[0], value)
			}
		}
		if n := live(b); n != 1 {
			t.Errorf("%d sessions", n)
		}
		b.want(values[0], "")
	})
	t.Run("forms of two browsers", func(t *testing.T) {
		b := newBench(t)
		if one, two := once(b, "a", "form"), once(b, "b", "other"); one == two || live(b) != 2 {
			t.Errorf("%q and %q, %d sessions", one, two, live(b))
		}
	})
	t.Run("a form that comes again much later", func(t *testing.T) {
		b := newBench(t)
		once(b, "a", "form")
		b.clock.Move(bound.DoubleSubmit)
		if got := once(b, "b", "form"); got != "a" || live(b) != 1 {
			t.Errorf("%q, %d sessions while it counts as sent twice", got, live(b))
		}
		b.clock.Move(time.Microsecond)
		if got := once(b, "b", "form"); got != "b" || live(b) != 2 {
			t.Errorf("%q, %d sessions", got, live(b))
		}
		if n := len(b.browsers.signIns.made); n != 1 {
			t.Errorf("%d sign-ins are remembered", n)
		}
	})
	t.Run("a session that was ended meanwhile", func(t *testing.T) {
		b := newBench(t)
		once(b, "a", "form")
		s, _, err := b.browsers.Current(t.Context(), "a", model.Source{})
		b.must(err)
		b.must(b.browsers.SignOut(t.Context(), model.Holder("alice", model.Source{}), s.ID))
		if got := once(b, "b", "form"); got != "b" {
			t.Errorf("the form leads to the session %q that was signed out", got)
		}
		b.want("b", "")
	})
}
