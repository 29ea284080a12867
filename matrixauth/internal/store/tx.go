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
	// imported is the store's.
	imported *atomic.Bool
	// weights are those of crowds; looked tells that this transaction found one anew.
	weights weights
	looked  bool
	// touched reports whether a failed closure may have left changes: a statement wrote, or failed, after which SQLite
	// may have undone more than that statement.
	touched bool
	// changed reports whether a statement has changed a row.
	changed bool
	// again has the statements of a long transaction.
	again statements
	// Now is the time of the transaction: one for all that happens in it, in the resolution of rows.
	Now time.Time
}

// AfterCommit calls f once the transaction is durable, before Update returns. f must be quick and must not use the
// store.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// View runs f in a read transaction: f sees one consistent state.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	q, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s.met(err, false)
	}
	// Nothing was written, so a failed rollback loses nothing.
	defer func() { _ = q.Rollback() }()
	return s.met(f(&Tx{ctx: ctx, q: q, path: s.path, ran: &s.statements, Now: s.Now()}), false)
}

// Statements counts the statements that transactions have run so far. Tests use it to show that two ways cost the
// same, whether an account exists or not (ENUM-1).
func (s *Store) Statements() uint64 { return s.statements.Load() }

// ErrReadOnly is what Update returns, without running anything, in a context of ReadOnly.
var ErrReadOnly = errors.New("this context may only read")

type readOnlyKey struct{}

// ReadOnly makes a context in which nothing can be written.
func ReadOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, readOnlyKey{}, true)
}

// Update runs f in a write transaction and returns once it is durable. f must do no I/O but SQL, as others wait for
// it. f may run twice, with the first run undone, so its effects outside the database must not add up. If f fails, all
// of its changes are undone. In a context of ReadOnly f is not run. ctx may end the wait for a turn; once f has begun
// it is completed, so the caller always learns the result.
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

// lead commits the writes that wait, the caller's among them, and passes the lead on. It does so even if a function
// that runs after the commit panics: otherwise nobody could write any more.
func (s *Store) lead() {
	batch := s.queue.take()
	defer func() {
		s.queue.pass()
		for _, w := range batch {
			w.turn <- false
		}
	}()
	s.commit(batch)
}

// commit runs the writes of a batch and notes their outcomes.
func (s *Store) commit(batch []*write) {
	errs := make([]error, len(batch))
	after, err := s.runBatch(batch, errs)
	if err != nil {
		clear(s.weights)
	}
	for i, w := range batch {
		if w.err = errs[i]; w.err == nil {
			w.err = err
		}
		w.err = s.met(w.err, true)
	}
	var faults error
	for _, f := range after {
		faults = errors.Join(faults, guard(nil, func(*Tx) error { f(); return nil }))
	}
	if faults != nil {
		panic(faults) // what failed is durable, and nobody could be told that it is not
	}
}

// runBatch stores the errors of single writes in errs; the error that it returns has undone all writes. Writes run one
// after another without savepoints, which would cost two calls each. If a write fails that has changed something, all
// are undone and run again, each in a savepoint.
func (s *Store) runBatch(batch []*write, errs []error) (after []func(), err error) {
	after, spoilt, err := s.tryBatch(batch, errs, s.rehearse)
	if spoilt {
		clear(s.weights)
		after, _, err = s.tryBatch(batch, errs, true)
	}
	return after, err
}

// tryBatch runs a batch in one transaction. Without savepoints it reports spoilt, and has undone everything, if a
// write failed after it changed something.
func (s *Store) tryBatch(batch []*write, errs []error, savepoints bool) (after []func(), spoilt bool, err error) {
	ctx := context.Background()
	q, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, false, fmt.Errorf("begin: %w", err)
	}
	worked, changed := false, false
	for i, w := range batch {
		if errs[i] = w.ctx.Err(); errs[i] != nil && !w.begun {
			continue
		}
		w.begun = true
		if s.rehearse {
			tx := s.newTx(q)
			tx.ran = new(atomic.Uint64)
			if failed := runOne(tx, w.f, true); failed.batch != nil {
				return nil, false, errors.Join(failed.batch, q.Rollback())
			}
			if tx.looked {
				clear(s.weights)
			}
		}
		tx := s.newTx(q)
		var failed failure
		if savepoints {
			failed = runOne(tx, w.f, false)
		} else if failed.own = guard(tx, w.f); failed.own != nil && tx.touched && len(batch) > 1 {
			return nil, true, q.Rollback()
		}
		if failed.batch != nil {
			return nil, false, errors.Join(failed.batch, q.Rollback())
		}
		if errs[i] = failed.own; errs[i] == nil {
			worked, changed = true, changed || tx.changed
			after = append(after, tx.after...)
		} else if tx.looked {
			clear(s.weights) // what gave way is there again
		}
	}
	if !worked {
		return nil, false, q.Rollback()
	}
	if err := q.Commit(); err != nil {
		return nil, false, fmt.Errorf("commit: %w", err)
	}
	if changed { // a commit of nothing needs no disk
		s.wrote()
	}
	return after, false, nil
}

func (s *Store) newTx(q *sql.Tx) *Tx {
	return &Tx{ctx: context.Background(), q: q, path: s.path, ran: &s.statements, imported: &s.imported, weights: s.weights, Now: s.Now()}
}

// failure says what went wrong with a write: own is its own error, undone alone; batch spoils all.
type failure struct{ own, batch error }

// runOne runs f in a savepoint, which is undone if f fails, or in any case.
func runOne(tx *Tx, f func(*Tx) error, undo bool) (failed failure) {
	if _, err := tx.q.Exec("SAVEPOINT w"); err != nil {
		return failure{batch: fmt.Errorf("savepoint: %w", err)}
	}
	if failed.own = guard(tx, f); failed.own != nil || undo {
		if _, err := tx.q.Exec("ROLLBACK TO w"); err != nil {
			return failure{batch: fmt.Errorf("rollback: %w", err)}
		}
	}
	if _, err := tx.q.Exec("RELEASE w"); err != nil {
		return failure{batch: fmt.Errorf("release: %w", err)}
	}
	return failed
}

// panicked carries a panic of a closure from the goroutine that writes to the one that called Update.
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
	tx.touched = true
	result, err := tx.runExec(query, args)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	tx.changed = tx.changed || rows > 0
	return rows, err
}

// one reads a single row; model.ErrNotFound if there is none.
func one[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	tx.ran.Add(1)
	value, err := scan(tx.runRow(query, args))
	if errors.Is(err, sql.ErrNoRows) {
		return value, model.ErrNotFound
	}
	tx.touched = tx.touched || err != nil
	return value, err
}

// written returns one for a statement that writes and returns a row.
func written[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	tx.touched, tx.changed = true, true
	return one(tx, scan, query, args...)
}

// many reads all rows of a query, whose text bounds their number.
func many[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (values []T, err error) {
	tx.ran.Add(1)
	rows, err := tx.runQuery(query, args)
	if err != nil {
		tx.touched = true
		return nil, err
	}
	defer func() {
		err = errors.Join(err, rows.Close())
		tx.touched = tx.touched || err != nil
	}()
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

// micros returns a time as rows keep it: microseconds, or NULL for the zero time.
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
