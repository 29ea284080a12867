package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Kind is a kind of work with the type of its payload, which is kept as JSON. It is declared once, by the
// package that does the work, and is the only way to write a job of the kind and to handle one. A payload holds
// no secret that is not sealed, as operators see it.
type Kind[P any] struct {
	name model.JobKind
	to   model.Destination
}

// NewKind declares a kind by its stored name and its destination.
func NewKind[P any](name model.JobKind, to model.Destination) Kind[P] { return Kind[P]{name, to} }

// Job is a job as its handler sees it.
type Job[P any] struct {
	// Position names the job: it stays the same over all tries, and no other job has it.
	Position int64
	// Subject is whom or what the job is about.
	Subject string
	Payload P
	// Attempts is the number of tries that failed, CreatedAt the time at which the job was written.
	Attempts  int
	CreatedAt time.Time
}

// Enqueue writes a job in a transaction, at the end of the lane of its subject, and has it begun right after
// the commit.
func (k Kind[P]) Enqueue(o *Outbox, tx *store.Tx, subject string, payload P) error {
	if _, err := k.Note(tx, subject, payload); err != nil {
		return err
	}
	tx.AfterCommit(func() { o.wakeUp(k.to) })
	return nil
}

// Note writes a job that its caller, who holds the lane, removes before they leave it: it is done only if they
// fail or die. It returns the job's position for Tx.DeleteJob.
func (k Kind[P]) Note(tx *store.Tx, subject string, payload P) (position int64, err error) {
	text, err := model.MarshalText(payload)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", k.name, err)
	}
	return tx.Enqueue(k.to.Lane(subject), k.name, text)
}

// Waits reports whether a job of the kind about a subject waits; jobs set aside do not count.
func (k Kind[P]) Waits(tx *store.Tx, subject string) (bool, error) {
	return tx.JobWaits(k.to.Lane(subject), k.name)
}

// EnqueueOnce is Enqueue for a job that reads what it does when it is done, so that of two alike the later one is enough. Of
// those that wait the first may be under way, and have read already; nothing is written only behind another one.
func (k Kind[P]) EnqueueOnce(o *Outbox, tx *store.Tx, subject string, payload P) error {
	text, err := model.MarshalText(payload)
	if err != nil {
		return fmt.Errorf("job %s: %w", k.name, err)
	}
	if alike, err := tx.JobsAlike(k.to.Lane(subject), k.name, text); err != nil || alike > 1 {
		return err
	}
	return k.Enqueue(o, tx, subject, payload)
}

// Handler does the jobs of one kind. Kind.Handle makes it.
type Handler struct {
	kind model.JobKind
	run  func(ctx context.Context, job model.Job) (Note, error)
	// attrs are the fields of the log for a job's payload.
	attrs func(job model.Job) []slog.Attr
}

// Kind returns the kind that the handler does.
func (h Handler) Kind() model.JobKind { return h.kind }

// Note writes what came of a try. It runs in the transaction that writes down the outcome, so that both are known or
// neither is.
type Note func(tx *store.Tx) error

// Handle makes the handler of a kind. f must be idempotent: a crash may let it run twice. Its error means "try
// again later", unless it says of itself that no retry cures it (see Permanent). A payload that cannot be
// decoded is such an error, and f is not called.
func (k Kind[P]) Handle(f func(ctx context.Context, job Job[P]) error) Handler {
	return k.HandleAndNote(func(ctx context.Context, job Job[P]) (Note, error) { return nil, f(ctx, job) })
}

// HandleAndNote is Handle for what is to be noted of a try, whether it failed or not. The note may be nil.
func (k Kind[P]) HandleAndNote(f func(ctx context.Context, job Job[P]) (Note, error)) Handler {
	decode := func(job model.Job) (payload P, err error) {
		if err := json.Unmarshal([]byte(job.Payload), &payload); err != nil {
			return payload, Permanent(fmt.Errorf("the payload cannot be read: %w", err))
		}
		return payload, nil
	}
	return Handler{
		kind: k.name,
		run: func(ctx context.Context, job model.Job) (Note, error) {
			payload, err := decode(job)
			if err != nil {
				return nil, err
			}
			return f(ctx, Job[P]{job.Position, job.Lane.Subject, payload, job.Attempts, job.CreatedAt})
		},
		attrs: func(job model.Job) []slog.Attr {
			payload, err := decode(job)
			if l, ok := any(payload).(logged); ok && err == nil {
				return l.LogFields()
			}
			return nil
		},
	}
}

// logged is a payload that has fields for the lines of the log about its job.
type logged interface{ LogFields() []slog.Attr }

// retryable is an error that says whether the same call can succeed later. Errors of other kinds can.
type retryable interface{ Retryable() bool }

// permanent is an error that no retry cures.
type permanent struct{ error }

// Unwrap returns the cause.
func (p permanent) Unwrap() error { return p.error }

// Retryable reports false.
func (permanent) Retryable() bool { return false }

// Permanent makes an error one that no retry cures, for causes that do not say so themselves by a method
// Retryable() bool: the job is set aside for the operator to see and holds up nobody.
func Permanent(err error) error { return permanent{err} }

// IsPermanent reports whether an error of a handler says that no retry cures it.
func IsPermanent(err error) bool {
	var r retryable
	return errors.As(err, &r) && !r.Retryable()
}
