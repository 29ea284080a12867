package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// TestQueue holds what the queue remembers, and for how long.
func TestQueue(t *testing.T) {
	clock := testkit.NewClock()
	newQueue := func() *Queue {
		q := NewQueue(clock.Now)
		q.Configure(&Reconciler{})
		return q
	}
	take := func(t *testing.T, q *Queue, user string, devices bool) {
		t.Helper()
		_, got, d, ok := q.next()
		if got != user || d != devices || ok != (user != "") {
			t.Fatalf("got %q, devices %v, %v; want %q, %v", got, d, ok, user, devices)
		}
	}
	t.Run("one after another, each once", func(t *testing.T) {
		q := newQueue()
		q.Refreshed("a")
		q.Refreshed("b")
		q.Refreshed("a")
		take(t, q, "a", false)
		q.Refreshed("a")
		take(t, q, "b", false)
		take(t, q, "", false)
	})
	t.Run("a refused token makes the devices looked at, also for a user who waits or was just asked about", func(t *testing.T) {
		q := newQueue()
		q.Refreshed("a")
		q.Refused("a")
		take(t, q, "a", true)
		q.Refused("a")
		take(t, q, "", false)
		clock.Move(deviceEvery)
		q.Refused("a")
		take(t, q, "a", true)
		q.Refreshed("b")
		take(t, q, "b", false)
		q.Refused("b")
		take(t, q, "b", true)
	})
	t.Run("a clock that steps back keeps nobody from being asked about", func(t *testing.T) {
		q := newQueue()
		q.Refreshed("a")
		take(t, q, "a", false)
		clock.Move(-24 * time.Hour)
		q.Refreshed("a")
		take(t, q, "a", false)
	})
	t.Run("it is bounded, and makes room", func(t *testing.T) {
		q := newQueue()
		for i := range maxUsers + 10 {
			q.Refused(fmt.Sprint(i))
		}
		if len(q.users) != maxUsers || len(q.waiting) != maxUsers {
			t.Fatalf("%d users, %d wait", len(q.users), len(q.waiting))
		}
		for range maxUsers {
			q.next()
		}
		q.Refreshed("late")
		take(t, q, "", false)
		clock.Move(accountEvery)
		take(t, q, "", false)
		q.Refreshed("late")
		take(t, q, "late", false)
		if len(q.users) != 1 {
			t.Errorf("%d users are remembered", len(q.users))
		}
	})
	t.Run("without a configuration nobody is remembered", func(t *testing.T) {
		q := newQueue()
		q.Refreshed("a")
		q.Configure(nil)
		q.Refreshed("b")
		take(t, q, "", false)
		if len(q.users) != 0 {
			t.Errorf("%d users are remembered", len(q.users))
		}
	})
}
