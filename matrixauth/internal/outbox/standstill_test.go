package outbox

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestStandstill: a job that can neither be done nor moved is left for a later look. An outbox that went back to it at
// once would call the homeserver as fast as that answers, or have a processor to itself, until somebody comes.
func TestStandstill(t *testing.T) {
	// passed runs a pass, which must come to an end by itself, and returns the time until the next.
	passed := func(t *testing.T, ctx context.Context, r *rig) time.Duration {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		wait := r.outbox.Pass(ctx)
		if ctx.Err() != nil {
			t.Fatal("the pass did not end")
		}
		return wait
	}
	t.Run("how_a_try_went_cannot_be_written_down", func(t *testing.T) {
		for name, outcome := range map[string]error{
			"done": nil, "failed": errDown, "refused": Permanent(errDown),
		} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t)
				tries := 0
				r.fail = func(Job[work]) error { tries++; return outcome }
				r.enqueue("a", "0")
				// As a disk that is full: what is there can be read, and nothing be written.
				wait := passed(t, store.ReadOnly(context.Background()), r)
				if tries != 1 || wait <= 0 {
					t.Errorf("%d tries in one pass, and the next in %v", tries, wait)
				}
				// What was done is not done again only because nobody could write that: it may be a mail.
				passed(t, store.ReadOnly(context.Background()), r)
				passed(t, context.Background(), r)
				state, err := r.outbox.State(t.Context())
				r.must(err)
				//nolint:errorlint // Permanent wraps the same error
				if waits := outcome == errDown; tries != 1 || state.Waiting != 0 != waits || (state.SetAside == 1) != IsPermanent(outcome) {
					t.Errorf("%d tries once it can be written: %+v", tries, state)
				}
			})
		}
	})
	t.Run("nothing_handles_its_kind", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		r.enqueue("b", "1")
		r.outbox.Configure(Config{Logger: r.config().Logger})
		if wait := passed(t, context.Background(), r); wait <= 0 {
			t.Errorf("the next pass is in %v", wait)
		}
		r.outbox.Configure(r.config())
		passed(t, context.Background(), r)
		if len(r.done) != 2 {
			t.Errorf("done %v", r.done)
		}
	})
	t.Run("a_pause_begins_meanwhile", func(t *testing.T) {
		r := newRig(t)
		config := r.config()
		config.Pace = map[model.Destination]Pace{model.ToHomeserver: {AtOnce: 1}}
		r.outbox.Configure(config)
		r.fail = func(Job[work]) error {
			paused := config
			paused.Paused = true
			r.outbox.Configure(paused)
			return nil
		}
		r.enqueue("a", "0")
		r.enqueue("b", "1")
		passed(t, context.Background(), r)
		r.wantDone("a0")
	})
	t.Run("other_lanes_go_on", func(t *testing.T) {
		r := newRig(t)
		config := r.config()
		config.Pace = map[model.Destination]Pace{model.ToHomeserver: {AtOnce: 2}}
		r.outbox.Configure(config)
		r.fail = func(job Job[work]) error {
			if job.Subject < "f" {
				return errDown
			}
			return nil
		}
		for i, subject := range []string{"a", "b", "c", "d", "e", "f"} {
			r.enqueue(subject, fmt.Sprint(i))
		}
		passed(t, context.Background(), r)
		r.wantDone("f5")
	})
}

// TestPanic: a fault of ours in one kind of job ends neither the server, which serves more than us, nor the work of others.
func TestPanic(t *testing.T) {
	r := newRig(t)
	r.fail = func(job Job[work]) error {
		if job.Subject == "a" && job.Attempts == 0 {
			panic(errors.New("a fault"))
		}
		return nil
	}
	r.enqueue("a", "0")
	r.enqueue("b", "1")
	r.pass()
	r.wantDone("b1")
	r.clock.Move(time.Minute)
	r.pass()
	r.wantDone("b1", "a0")
}
