package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// verdict is an error that says itself whether a retry can cure it, as the homeserver's does.
type verdict bool

func (v verdict) Error() string   { return fmt.Sprint("retryable: ", bool(v)) }
func (v verdict) Retryable() bool { return bool(v) }

// TestError: whether a job is tried again is asked of the error of its handler.
func TestError(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		aside int64
	}{
		"one_that_can_be_retried":     {verdict(true), 0},
		"one_that_cannot":             {verdict(false), 1},
		"one_that_cannot_wrapped":     {fmt.Errorf("call: %w", verdict(false)), 1},
		"one_that_does_not_say":       {errDown, 0},
		"one_that_was_made_permanent": {Permanent(errDown), 1},
		"a_retryable_one_made_so":     {Permanent(verdict(true)), 1},
		"the_end_of_its_time":         {context.DeadlineExceeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fail = func(Job[work]) error { return test.err }
			r.enqueue("a", "0")
			r.pass()
			state, err := r.outbox.State(t.Context())
			r.must(err)
			if state.SetAside != test.aside || state.Waiting != 1-test.aside {
				t.Errorf("%+v", state)
			}
		})
	}
	if err := Permanent(errDown); !errors.Is(err, errDown) {
		t.Error("the cause is gone")
	}
}

// TestPayload: a payload that cannot be read is set aside. Its handler is not called, and no lane waits for it.
func TestPayload(t *testing.T) {
	r := newRig(t)
	r.must(r.store.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Enqueue(at("a"), "call", `{"name":`)
		return err
	}))
	r.enqueue("a", "1")
	r.enqueue("b", "2")
	leave, err := r.outbox.Enter(t.Context(), at("a"))
	r.must(err)
	leave()
	r.pass()
	r.wantDone("a1", "b2")
	aside, err := r.outbox.List(t.Context(), model.JobFilter{State: model.JobSetAside}, 0, 10)
	r.must(err)
	if len(aside) != 1 || !strings.Contains(aside[0].LastError, "payload") {
		t.Errorf("%+v", aside)
	}
}

// TestJob: a handler is told what job it does, and of its tries.
func TestJob(t *testing.T) {
	r := newRig(t)
	var seen []Job[work]
	r.fail = func(job Job[work]) error {
		seen = append(seen, job)
		if len(seen) == 1 {
			return errDown
		}
		return nil
	}
	written := r.clock.Now()
	r.enqueue("a", "0")
	r.pass()
	r.clock.Move(bound.JobDelay)
	r.pass()
	want := Job[work]{Position: 1, Subject: "a", Payload: work{"0"}, CreatedAt: written}
	again := want
	again.Attempts = 1
	if len(seen) != 2 || seen[0] != want || seen[1] != again {
		t.Errorf("%+v", seen)
	}
}

