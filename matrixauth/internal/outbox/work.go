package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Enter waits until nobody else holds the lane, does all jobs that wait there, also those that were to be
// retried later, and holds the lane until leave is called. If a job cannot be done now, it returns an Error of
// kind Unavailable and the lane is not held.
func (o *Outbox) Enter(ctx context.Context, lane model.Lane) (leave func(), err error) {
	free, err := o.lanes.enter(ctx, lane)
	if err != nil {
		return nil, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	if err := o.drain(ctx, lane, true); err != nil {
		free()
		return nil, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return func() { free(); o.wakeUp(lane.Destination) }, nil
}

// workOn drains a lane, unless somebody else holds it.
func (o *Outbox) workOn(ctx context.Context, lane model.Lane) laneResult {
	leave, ok := o.lanes.tryEnter(lane)
	if !ok {
		return laneHeld
	}
	defer leave()
	if err := o.drain(ctx, lane, false); errors.Is(err, errStands) {
		return laneStuck
	}
	return laneMoved
}

// errStands says that the lane's next job stands as it stood, and that to try it again at once would be no use.
var errStands = errors.New("the next job waits")

// drain does the jobs of a lane that the caller holds. now makes jobs due that were to be retried later.
func (o *Outbox) drain(ctx context.Context, lane model.Lane, now bool) error {
	for {
		job, err := o.next(ctx, lane)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !now && job.RunAt.After(o.store.Now()) {
			return errStands
		}
		if err := o.do(ctx, job); err != nil {
			return err
		}
	}
}

func (o *Outbox) next(ctx context.Context, lane model.Lane) (job model.Job, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		job, err = tx.NextJob(lane)
		return err
	})
	return job, err
}

// do tries one job and writes down how it went. It returns an error if the job is still to be done.
func (o *Outbox) do(ctx context.Context, job model.Job) error {
	config := o.current()
	pace := config.pace(job.Lane.Destination)
	handler, ok := config.handlers[job.Kind]
	switch {
	case pace.Paused:
		return fmt.Errorf("%w: jobs are paused", errStands)
	case !ok:
		return fmt.Errorf("%w: nothing handles jobs of kind %s", errStands, job.Kind)
	}
	came, known := o.unwritten.take(job.Position)
	if !known {
		work, cancel := context.WithTimeout(ctx, pace.Timeout)
		defer cancel()
		came.note, came.failure = try(work, config.Logger, handler, job)
		if came.failure != nil && ctx.Err() != nil && !IsPermanent(came.failure) {
			return ctx.Err() // ended from outside, so this says nothing about the job
		}
		o.tell(config, handler, job, came.failure)
	}
	// What happened is written down whether or not the caller still waits for it.
	ctx = context.WithoutCancel(ctx)
	if err := o.write(ctx, pace, job, came); err != nil {
		o.unwritten.keep(job.Position, came)
		return errors.Join(came.failure, o.notWritten(config, err))
	}
	if IsPermanent(came.failure) {
		return nil // it holds up nobody
	}
	return came.failure
}

// tell writes the line of the log about a try that failed.
func (o *Outbox) tell(config settings, handler Handler, job model.Job, failure error) {
	switch {
	case failure == nil:
	case IsPermanent(failure):
		config.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a job was refused for good; it is set aside", o.attrs(config, handler, job, failure)...)
	default:
		config.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a job failed and is tried again later",
			append(o.attrs(config, handler, job, failure), slog.Int("attempts", job.Attempts+1))...)
	}
}

// write writes down what came of a try, with its note.
func (o *Outbox) write(ctx context.Context, pace Pace, job model.Job, came outcome) error {
	return o.store.Update(ctx, func(tx *store.Tx) error {
		if came.note != nil {
			if err := came.note(tx); err != nil {
				return err
			}
		}
		switch {
		case came.failure == nil:
			return o.done(tx, job)
		case IsPermanent(came.failure):
			if err := tx.SetJobAside(job.Position, came.failure.Error()); err != nil || pace.KeepAside == 0 {
				return err
			}
			return tx.TrimSetAside(job.Lane.Destination, pace.KeepAside)
		}
		return tx.PostponeJob(job.Position, came.failure.Error(), tx.Now.Add(pace.backoff(job.Attempts)))
	})
}

// try has a handler do a job. A panic is a failure as any other: a fault in one kind of job must not end the process,
// which has other sites than ours, and not at each start anew.
func try(ctx context.Context, logger *slog.Logger, handler Handler, job model.Job) (note Note, err error) {
	defer func() {
		if v := recover(); v != nil {
			logger.Error("a job panicked", "job", string(job.Kind), "panic", v, "stack", string(debug.Stack()))
			note, err = nil, fmt.Errorf("a fault of the server: %v", v)
		}
	}()
	return handler.run(ctx, job)
}

// notWritten is the error of an outcome that could not be written down. The job is as due as before then, and is looked at
// again later.
func (o *Outbox) notWritten(config settings, err error) error {
	if !errors.Is(err, model.DatabaseDown) { // of which the server tells once a minute
		config.Logger.Error("the outcome of a job could not be written down; that is tried again", "error", err)
	}
	return fmt.Errorf("%w: %w", errStands, err)
}

// done removes a job that was done.
func (o *Outbox) done(tx *store.Tx, job model.Job) error {
	if job.Attempts > 0 {
		// The destination answers again: what waits for it need not wait longer.
		if err := tx.HastenJobs(job.Lane.Destination); err != nil {
			return err
		}
		tx.AfterCommit(func() { o.wakeUp(job.Lane.Destination) })
	}
	return tx.DeleteJob(job.Position)
}

// attrs returns the fields of a line of the log about a job.
func (o *Outbox) attrs(config settings, handler Handler, job model.Job, failure error) []slog.Attr {
	attrs := append([]slog.Attr{o.subject(job, config.ServerName)}, handler.attrs(job)...)
	return append(attrs, slog.String("job", string(job.Kind)), slog.Int64("position", job.Position), slog.Any("error", failure))
}

// subject returns how a line of the log names whom a job is about.
func (o *Outbox) subject(job model.Job, serverName string) slog.Attr {
	var who model.User
	err := o.store.View(context.Background(), func(tx *store.Tx) (err error) {
		who, err = tx.User(model.UserOfSubject(job.Lane.Subject))
		return err
	})
	if err != nil {
		return slog.String("user_id", model.UserOfSubject(job.Lane.Subject)) // a job may outlive what it was about
	}
	return model.LogUser(who.Localpart, serverName, who.ID)
}

// backoff returns the wait after a try of a job that failed so often before.
func (p Pace) backoff(attempts int) time.Duration {
	delay := p.MaxDelay
	if attempts < 16 {
		delay = min(p.MaxDelay, p.FirstDelay<<attempts)
	}
	return delay/2 + rand.N(delay/2+1)
}
