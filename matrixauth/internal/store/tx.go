package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Tx is a transaction. Functions of the domain that compose take one. It must not be kept beyond
// the closure that it was given to.
type Tx struct {
	ctx   context.Context
	q     *sql.Tx
	path  string
	after []func()
	ran   *atomic.Uint64
	// weights are those of crowds; looked tells that this transaction found one anew.
	weights weights
	looked  bool
	// Now is the time of the transaction: one for all that happens in it, in the resolution of rows.
	Now time.Time
}

// AfterCommit has f called once the transaction is durable, before Update returns. f must be quick
// and must not use the store.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// View runs f in a read transaction: all that f reads is of one moment.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	q, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	// Nothing was written, so there is nothing that a failed rollback could lose.
	defer func() { _ = q.Rollback() }()
	return f(&Tx{ctx: ctx, q: q, path: s.path, ran: &s.statements, Now: s.Now()})
}

// Statements counts the statements that transactions have run so far. What must cost the same, whether
// an account exists or not, shows in it (ENUM-1).
func (s *Store) Statements() uint64 { return s.statements.Load() }

// ErrReadOnly is what Update gives, without running anything, in a context of ReadOnly.
var ErrReadOnly = errors.New("this context may only read")

type readOnlyKey struct{}

// ReadOnly makes a context in which nothing can be written.
func ReadOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, readOnlyKey{}, true)
}

// Update runs f in a write transaction and returns once it is durable. f does no I/O but SQL, as
// others wait for it. If f fails nothing of it remains; in a context of ReadOnly it is not run. ctx may
// end the wait for a turn; once f has begun it is carried through, so that the caller always learns the
// outcome.
func (s *Store) Update(ctx context.Context, f func(*Tx) error) error {
	if ctx.Value(readOnlyKey{}) != nil {
		return ErrReadOnly
	}
	w := &write{ctx: ctx, f: f, turn: make(chan bool, 1)}
	leads, err := s.queue.join(w)
	if err != nil {
		return err
	}
	if leads || <-w.turn {
		s.lead()
	}
	var p *panicked
	if errors.As(w.err, &p) {
		panic(p)
	}
	return w.err
}

// lead commits the writes that wait, the caller's among them, and passes the lead on.
func (s *Store) lead() {
	batch := s.queue.take()
	s.commit(batch)
	s.queue.pass()
	for _, w := range batch {
		w.turn <- false
	}
}

// commit runs the writes of a batch and notes their outcomes.
func (s *Store) commit(batch []*write) {
	errs := make([]error, len(batch))
	after, err := s.runBatch(batch, errs)
	if err != nil {
		clear(s.weights)
	}
	for _, f := range after {
		f()
	}
	for i, w := range batch {
		if w.err = errs[i]; w.err == nil {
			w.err = err
		}
	}
}

// runBatch fills errs with what went wrong in single writes; the error it returns undid all.
func (s *Store) runBatch(batch []*write, errs []error) (after []func(), err error) {
	ctx := context.Background()
	q, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	worked := false
	for i, w := range batch {
		if errs[i] = w.ctx.Err(); errs[i] != nil {
			continue
		}
		tx := &Tx{ctx: ctx, q: q, path: s.path, ran: &s.statements, weights: s.weights, Now: s.Now()}
		if len(batch) == 1 {
			errs[i] = guard(tx, w.f) // what it did goes with the whole transaction
		} else if errs[i], err = runOne(tx, w.f); err != nil {
			return nil, errors.Join(err, q.Rollback())
		}
		if errs[i] != nil && tx.looked {
			clear(s.weights) // what gave way is there again
		}
		if errs[i] == nil {
			worked = true
			after = append(after, tx.after...)
		}
	}
	if !worked {
		return nil, q.Rollback()
	}
	if err := q.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return after, nil
}

// runOne runs f in a savepoint. failed is f's own error, undone alone; err spoils the batch.
func runOne(tx *Tx, f func(*Tx) error) (failed, err error) {
	if _, err := tx.q.Exec("SAVEPOINT w"); err != nil {
		return nil, fmt.Errorf("savepoint: %w", err)
	}
	if failed = guard(tx, f); failed != nil {
		if _, err := tx.q.Exec("ROLLBACK TO w"); err != nil {
			return nil, fmt.Errorf("rollback: %w", err)
		}
	}
	if _, err := tx.q.Exec("RELEASE w"); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return failed, nil
}

// panicked carries a panic of a closure from the writer to the goroutine that asked for the write.
type panicked struct {
	value any
	stack []byte
}

// Error shows the panic and where it came from; it is printed by the runtime when raised again.
func (p *panicked) Error() string { return fmt.Sprintf("panic in a write: %v\n%s", p.value, p.stack) }

func guard(tx *Tx, f func(*Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: debug.Stack()}
		}
	}()
	return f(tx)
}

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	tx.ran.Add(1)
	result, err := tx.q.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one reads a single row; model.ErrNotFound if there is none.
func one[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	tx.ran.Add(1)
	value, err := scan(tx.q.QueryRowContext(tx.ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return value, model.ErrNotFound
	}
	return value, err
}

// many reads all rows of a query, whose text bounds their number.
func many[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (values []T, err error) {
	tx.ran.Add(1)
	rows, err := tx.q.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		value, err := scan(rows)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, rows.Err()
}

type scanner interface{ Scan(dest ...any) error }

// micros is a time as rows keep it: microseconds, or NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// timeInto scans what micros wrote.
type timeInto struct{ t *time.Time }

// Scan implements sql.Scanner.
func (d timeInto) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.t = time.Time{}
	case int64:
		*d.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", src)
	}
	return nil
}
