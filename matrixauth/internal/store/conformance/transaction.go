package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

var errBoom = errors.New("boom")

// transactions: a write is there as a whole, or not at all, whoever else writes at the same time.
func transactions(b *bench) {
	b.Run("a_failed_write_leaves_nothing", func(t *testing.T) {
		called := false
		err := b.store.Update(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() { called = true })
			return errors.Join(user(tx, "nobody"), errBoom)
		})
		if !errors.Is(err, errBoom) || b.has(b.store, "nobody") || called {
			t.Errorf("%v, called %v", err, called)
		}
	})
	b.Run("what_follows_the_commit_sees_it", func(t *testing.T) {
		called := false
		b.must(b.store.Update(t.Context(), func(tx *store.Tx) error {
			tx.AfterCommit(func() { called = true })
			return user(tx, "followed")
		}))
		if !called || !b.has(b.store, "followed") {
			t.Error("it was not called, or nothing is there")
		}
	})
	b.Run("a_panic_leaves_nothing", func(t *testing.T) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it is gone")
				}
			}()
			_ = b.store.Update(t.Context(), func(tx *store.Tx) error {
				b.must(user(tx, "nobody"))
				panic("here")
			})
		}()
		if b.has(b.store, "nobody") {
			t.Error("something was written")
		}
	})
	b.Run("an_error_that_was_taken_for_an_answer_spoils_nothing", func(t *testing.T) {
		b.must(b.store.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.User("nobody"); err == nil {
				t.Error("somebody is there")
			}
			return user(tx, "after-it")
		}))
		if !b.has(b.store, "after-it") {
			t.Error("nothing was written")
		}
	})
	b.Run("those_that_fail_take_no_other_along", func(t *testing.T) {
		const n = 60
		errs := make([]error, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				errs[i] = b.store.Update(context.Background(), func(tx *store.Tx) error {
					if err := user(tx, fmt.Sprint("one-of-many-", i)); err != nil || i%3 != 0 {
						return err
					}
					return errBoom
				})
			})
		}
		group.Wait()
		for i, err := range errs {
			if failed := i%3 == 0; errors.Is(err, errBoom) != failed || b.has(b.store, fmt.Sprint("one-of-many-", i)) == failed {
				t.Errorf("write %d: %v", i, err)
			}
		}
	})
	b.Run("one_that_breaks_a_rule_of_the_rows_takes_no_other_along", func(t *testing.T) {
		var group sync.WaitGroup
		errs := make([]error, 30)
		for i := range errs {
			group.Go(func() {
				errs[i] = b.store.Update(context.Background(), func(tx *store.Tx) error {
					if i%2 == 0 {
						return errors.Join(user(tx, fmt.Sprint("unique-", i)), user(tx, fmt.Sprint("unique-", i)))
					}
					return user(tx, fmt.Sprint("unique-", i))
				})
			})
		}
		group.Wait()
		for i, err := range errs {
			if broke := i%2 == 0; (err != nil) != broke || b.has(b.store, fmt.Sprint("unique-", i)) == broke {
				t.Errorf("write %d: %v", i, err)
			}
		}
	})
	b.Run("a_context_that_has_ended_writes_nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.store.Update(ctx, func(tx *store.Tx) error { return user(tx, "nobody") }); !errors.Is(err, context.Canceled) || b.has(b.store, "nobody") {
			t.Errorf("got %v", err)
		}
	})
	b.Run("a_context_that_may_only_read_writes_nothing", func(t *testing.T) {
		if err := b.store.Update(store.ReadOnly(t.Context()), func(*store.Tx) error { t.Error("it ran"); return nil }); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("got %v", err)
		}
	})
	b.Run("a_view_writes_nothing", func(t *testing.T) {
		if err := b.store.View(t.Context(), func(tx *store.Tx) error { return user(tx, "nobody") }); err == nil || b.has(b.store, "nobody") {
			t.Errorf("got %v", err)
		}
	})
}

// isolation: a view is of one moment, and nobody sees what is not committed.
func isolation(b *bench) {
	b.view(func(tx *store.Tx) error {
		before, err := tx.CountUsers()
		if err != nil {
			return err
		}
		b.update(func(tx *store.Tx) error { return user(tx, "newcomer") })
		after, err := tx.CountUsers()
		if before != 0 || after != 0 {
			b.Errorf("a view saw %d and then %d users", before, after)
		}
		return err
	})
	b.update(func(tx *store.Tx) error {
		if err := user(tx, "unborn"); err != nil {
			return err
		}
		if b.has(b.store, "unborn") {
			b.Error("a reader saw what is not committed")
		}
		return nil
	})
	if !b.has(b.store, "newcomer") || !b.has(b.store, "unborn") {
		b.Error("what was committed is not seen")
	}
}

// durability: what was answered is there after the process was killed, and after it was closed.
func durability(b *bench) {
	b.update(func(tx *store.Tx) error { return user(tx, "kept") })
	if b.engine.Crash != nil {
		place := b.engine.Crash(b, b.store)
		if s := b.open(place); !b.has(s, "kept") {
			b.Error("a write that was answered is lost after a crash")
		}
	}
	place := b.engine.Place(b.store)
	b.must(b.store.Close())
	if err := b.store.Update(b.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		b.Errorf("a closed store gave %v", err)
	}
	s := b.open(place)
	if !b.has(s, "kept") {
		b.Error("a write is lost after a close")
	}
}

// oneWriter: a second opening of the same database is refused while the first lasts.
func oneWriter(b *bench) {
	s, err := b.engine.Open(b, b.engine.Place(b.store), b.clock)
	if err == nil {
		b.Error(errors.Join(errors.New("two have the database"), s.Close()))
	}
}
