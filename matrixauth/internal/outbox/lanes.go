package outbox

import (
	"context"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// lanes is a lock per lane that can be waited for with a context. An entry exists only while somebody holds
// the lane or waits for it.
type lanes struct {
	mu   sync.Mutex
	held map[model.Lane]*lane
}

type lane struct {
	// turn holds one token while the lane is free.
	turn chan struct{}
	// users counts who holds the lane or waits for it.
	users int
}

func (l *lanes) join(name model.Lane) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[model.Lane]*lane{}
	}
	one := l.held[name]
	if one == nil {
		one = &lane{turn: make(chan struct{}, 1)}
		one.turn <- struct{}{}
		l.held[name] = one
	}
	one.users++
	return one
}

func (l *lanes) quit(name model.Lane, one *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.held, name)
	}
}

// enter waits for the lane until ctx ends.
func (l *lanes) enter(ctx context.Context, name model.Lane) (leave func(), err error) {
	one := l.join(name)
	select {
	case <-one.turn:
	case <-ctx.Done():
		l.quit(name, one)
		return nil, ctx.Err()
	}
	return func() { one.turn <- struct{}{}; l.quit(name, one) }, nil
}

// tryEnter enters the lane if nobody holds it.
func (l *lanes) tryEnter(name model.Lane) (leave func(), ok bool) {
	one := l.join(name)
	select {
	case <-one.turn:
	default:
		l.quit(name, one)
		return nil, false
	}
	return func() { one.turn <- struct{}{}; l.quit(name, one) }, true
}
