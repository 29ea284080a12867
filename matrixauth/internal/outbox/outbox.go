// Package outbox does the work that must survive a crash: calls to the homeserver that follow from
// what the store says. A job is written in the transaction that makes it necessary and is retried
// until it is done or refused for good.
//
// All jobs about one user share a lane and run one after another, in the order in which they were
// written. Whoever talks to the homeserver about a user directly, as a login does, enters the lane
// first: the jobs that wait are done then, and none runs until the lane is left. So a deletion that
// waited out an outage can never hit the device of a newer login.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Handler does the work of a job. It must be idempotent: a crash may let it run twice. An error
// means "try again later" unless it is wrapped by Refuse.
type Handler func(ctx context.Context, job model.Job) error

// refused marks an error that no retry will cure.
type refused struct{ error }

// Unwrap returns the cause.
func (r refused) Unwrap() error { return r.error }

// Refuse marks err as final: the job is set aside for the operator to see and holds up nobody.
func Refuse(err error) error { return refused{err} }

// Outbox runs jobs. It outlives reloads of the configuration; SetHandlers gives it the present one's
// handlers.
type Outbox struct {
	store  *store.Store
	lanes  lanes
	wake   chan struct{}
	mu     sync.RWMutex
	config Config
}

// Config is what a configuration brings to the outbox.
type Config struct {
	// Handlers do the work. A job without a handler waits.
	Handlers map[model.JobKind]Handler
	// Paused keeps all jobs waiting, for a homeserver that must not be written to.
	Paused bool
	// ServerName is the homeserver's name in Matrix ids, for the log.
	ServerName string
	Logger     *slog.Logger
}

// New makes an outbox on a store. Without a configuration it runs nothing.
func New(s *store.Store) *Outbox {
	return &Outbox{store: s, wake: make(chan struct{}, 1), config: Config{Paused: true, Logger: slog.New(slog.DiscardHandler)}}
}

// Configure replaces the handlers. A nil config pauses.
func (o *Outbox) Configure(c Config) {
	o.mu.Lock()
	o.config = c
	o.mu.Unlock()
	o.Wake()
}

func (o *Outbox) current() Config {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.config
}

// Enqueue writes a job into a user's lane and has it begun right after the commit.
func (o *Outbox) Enqueue(tx *store.Tx, lane string, kind model.JobKind, payload model.JobPayload) error {
	if _, err := tx.Enqueue(lane, kind, payload); err != nil {
		return err
	}
	tx.AfterCommit(o.Wake)
	return nil
}

// Wake makes Run look for work at once.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

const (
	// workers bounds the lanes that are worked on at the same time.
	workers = 8
	// idle is the longest time between two looks for work.
	idle = 30 * time.Second
	// firstDelay doubles with each failure of a job up to maxDelay; half of it is left to chance, so
	// that jobs which failed together do not return together.
	firstDelay = time.Second
	maxDelay   = 5 * time.Minute
)

// Run does jobs until ctx ends. Only one Run may be under way.
func (o *Outbox) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-o.wake:
		}
		timer.Reset(o.Pass(ctx))
	}
}

// Pass works on every lane whose first job is due and gives the time until another pass makes sense.
// It is the step of Run, and what tests call in its place.
func (o *Outbox) Pass(ctx context.Context) time.Duration {
	config := o.current()
	if config.Paused {
		return idle
	}
	for ctx.Err() == nil {
		due, wait, err := o.due(ctx)
		if err != nil {
			config.Logger.Error("the outbox could not be read", "error", err)
			return firstDelay
		}
		if len(due) == 0 {
			return wait
		}
		var group sync.WaitGroup
		progress := make(chan bool, len(due))
		for _, lane := range due {
			group.Go(func() { progress <- o.workOn(ctx, lane) })
		}
		group.Wait()
		close(progress)
		if !anyOf(progress) {
			return firstDelay
		}
	}
	return idle
}

func anyOf(values <-chan bool) bool {
	found := false
	for v := range values {
		found = found || v
	}
	return found
}

// due lists the lanes that can be worked on now, and the time until the next one can be.
func (o *Outbox) due(ctx context.Context) (lanes []string, wait time.Duration, err error) {
	wait = idle
	err = o.store.View(ctx, func(tx *store.Tx) error {
		heads, err := tx.LaneHeads(workers)
		if err != nil {
			return err
		}
		for _, job := range heads {
			if left := job.RunAt.Sub(tx.Now); left > 0 {
				wait = min(wait, left)
				continue
			}
			lanes = append(lanes, job.Lane)
		}
		return nil
	})
	return lanes, wait, err
}