// TestDestinations: lanes of one subject at several destinations know nothing of one another.
func TestDestinations(t *testing.T) {
	failing := func(name string) func(Job[work]) error {
		return func(job Job[work]) error {
			if job.Payload.Name == name {
				return errDown
			}
			return nil
		}
	}
	t.Run("a_login_does_not_wait_for_mail", func(t *testing.T) {
		r := newRig(t)
		r.fail = failing("mail")
		r.write(mail, "a", "mail")
		r.enqueue("a", "call")
		leave, err := r.outbox.Enter(t.Context(), at("a"))
		r.must(err)
		leave()
		r.wantDone("acall")
		r.pass()
		if state, err := r.outbox.State(t.Context()); err != nil || state.Waiting != 1 {
			t.Errorf("%+v %v", state, err)
		}
	})
	t.Run("who_holds_one_lane_does_not_hold_the_other", func(t *testing.T) {
		r := newRig(t)
		leave, err := r.outbox.Enter(t.Context(), at("a"))
		r.must(err)
		r.write(mail, "a", "mail")
		r.enqueue("a", "call")
		r.pass()
		r.wantDone("amail")
		leave()
		r.pass()
		r.wantDone("amail", "acall")
	})
	t.Run("a_destination_that_is_slow_holds_up_no_other", func(t *testing.T) {
		r := newRig(t)
		slow, called := make(chan struct{}), make(chan struct{})
		r.outbox.Configure(Config{Logger: r.config().Logger, Handlers: []Handler{
			mail.Handle(func(context.Context, Job[work]) error { <-slow; return nil }),
			call.Handle(func(context.Context, Job[work]) error { close(called); return nil }),
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { r.outbox.Run(ctx) })
		for i := range 2 * atOnce {
			r.write(mail, fmt.Sprint(i), "mail")
		}
		r.enqueue("a", "call")
		<-called
		close(slow)
		cancel()
		group.Wait()
	})
	t.Run("one_is_paused", func(t *testing.T) {
		r := newRig(t)
		config := r.config()
		config.Pace = map[model.Destination]Pace{model.ToHomeserver: {Paused: true}}
		r.outbox.Configure(config)
		r.enqueue("a", "call")
		r.write(mail, "a", "mail")
		r.pass()
		r.wantDone("amail")
		if _, err := r.outbox.Enter(t.Context(), at("a")); model.AsError(err).Kind() != model.Unavailable {
			t.Errorf("a lane with a job that is paused was entered: %v", err)
		}
		r.outbox.Configure(r.config())
		r.pass()
		r.wantDone("amail", "acall")
	})
	t.Run("the_success_of_one_hastens_no_other", func(t *testing.T) {
		r := newRig(t)
		r.fail = func(Job[work]) error { return errDown }
		r.enqueue("a", "call")
		r.write(mail, "a", "mail")
		for range 8 {
			r.pass()
			r.clock.Move(2 * time.Second)
		}
		next := func() time.Time {
			jobs, err := r.outbox.List(t.Context(), model.JobFilter{Destination: model.ToMail}, 0, 1)
			r.must(err)
			return jobs[0].RunAt
		}
		before := next()
		r.clock.Move(before.Add(-time.Millisecond).Sub(r.clock.Now()))
		r.fail = nil
		leave, err := r.outbox.Enter(t.Context(), at("a"))
		r.must(err)
		leave()
		if after := next(); !after.Equal(before) {
			t.Errorf("the mail that was to be tried at %v is tried at %v", before, after)
		}
		r.wantDone("acall")
	})
	t.Run("each_has_its_own_pace", func(t *testing.T) {
		r := newRig(t)
		running, most := 0, 0
		var mu sync.Mutex
		first := make(chan struct{})
		config := r.config()
		config.Pace = map[model.Destination]Pace{model.ToMail: {AtOnce: 2, FirstDelay: time.Hour, MaxDelay: time.Hour, Timeout: time.Nanosecond}}
		config.Handlers = []Handler{mail.Handle(func(ctx context.Context, _ Job[work]) error {
			mu.Lock()
			running++
			most = max(most, running)
			if running == 2 {
				close(first) // both run at once
			}
			mu.Unlock()
			<-first
			<-ctx.Done()
			return ctx.Err()
		})}
		r.outbox.Configure(config)
		for _, subject := range []string{"a", "b"} {
			r.write(mail, subject, "mail")
		}
		if wait := r.pass(); wait != idle || most != 2 {
			t.Errorf("the next try is in %s, %d ran", wait, most)
		}
		jobs, err := r.outbox.List(t.Context(), model.JobFilter{Destination: model.ToMail}, 0, 10)
		r.must(err)
		for _, job := range jobs {
			if wait := job.RunAt.Sub(r.clock.Now()); wait < 30*time.Minute || wait > time.Hour {
				t.Errorf("it is tried again in %s", wait)
			}
		}
	})
	t.Run("no_more_lanes_at_once_than_allowed", func(t *testing.T) {
		r := newRig(t)
		config := r.config()
		config.Pace = map[model.Destination]Pace{model.ToHomeserver: {AtOnce: 1}}
		began := make(chan struct{})
		config.Handlers = []Handler{call.Handle(func(context.Context, Job[work]) error {
			select {
			case began <- struct{}{}:
				t.Error("two run")
			case <-began:
			case <-time.After(20 * time.Millisecond): // a second one would have come
			}
			return nil
		})}
		r.outbox.Configure(config)
		for i := range 4 {
			r.enqueue(fmt.Sprint(i), "call")
		}
		r.pass()
		if state, err := r.outbox.State(t.Context()); err != nil || state.Waiting != 0 {
			t.Errorf("%+v %v", state, err)
		}
	})
}
