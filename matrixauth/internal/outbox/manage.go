package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// ErrBusy means that a lane was held all the time that the caller would wait: a job of it runs, or a login of
// its user is under way. The same call can succeed a moment later.
var ErrBusy = errors.New("a job of the same lane runs just now")

// List returns at most limit jobs that a filter chooses, in the order of their positions, beginning behind the
// position after. It is for operators.
func (o *Outbox) List(ctx context.Context, f model.JobFilter, after int64, limit int) (jobs []model.Job, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		jobs, err = tx.Jobs(f, after, limit)
		return err
	})
	return jobs, err
}

// Retry has a job tried as soon as its lane is free: one that waits for its next try, or one that is set aside,
// which goes back to its old place in its lane, before the jobs that were written after it and still wait. From
// then on it holds up its lane as any job does, a login of its user among them. It returns the job as it was.
// Errors: model.ErrNotFound if there is no such job, as it is done or was dropped; ErrBusy.
//
// also runs in the same transaction, for a record of who did it; it may be nil.
func (o *Outbox) Retry(ctx context.Context, position int64, also func(*store.Tx, model.Job) error) (model.Job, error) {
	return o.manage(ctx, position, (*store.Tx).RetryJob, also)
}

// Drop removes a job, so that it is never done. A job that runs is not interrupted: Drop waits for the end of
// the try as long as ctx allows, and then removes the job unless it is done. What the destination was to be told
// it is not told; for a user or a device at the homeserver the doctor finds the difference. It returns the job
// as it was. Errors: model.ErrNotFound if there is no such job, as it is done or was dropped; ErrBusy.
//
// also runs in the same transaction, for a record of who did it; it may be nil.
func (o *Outbox) Drop(ctx context.Context, position int64, also func(*store.Tx, model.Job) error) (model.Job, error) {
	return o.manage(ctx, position, (*store.Tx).DeleteJob, also)
}

// manage changes a job while it holds the job's lane, so that no try of it is under way.
func (o *Outbox) manage(ctx context.Context, position int64, change func(*store.Tx, int64) error, also func(*store.Tx, model.Job) error) (job model.Job, err error) {
	find := func(tx *store.Tx) error {
		if job, err = tx.Job(position); err != nil {
			return fmt.Errorf("job %d: %w", position, err)
		}
		return nil
	}
	if err := o.store.View(ctx, find); err != nil {
		return job, err
	}
	leave, err := o.lanes.enter(ctx, job.Lane)
	if err != nil {
		return job, fmt.Errorf("job %d: %w: %w", position, ErrBusy, err)
	}
	defer func() { leave(); o.wakeUp(job.Lane.Destination) }()
	err = o.store.Update(ctx, func(tx *store.Tx) error {
		if err := find(tx); err != nil {
			return err
		}
		if err := change(tx, position); err != nil || also == nil {
			return err
		}
		return also(tx, job)
	})
	if err == nil {
		o.unwritten.take(position) // what came of it does not count any more
	}
	return job, err
}
