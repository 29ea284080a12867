package store

import (
	"context"
	"sync"
)

// write is a change that waits for its turn.
type write struct {
	ctx context.Context
	f   func(*Tx) error
	err error
	// begun means that f has run: from then on the end of ctx is ignored.
	begun bool
	// turn wakes the waiting caller: true makes it the leader, false means that the write is done and err is its
	// result.
	turn chan bool
}

// queue collects writes so that they share a commit. A caller that finds no writer leads at once, without a change of
// goroutine. Callers that come in the meantime wait, and one of them commits all that wait.
type queue struct {
	mu      sync.Mutex
	waiting []*write
	led     bool
	closed  bool
	// empty is closed when nobody writes any more after close.
	empty chan struct{}
}

// maxBatch bounds how many writes share a commit, and so how long the last of them waits.
const maxBatch = 64

// join adds a write and reports whether its caller leads.
func (q *queue) join(w *write) (leads bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	q.waiting = append(q.waiting, w)
	leads = !q.led
	q.led = true
	return leads, nil
}

// take returns the leader the writes to commit. The leader's own is first or among the first.
func (q *queue) take() []*write {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxBatch)
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return batch
}

// pass makes the first of those who wait the leader.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.waiting[0].turn <- true
		return
	}
	q.waiting, q.led = nil, false
	if q.closed {
		close(q.empty)
	}
}

// close refuses new writes and waits until all that joined are done.
func (q *queue) close() {
	q.mu.Lock()
	q.closed, q.empty = true, make(chan struct{})
	if !q.led {
		close(q.empty)
	}
	q.mu.Unlock()
	<-q.empty
}
