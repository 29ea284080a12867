package edge

import (
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Gate counts the requests under way, so that the database is closed only when nobody uses it. A WaitGroup
// would not do: its Add may race its Wait. The zero value is open.
type Gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{}
}

// Enter keeps the database open until leave is called. Its error is the answer once the gate is closed.
func (g *Gate) Enter() (leave func(), err error) {
	if !g.enter() {
		return nil, closing()
	}
	return g.leave, nil
}

func (g *Gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		close(g.empty)
	}
}

// Close refuses new requests and waits until those under way have left. It reports false if they did not within limit.
func (g *Gate) Close(limit time.Duration) bool {
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

// closing is the answer while the database is being closed.
func closing() error {
	return model.NewError(model.TemporarilyDown).WithRetry(time.Second)
}
