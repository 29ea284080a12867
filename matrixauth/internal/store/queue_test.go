package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a fresh store that is closed at the end of the test.
func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Path: filepath.Join(t.TempDir(), "test.db"), Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func addUser(tx *Tx, localpart string) error {
	return tx.InsertUser(model.User{ID: localpart, Localpart: localpart, CreatedAt: tx.Now})
}

func has(t testing.TB, s *Store, localpart string) bool {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		_, err := tx.UserByLocalpart(localpart)
		return err
	})
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// held starts a write that stays in its closure until release is called, so that those that come
// meanwhile have to wait and are committed together.
func held(t *testing.T, s *Store) (release func()) {
	t.Helper()
	inside, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Update(context.Background(), func(tx *Tx) error {
			close(inside)
			<-free
			return addUser(tx, "held")
		})
	}()
	<-inside
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// waiting waits until n writes stand in the queue.
func waiting(s *Store, n int) {
	for {
		s.queue.mu.Lock()
		have := len(s.queue.waiting)
		s.queue.mu.Unlock()
		if have == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestUpdate(t *testing.T) {
	boom := errors.New("boom")
	t.Run("writes_that_wait_share_a_commit_and_each_learns_its_own_outcome", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		const n = 40
		errs := make([]error, n)
		order := map[int]int{}
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				errs[i] = s.Update(context.Background(), func(tx *Tx) error {
					order[i]++ // closures never overlap: the race detector watches
					if err := addUser(tx, fmt.Sprint("user", i)); err != nil || i%3 != 0 {
						return err
					}
					return boom
				})
			})
		}
		waiting(s, n)
		release()
		group.Wait()
		if len(order) != n {
			t.Fatalf("%d closures ran", len(order))
		}
		for i, times := range order {
			if times > 2 {
				t.Errorf("closure %d ran %d times", i, times)
			}
		}
		for i, err := range errs {
			if failed := i%3 == 0; errors.Is(err, boom) != failed || has(t, s, fmt.Sprint("user", i)) == failed {
				t.Errorf("write %d: %v", i, err)
			}
		}
	})
	t.Run("writes_that_wait_run_once_while_none_fails_that_wrote", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		const n = 10
		ran := make([]int, n)
		errs := make([]error, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				errs[i] = s.Update(context.Background(), func(tx *Tx) error {
					ran[i]++
					if i%2 == 0 {
						_, err := tx.UserByLocalpart("nobody")
						return err
					}
					return addUser(tx, fmt.Sprint("user", i))
				})
			})
		}
		waiting(s, n)
		release()
		group.Wait()
		for i, err := range errs {
			if failed := i%2 == 0; ran[i] != 1 || errors.Is(err, model.ErrNotFound) != failed || has(t, s, fmt.Sprint("user", i)) == failed {
				t.Errorf("write %d ran %d times: %v", i, ran[i], err)
			}
		}
	})
	t.Run("a_write_that_ran_runs_again_although_its_context_has_ended", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error, 1), make(chan error, 1)
		after := 0
		go func() {
			first <- s.Update(ctx, func(tx *Tx) error {
				tx.AfterCommit(func() { after++ })
				cancel()
				return addUser(tx, "a")
			})
		}()
		waiting(s, 1)
		go func() {
			second <- s.Update(context.Background(), func(tx *Tx) error { return errors.Join(addUser(tx, "b"), boom) })
		}()
		waiting(s, 2)
		release()
		if err := errors.Join(<-first); err != nil || !has(t, s, "a") || after != 1 {
			t.Errorf("the first write: %v, and %d calls after the commit", err, after)
		}
		if err := <-second; !errors.Is(err, boom) || has(t, s, "b") {
			t.Errorf("the second write: %v", err)
		}
	})
	t.Run("a_statement_that_fails_spoils_no_write_beside_it", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "a") }) }()
		waiting(s, 1)
		go func() { second <- s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "held") }) }() // who is there already
		waiting(s, 2)
		release()
		if err := <-first; err != nil || !has(t, s, "a") {
			t.Errorf("the first write: %v", err)
		}
		if err := <-second; err == nil {
			t.Error("a name was given out twice")
		}
	})
	t.Run("rehearsed_writes_happen_once", func(t *testing.T) {
		s, err := Open(context.Background(), Options{Path: filepath.Join(t.TempDir(), "test.db"), Create: true, Rehearse: true})
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		if err := s.Update(context.Background(), func(tx *Tx) error { ran++; return addUser(tx, "a") }); err != nil || ran != 2 || !has(t, s, "a") {
			t.Errorf("it ran %d times: %v", ran, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("more_than_a_batch_all_get_their_turn", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		var group sync.WaitGroup
		for i := range 2*maxBatch + 5 {
			group.Go(func() {
				if err := s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, fmt.Sprint("user", i)) }); err != nil {
					t.Error(err)
				}
			})
		}
		waiting(s, 2*maxBatch+5)
		release()
		group.Wait()
	})
	t.Run("a_failure_alone_leaves_nothing", func(t *testing.T) {
		s := open(t)
		err := s.Update(context.Background(), func(tx *Tx) error { return errors.Join(addUser(tx, "a"), boom) })
		if !errors.Is(err, boom) || has(t, s, "a") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a_panic_reaches_its_caller_and_harms_nobody_else", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		panicked, other := make(chan any, 1), make(chan error, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_ = s.Update(context.Background(), func(tx *Tx) error {
				if err := addUser(tx, "a"); err != nil {
					return err
				}
				panic("dropped")
			})
		}()
		waiting(s, 1)
		go func() { other <- s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "b") }) }()
		waiting(s, 2)
		release()
		if v := <-panicked; v == nil {
			t.Error("the panic was lost")
		}
		if err := <-other; err != nil || has(t, s, "a") || !has(t, s, "b") {
			t.Errorf("the other write: %v", err)
		}
	})
	t.Run("a_panic_after_the_commit_stops_nobody_who_comes_later", func(t *testing.T) {
		s := open(t)
		ran := 0
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = s.Update(context.Background(), func(tx *Tx) error {
				tx.AfterCommit(func() { panic("dropped") })
				tx.AfterCommit(func() { ran++ })
				return addUser(tx, "a")
			})
		}()
		later := make(chan error, 1)
		go func() { later <- s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "b") }) }()
		select {
		case err := <-later:
			if err != nil || !has(t, s, "a") || !has(t, s, "b") || ran != 1 {
				t.Errorf("the later write: %v; what else followed the first ran %d times", err, ran)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody can write any more")
		}
	})
	t.Run("after_commit_runs_once_it_is_durable_and_only_then", func(t *testing.T) {
		s := open(t)
		ran := 0
		if err := s.Update(context.Background(), func(tx *Tx) error {
			tx.AfterCommit(func() { ran++ })
			return addUser(tx, "a")
		}); err != nil || ran != 1 {
			t.Fatalf("ran %d times: %v", ran, err)
		}
		_ = s.Update(context.Background(), func(tx *Tx) error { // the failure is the point
			tx.AfterCommit(func() { ran++ })
			return boom
		})
		if ran != 1 {
			t.Fatal("it ran for a write that failed")
		}
	})
	t.Run("a_context_that_ends_before_its_turn_keeps_the_write_from_running", func(t *testing.T) {
		s := open(t)
		release := held(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Update(ctx, func(tx *Tx) error { return addUser(tx, "a") }) }()
		waiting(s, 1)
		cancel()
		release()
		if err := <-done; !errors.Is(err, context.Canceled) || has(t, s, "a") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("close_lets_those_who_wait_finish_and_nobody_join", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "test.db")
		s, err := Open(context.Background(), Options{Path: path, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		release := held(t, s)
		done, closed := make(chan error, 1), make(chan error, 1)
		go func() { done <- s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "a") }) }()
		waiting(s, 1)
		go func() { closed <- s.Close() }()
		for !s.queue.isClosed() {
			time.Sleep(time.Millisecond)
		}
		if err := s.Update(context.Background(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("a late write: %v", err)
		}
		release()
		if err := errors.Join(<-done, <-closed); err != nil {
			t.Fatal(err)
		}
		again, err := Open(context.Background(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if !has(t, again, "a") {
			t.Error("the write was lost")
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// isClosed reports whether close was called.
func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
