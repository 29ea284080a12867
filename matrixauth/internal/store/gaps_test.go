package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// life is a database over its starts and silences.
type life struct {
	t     *testing.T
	clock *testkit.Clock
	path  string
	*store.Store
}

func newLife(t *testing.T) *life {
	l := &life{t: t, clock: testkit.NewClock(), path: filepath.Join(t.TempDir(), "matrix_auth.db")}
	l.open()
	t.Cleanup(l.close)
	return l
}

func (l *life) open() {
	l.t.Helper()
	var err error
	if l.Store, err = store.Open(l.t.Context(), store.Options{Path: l.path, Create: true, NoSync: true, Rehearse: true, Now: l.clock.Now}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) close() {
	if err := l.Close(); err != nil {
		l.t.Error(err)
	}
}

func (l *life) note() {
	l.t.Helper()
	if err := l.Update(l.t.Context(), (*store.Tx).NoteAlive); err != nil {
		l.t.Fatal(err)
	}
}

// run has it live for a while, with a note each minute.
func (l *life) run(d time.Duration) {
	l.t.Helper()
	for ; d > 0; d -= time.Minute {
		l.clock.Move(time.Minute)
		l.note()
	}
}

// down is a time in which it does not run; it is opened at the end.
func (l *life) down(d time.Duration) {
	l.t.Helper()
	l.close()
	l.clock.Move(d)
	l.open()
}

func (l *life) wantGap(want bool, at time.Time, what string) {
	l.t.Helper()
	l.wantGapSince(want, at, time.Time{}, what)
}

func (l *life) wantGapSince(want bool, at, since time.Time, what string) {
	l.t.Helper()
	var got bool
	if err := l.View(l.t.Context(), func(tx *store.Tx) (err error) {
		got, err = tx.InGap(at, since)
		return err
	}); err != nil {
		l.t.Fatal(err)
	}
	if got != want {
		l.t.Errorf("%s: in a gap is %v", what, got)
	}
}

// TestGaps: a database knows of which times it knows nothing.
func TestGaps(t *testing.T) {
	t.Run("before_its_birth", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		l.wantGap(true, testkit.Start.Add(-1000*time.Hour), "long before")
		l.wantGap(true, testkit.Start.Add(-time.Second), "just before")
		l.wantGap(false, testkit.Start.Add(2*time.Second), "just after")
		l.wantGap(false, testkit.Start.Add(30*time.Minute), "while it lived")
	})
	t.Run("while_it_was_down", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		left := l.clock.Now()
		l.down(5 * time.Hour)
		l.run(time.Hour)
		l.wantGap(false, left.Add(-time.Minute), "before it went down")
		l.wantGap(true, left.Add(time.Minute), "while it was down")
		l.wantGap(true, left.Add(5*time.Hour-time.Minute), "before it came back")
		l.wantGap(false, left.Add(5*time.Hour+2*time.Second), "since it is back")
	})
	t.Run("since_the_last_note", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		l.wantGap(true, l.clock.Now().Add(time.Second), "after the last note")
	})
	t.Run("a_machine_that_slept", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		slept := l.clock.Now()
		l.clock.Move(3 * time.Hour)
		l.note()
		l.run(time.Hour)
		l.wantGap(true, slept.Add(time.Hour), "while it slept")
		l.wantGap(false, slept.Add(-time.Minute), "before")
		l.wantGap(false, slept.Add(3*time.Hour+2*time.Second), "since then")
	})
	t.Run("a_note_that_comes_late_is_no_gap", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		late := l.clock.Now()
		l.clock.Move(2 * time.Minute)
		l.note()
		l.run(time.Minute)
		l.wantGap(false, late.Add(time.Minute), "between two notes")
	})
	t.Run("a_clock_that_is_set_back", func(t *testing.T) {
		l := newLife(t)
		l.run(3 * time.Hour)
		ahead := l.clock.Now()
		l.down(-2 * time.Hour)
		l.run(3 * time.Hour)
		l.wantGap(true, ahead.Add(-time.Hour), "a time that comes twice")
		l.wantGap(false, ahead.Add(2*time.Second), "after it")
	})
	t.Run("gaps_near_each_other_are_one", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		first := l.clock.Now()
		l.down(time.Hour)
		l.run(9 * time.Minute)
		l.down(time.Hour)
		l.run(time.Hour)
		l.wantGap(true, first.Add(time.Hour+5*time.Minute), "between the two")
		second := l.clock.Now()
		l.down(time.Hour)
		l.run(11 * time.Minute)
		l.down(time.Hour)
		l.run(time.Minute)
		l.wantGap(false, second.Add(time.Hour+5*time.Minute), "between two that are not near")
	})
	t.Run("those_that_are_over_for_long_do_not_count_where_that_is_asked", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		left := l.clock.Now()
		l.down(time.Hour)
		back := l.clock.Now()
		l.run(time.Minute)
		l.wantGapSince(true, left.Add(time.Minute), back.Add(-time.Second), "it ended since")
		l.wantGapSince(false, left.Add(time.Minute), back.Add(time.Second), "it ended before")
	})
	t.Run("there_are_not_too_many", func(t *testing.T) {
		l := newLife(t)
		l.run(time.Hour)
		var last time.Time
		for range bound.Gaps + 5 {
			l.run(time.Minute)
			l.clock.Move(time.Hour)
			last = l.clock.Now()
			l.note()
			l.clock.Move(90 * time.Second) // notes of life go on
			l.note()
			for range 8 {
				l.clock.Move(90 * time.Second)
				l.note()
			}
		}
		l.wantGap(true, testkit.Start.Add(30*time.Minute), "between the oldest, which became one")
		l.wantGap(false, last.Add(5*time.Minute), "after the newest")
		l.wantGap(true, last.Add(-30*time.Minute), "the newest")
	})
}
