package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// list names the jobs that a filter chooses.
func (r *rig) list(f model.JobFilter, after int64, limit int) string {
	r.t.Helper()
	jobs, err := r.outbox.List(context.Background(), f, after, limit)
	r.must(err)
	var names []string
	for _, job := range jobs {
		names = append(names, fmt.Sprint(job.Position, job.Lane.Destination, job.Lane.Subject))
	}
	return strings.Join(names, " ")
}

func TestList(t *testing.T) {
	r := newRig(t)
	r.fail = func(job Job[work]) error {
		if job.Payload.Name == "bad" {
			return Permanent(errDown)
		}
		return errDown
	}
	r.enqueue("a", "bad")
	r.write(mail, "a", "x")
	r.enqueue("b", "x")
	r.write(mail, "b", "bad")
	r.pass()
	for _, test := range []struct {
		filter model.JobFilter
		after  int64
		limit  int
		want   string
	}{
		{model.JobFilter{}, 0, 10, "1homeservera 2maila 3homeserverb 4mailb"},
		{model.JobFilter{}, 0, 2, "1homeservera 2maila"},
		{model.JobFilter{}, 2, 2, "3homeserverb 4mailb"},
		{model.JobFilter{State: model.JobWaiting}, 0, 10, "2maila 3homeserverb"},
		{model.JobFilter{State: model.JobSetAside}, 0, 10, "1homeservera 4mailb"},
		{model.JobFilter{Destination: model.ToMail}, 0, 10, "2maila 4mailb"},
		{model.JobFilter{Kind: "call"}, 0, 10, "1homeservera 3homeserverb"},
		{model.JobFilter{Subject: "b"}, 0, 10, "3homeserverb 4mailb"},
		{model.JobFilter{Subject: "b", Destination: model.ToMail, State: model.JobWaiting}, 0, 10, ""},
	} {
		if got := r.list(test.filter, test.after, test.limit); got != test.want {
			t.Errorf("%+v after %d: %s, want %s", test.filter, test.after, got, test.want)
		}
	}
	jobs, err := r.outbox.List(t.Context(), model.JobFilter{State: model.JobSetAside}, 0, 1)
	r.must(err)
	if job := jobs[0]; !job.SetAside() || job.Payload != `{"name":"bad"}` || job.LastError != errDown.Error() || job.Attempts != 1 {
		t.Errorf("%+v", job)
	}
}

func TestRetry(t *testing.T) {
	t.Run("a_job_set_aside_goes_back_to_its_old_place", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(job Job[work]) error {
			switch job.Payload.Name {
			case "1":
				return Permanent(errDown)
			case "2":
				return errDown
			}
			return nil
		}
		for _, name := range []string{"1", "2", "3"} {
			r.enqueue("a", name)
		}
		r.pass()
		job, err := r.outbox.Retry(t.Context(), 1, nil)
		if err != nil || !job.SetAside() {
			t.Fatalf("%+v %v", job, err)
		}
		r.fail = nil
		r.clock.Move(bound.JobDelay)
		r.pass()
		r.wantDone("a1", "a2", "a3")
	})
	t.Run("a_job_that_waits_is_due_at_once", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return errDown }
		r.enqueue("a", "0")
		r.pass()
		r.fail = nil
		r.pass()
		r.wantDone()
		_, err := r.outbox.Retry(t.Context(), 1, nil)
		r.must(err)
		r.pass()
		r.wantDone("a0")
	})
	t.Run("a_job_that_is_done_is_not_found", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		r.pass()
		if _, err := r.outbox.Retry(t.Context(), 1, nil); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what_the_caller_adds_is_one_with_it", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return Permanent(errDown) }
		r.enqueue("a", "0")
		r.pass()
		_, err := r.outbox.Retry(t.Context(), 1, func(_ *store.Tx, job model.Job) error {
			return fmt.Errorf("job %d: %w", job.Position, errDown)
		})
		if !errors.Is(err, errDown) || r.list(model.JobFilter{State: model.JobSetAside}, 0, 1) == "" {
			t.Errorf("got %v", err)
		}
	})
}

func TestDrop(t *testing.T) {
	t.Run("what_waited_behind_it_goes_on", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(job Job[work]) error {
			if job.Payload.Name == "0" {
				return errDown
			}
			return nil
		}
		r.enqueue("a", "0")
		r.enqueue("a", "1")
		r.pass()
		job, err := r.outbox.Drop(t.Context(), 1, nil)
		if err != nil || job.Position != 1 || job.Attempts != 1 {
			t.Fatalf("%+v %v", job, err)
		}
		r.pass()
		r.wantDone("a1")
	})
	t.Run("a_job_set_aside", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return Permanent(errDown) }
		r.enqueue("a", "0")
		r.pass()
		_, err := r.outbox.Drop(t.Context(), 1, nil)
		r.must(err)
		if left := r.list(model.JobFilter{}, 0, 1); left != "" {
			t.Errorf("left is %s", left)
		}
	})
	t.Run("a_number_is_given_to_no_second_job", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		r.pass()
		r.enqueue("a", "1")
		if _, err := r.outbox.Drop(t.Context(), 1, nil); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		r.pass()
		r.wantDone("a0", "a1")
	})
	t.Run("one_that_runs_is_waited_for", func(t *testing.T) {
		for _, fails := range []bool{false, true} {
			r := newRig(t)
			began, goOn := make(chan struct{}), make(chan struct{})
			r.fail = func(Job[work]) error {
				close(began)
				<-goOn
				if fails {
					return errDown
				}
				return nil
			}
			r.enqueue("a", "0")
			var group sync.WaitGroup
			group.Go(func() { r.pass() })
			<-began
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := r.outbox.Drop(ctx, 1, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("who does not wait got %v", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := r.outbox.Drop(ctx, 1, nil); !errors.Is(err, ErrBusy) {
				t.Errorf("who waits a moment got %v", err)
			}
			cancel()
			dropped := make(chan error, 1)
			go func() { _, err := r.outbox.Drop(context.Background(), 1, nil); dropped <- err }()
			close(goOn)
			group.Wait()
			if err := <-dropped; fails && err != nil || !fails && !errors.Is(err, model.ErrNotFound) {
				t.Errorf("fails %v: got %v", fails, err)
			}
			if left := r.list(model.JobFilter{}, 0, 1); left != "" {
				t.Errorf("left is %s", left)
			}
		}
	})
	t.Run("what_the_caller_adds_is_one_with_it", func(t *testing.T) {
		r := newRig(t)
		r.enqueue("a", "0")
		_, err := r.outbox.Drop(t.Context(), 1, func(*store.Tx, model.Job) error { return errDown })
		if !errors.Is(err, errDown) || r.list(model.JobFilter{}, 0, 1) == "" {
			t.Errorf("got %v", err)
		}
	})
}

// TestManageWhilePaused: what an operator decides while nothing runs is done once it does.
func TestManageWhilePaused(t *testing.T) {
	r := newRig(t)
	r.fail = func(Job[work]) error { return Permanent(errDown) }
	r.enqueue("a", "0")
	r.pass()
	r.outbox.Configure(Config{Paused: true, Logger: r.config().Logger})
	r.enqueue("b", "1")
	_, retryErr := r.outbox.Retry(t.Context(), 1, nil)
	_, dropErr := r.outbox.Drop(t.Context(), 2, nil)
	r.must(errors.Join(retryErr, dropErr))
	r.pass()
	r.fail = nil
	r.outbox.Configure(r.config())
	r.pass()
	if !slices.Equal(r.done, []string{"a0"}) {
		t.Errorf("done %v", r.done)
	}
}
