package outbox

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestNote: what a handler notes of a try is written with the outcome, or not at all.
func TestNote(t *testing.T) {
	for name, failure := range map[string]error{"done": nil, "failed": errDown, "refused": Permanent(errDown)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			noted, fails := 0, true
			handler := call.HandleAndNote(func(context.Context, Job[work]) (Note, error) {
				return func(tx *store.Tx) error {
					if fails {
						return errors.New("it cannot be noted")
					}
					tx.AfterCommit(func() { noted++ })
					return nil
				}, failure
			})
			c := r.config()
			c.Handlers = []Handler{handler}
			r.outbox.Configure(c)
			r.enqueue("a", "0")
			r.pass()
			jobs, err := r.outbox.List(t.Context(), model.JobFilter{Subject: "a"}, 0, 10)
			r.must(err)
			if len(jobs) != 1 || jobs[0].Attempts != 0 || jobs[0].SetAside() || noted != 0 {
				t.Fatalf("with a note that failed: %+v", jobs)
			}
			fails = false
			r.pass()
			if noted != 1 {
				t.Errorf("noted %d times", noted)
			}
			jobs, err = r.outbox.List(t.Context(), model.JobFilter{Subject: "a"}, 0, 10)
			r.must(err)
			switch {
			case failure == nil && len(jobs) != 0, failure != nil && (len(jobs) != 1 || jobs[0].SetAside() != IsPermanent(failure)):
				t.Errorf("%+v", jobs)
			}
		})
	}
	t.Run("dropped_meanwhile", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		r.outbox.Pass(store.ReadOnly(context.Background()))
		jobs, err := r.outbox.List(t.Context(), model.JobFilter{Subject: "a"}, 0, 10)
		r.must(err)
		_, err = r.outbox.Drop(t.Context(), jobs[0].Position, nil)
		r.must(err)
		if len(r.outbox.unwritten.kept) != 0 {
			t.Error("its outcome is kept")
		}
	})
}
