package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an outbox on a clock that the test moves, with a handler that the test steers.
type rig struct {
	t     *testing.T
	path  string
	clock *testkit.Clock

	store  *store.Store
	outbox *Outbox

	mu   sync.Mutex
	done []string
	// fail decides on each try of a job.
	fail func(job Job[work]) error
}

// work is a payload that names a job.
type work struct {
	Name string `json:"name"`
}

var (
	call = NewKind[work]("call", model.ToHomeserver)
	mail = NewKind[work]("mail", model.ToMail)
)

// at is the lane of a subject at the homeserver.
func at(subject string) model.Lane { return model.ToHomeserver.Lane(subject) }

func newRig(t *testing.T) *rig {
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "test.db"), clock: testkit.NewClock()}
	r.open()
	t.Cleanup(func() { r.must(r.store.Close()) })
	return r
}

func (r *rig) open() {
	var err error
	r.store, err = store.Open(context.Background(), store.Options{Rehearse: true, NoSync: true, Path: r.path, Create: true, LockWait: time.Minute, Now: r.clock.Now})
	r.must(err)
	r.outbox = New(r.store)
	r.outbox.Configure(r.config())
}

func (r *rig) config() Config {
	return Config{Handlers: []Handler{call.Handle(r.handle), mail.Handle(r.handle)}, Logger: slog.New(slog.DiscardHandler)}
}

func (r *rig) handle(_ context.Context, job Job[work]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(job); err != nil {
			return err
		}
	}
	r.done = append(r.done, job.Subject+job.Payload.Name)
	return nil
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) enqueue(subject, name string) { r.t.Helper(); r.write(call, subject, name) }

func (r *rig) write(kind Kind[work], subject, name string) {
	r.t.Helper()
	r.must(r.store.Update(context.Background(), func(tx *store.Tx) error { return kind.Enqueue(r.outbox, tx, subject, work{name}) }))
}

func (r *rig) wantDone(want ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.done, want) {
		r.t.Fatalf("done %v, want %v", r.done, want)
	}
}

func (r *rig) pass() time.Duration { return r.outbox.Pass(context.Background()) }

var errDown = errors.New("down")

func TestOutbox(t *testing.T) {
	t.Run("jobs_of_a_lane_run_in_order", func(t *testing.T) {
		r := newRig(t)
		for i := range 5 {
			r.enqueue("a", fmt.Sprint(i))
		}
		r.pass()
		r.wantDone("a0", "a1", "a2", "a3", "a4")
	})
	t.Run("a_failure_holds_up_its_lane_and_no_other", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(job Job[work]) error {
			if job.Payload.Name == "0" {
				return errDown
			}
			return nil
		}
		r.enqueue("a", "0")
		r.enqueue("a", "1")
		r.enqueue("b", "2")
		r.pass()
		r.wantDone("b2")
	})
	t.Run("tries_grow_apart_and_are_made_again", func(t *testing.T) {
		r := newRig(t)
		tries := 0
		r.fail = func(Job[work]) error { tries++; return errDown }
		r.enqueue("a", "0")
		for try := range 20 {
			wait := r.pass()
			if tries != try+1 {
				t.Fatalf("after pass %d there were %d tries", try+1, tries)
			}
			limit := min(bound.JobDelay, firstDelay<<min(try, 15))
			if wait > limit || limit <= idle && wait < limit/2 {
				t.Fatalf("after try %d the wait is %s, the limit %s", try+1, wait, limit)
			}
			r.clock.Move(limit)
		}
		r.fail = nil
		r.pass()
		r.wantDone("a0")
	})
	t.Run("a_refused_job_is_set_aside_and_holds_up_nobody", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(job Job[work]) error {
			if job.Payload.Name == "0" {
				return Permanent(errDown)
			}
			return nil
		}
		r.enqueue("a", "0")
		r.enqueue("a", "1")
		r.pass()
		r.wantDone("a1")
		state, err := r.outbox.State(context.Background())
		if err != nil || state.Waiting != 0 || state.SetAside != 1 {
			t.Fatalf("%+v %v", state, err)
		}
	})
	t.Run("the_first_success_hastens_what_waits", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return errDown }
		r.enqueue("a", "0")
		r.enqueue("b", "1")
		for range 8 {
			r.pass()
			r.clock.Move(2 * time.Second)
		}
		r.fail = nil
		leave, err := r.outbox.Enter(context.Background(), at("a"))
		r.must(err)
		leave()
		r.pass()
		r.wantDone("a0", "b1")
	})
	t.Run("a_pause_keeps_everything_waiting", func(t *testing.T) {
		r := newRig(t)
		paused := r.config()
		paused.Paused = true
		r.outbox.Configure(paused)
		r.enqueue("a", "0")
		r.pass()
		r.wantDone()
		r.outbox.Configure(r.config())
		r.pass()
		r.wantDone("a0")
	})
	t.Run("work_survives_a_crash", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		r.must(r.store.Close())
		r.open()
		r.pass()
		r.wantDone("a0")
	})
	t.Run("a_transaction_that_fails_leaves_no_work", func(t *testing.T) {
		r := newRig(t)
		err := r.store.Update(context.Background(), func(tx *store.Tx) error {
			return errors.Join(call.Enqueue(r.outbox, tx, "a", work{}), errDown)
		})
		if !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		r.pass()
		r.wantDone()
	})
	t.Run("run_begins_right_after_the_commit", func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		group.Go(func() { r.outbox.Run(ctx) })
		handled := make(chan struct{})
		r.mu.Lock()
		r.fail = func(Job[work]) error { close(handled); return nil }
		r.mu.Unlock()
		r.enqueue("a", "0")
		<-handled
		cancel()
		group.Wait()
	})
}

