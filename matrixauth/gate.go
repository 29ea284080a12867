package matrixauth

import (
	"sync"
	"time"
)

// gate counts who is inside, so that the database is closed only when nobody uses it. A WaitGroup
// would not do: its Add may race its Wait.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{}
}

// enter lets somebody in, unless the gate is closed.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		close(g.empty)
	}
}

// close lets nobody in any more and waits until all have left. It reports false if they did not
// within limit.
func (g *gate) close(limit time.Duration) bool {
	g.mu.Lock()
	g.closed = true
	g.empty = make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	select {
	case <-g.empty:
		return true
	case <-time.After(limit):
		return false
	}
}