// workOn drains a lane that nobody is in. It reports whether anything changed; a lane that somebody
// has entered is drained by them.
func (o *Outbox) workOn(ctx context.Context, user string) bool {
	leave, ok := o.lanes.tryEnter(user)
	if !ok {
		return false
	}
	defer leave()
	err := o.drain(ctx, user, false)
	return err == nil || !errors.Is(err, errWaits)
}

// Enter waits until nobody else is in the user's lane, does all jobs that wait there, also those
// that were to be retried later, and holds the lane until leave is called. If a job cannot be done
// now, it gives an Error of kind Unavailable and the lane is not held.
func (o *Outbox) Enter(ctx context.Context, user string) (leave func(), err error) {
	free, err := o.lanes.enter(ctx, user)
	if err != nil {
		return nil, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	if err := o.drain(ctx, user, true); err != nil {
		free()
		return nil, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return func() { free(); o.Wake() }, nil
}

// errWaits says that the lane's next job is not to be tried yet.
var errWaits = errors.New("the next job waits for its next try")

// drain does the jobs of a lane that the caller is in. now makes jobs due that were to be retried
// later.
func (o *Outbox) drain(ctx context.Context, user string, now bool) error {
	for {
		job, err := o.next(ctx, user)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !now && job.RunAt.After(o.store.Now()) {
			return errWaits
		}
		if err := o.do(ctx, job); err != nil {
			return err
		}
	}
}

func (o *Outbox) next(ctx context.Context, user string) (job model.Job, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		job, err = tx.NextJob(user)
		return err
	})
	return job, err
}

// jobTimeout bounds one try of a job.
const jobTimeout = 30 * time.Second

// do tries one job and writes down how it went. It gives an error if the job is still to be done.
func (o *Outbox) do(ctx context.Context, job model.Job) error {
	config := o.current()
	handler, ok := config.Handlers[job.Kind]
	if !ok || config.Paused {
		return errors.New("jobs are paused")
	}
	work, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	failure := handler(work, job)
	var final refused
	switch {
	case failure == nil:
		return o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			if job.Attempts > 0 {
				// The homeserver answers again: what waits for it need not wait longer.
				if err := tx.HastenJobs(); err != nil {
					return err
				}
				tx.AfterCommit(o.Wake)
			}
			return tx.DeleteJob(job.Position)
		})
	case errors.As(failure, &final):
		config.Logger.Warn("the homeserver refused a job for good; it is set aside", o.whose(job, config.ServerName),
			"device_id", job.Payload.DeviceID, "job", job.Kind, "position", job.Position, "error", failure)
		return o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			return tx.SetJobAside(job.Position, failure.Error())
		})
	case ctx.Err() != nil:
		// Ended from outside, so this says nothing about the job.
		return ctx.Err()
	}
	config.Logger.Warn("a job failed and is tried again later", o.whose(job, config.ServerName),
		"device_id", job.Payload.DeviceID, "job", job.Kind, "position", job.Position, "attempts", job.Attempts+1, "error", failure)
	err := o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.PostponeJob(job.Position, failure.Error(), tx.Now.Add(backoff(job.Attempts)))
	})
	return errors.Join(failure, err)
}

// whose is how a line of the log names the user of a job.
func (o *Outbox) whose(job model.Job, serverName string) slog.Attr {
	var who model.User
	err := o.store.View(context.Background(), func(tx *store.Tx) (err error) {
		who, err = tx.User(job.Lane)
		return err
	})
	if err != nil {
		return slog.String("user_id", job.Lane) // a job may outlive what it was about
	}
	return model.LogUser(who.Localpart, serverName, who.ID)
}

func backoff(attempts int) time.Duration {
	delay := maxDelay
	if attempts < 16 {
		delay = min(maxDelay, firstDelay<<attempts)
	}
	return delay/2 + rand.N(delay/2)
}

// State tells how much work waits.
func (o *Outbox) State(ctx context.Context) (state store.OutboxState, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		state, err = tx.OutboxState()
		return err
	})
	return state, err
}