func TestEnter(t *testing.T) {
	t.Run("it_drains_the_lane_before_the_time_of_a_retry", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return errDown }
		r.enqueue("a", "0")
		r.pass()
		r.fail = nil
		leave, err := r.outbox.Enter(context.Background(), at("a"))
		r.must(err)
		r.wantDone("a0")
		leave()
	})
	t.Run("a_job_that_cannot_be_done_keeps_everybody_out", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return errDown }
		r.enqueue("a", "0")
		_, err := r.outbox.Enter(context.Background(), at("a"))
		if e := model.AsError(err); e == nil || e.Kind() != model.Unavailable || !errors.Is(err, errDown) {
			t.Fatalf("got %v", err)
		}
		r.fail = nil
		leave, err := r.outbox.Enter(context.Background(), at("a"))
		r.must(err)
		leave()
	})
	t.Run("nothing_runs_in_a_lane_that_is_held", func(t *testing.T) {
		r := newRig(t)
		leave, err := r.outbox.Enter(context.Background(), at("a"))
		r.must(err)
		r.enqueue("a", "0")
		r.enqueue("b", "1")
		r.pass()
		r.wantDone("b1")
		leave()
		r.pass()
		r.wantDone("b1", "a0")
	})
	t.Run("who_waits_for_a_lane_waits_no_longer_than_the_context", func(t *testing.T) {
		r := newRig(t)
		leave, err := r.outbox.Enter(context.Background(), at("a"))
		r.must(err)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := r.outbox.Enter(ctx, at("a")); model.AsError(err).Kind() != model.Unavailable {
			t.Fatalf("got %v", err)
		}
		leave()
		if len(r.outbox.lanes.held) != 0 {
			t.Error("an empty lane is kept")
		}
	})
	t.Run("a_lane_has_one_in_it_at_a_time", func(t *testing.T) {
		r := newRig(t)
		inside := 0
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				leave, err := r.outbox.Enter(context.Background(), at("a"))
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				inside++ // the race detector watches
				if inside != 1 {
					t.Error("two are inside")
				}
				inside--
			})
		}
		group.Wait()
	})
}

// TestHungLane: a call that hangs takes one of the places of its destination, and the others go on: with what waited
// beside it, and with what comes meanwhile.
func TestHungLane(t *testing.T) {
	r := newRig(t)
	config := r.config()
	config.Pace = map[model.Destination]Pace{model.ToHomeserver: {AtOnce: 2}}
	hangs, release, handled := make(chan struct{}), make(chan struct{}), make(chan string, 10)
	config.Handlers = []Handler{call.Handle(func(_ context.Context, job Job[work]) error {
		if job.Subject == "hung" {
			close(hangs)
			<-release
		}
		handled <- job.Subject
		return nil
	})}
	r.outbox.Configure(config)
	wantNext := func(want string) {
		t.Helper()
		select {
		case got := <-handled:
			if got != want {
				t.Fatalf("%s was done, want %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s waits", want)
		}
	}
	for _, subject := range []string{"hung", "a", "b", "c"} {
		r.enqueue(subject, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { r.outbox.Run(ctx) })
	defer group.Wait()
	defer cancel()
	defer close(release)
	<-hangs
	for _, subject := range []string{"a", "b", "c"} {
		wantNext(subject)
	}
	r.enqueue("later", "")
	wantNext("later")
}
