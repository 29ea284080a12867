package outbox

import (
	"context"
	"sync"
)

// lanes is a lock per user that can be waited for with a context. A lane exists only while somebody
// is in it or waits for it.
type lanes struct {
	mu   sync.Mutex
	held map[string]*lane
}

type lane struct {
	// turn holds one token while the lane is free.
	turn chan struct{}
	// people counts who is in the lane or waits for it.
	people int
}

func (l *lanes) join(user string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*lane{}
	}
	one := l.held[user]
	if one == nil {
		one = &lane{turn: make(chan struct{}, 1)}
		one.turn <- struct{}{}
		l.held[user] = one
	}
	one.people++
	return one
}

func (l *lanes) quit(user string, one *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.people--; one.people == 0 {
		delete(l.held, user)
	}
}

// enter waits for the lane until ctx ends.
func (l *lanes) enter(ctx context.Context, user string) (leave func(), err error) {
	one := l.join(user)
	select {
	case <-one.turn:
	case <-ctx.Done():
		l.quit(user, one)
		return nil, ctx.Err()
	}
	return func() { one.turn <- struct{}{}; l.quit(user, one) }, nil
}

// tryEnter enters the lane if nobody is in it.
func (l *lanes) tryEnter(user string) (leave func(), ok bool) {
	one := l.join(user)
	select {
	case <-one.turn:
	default:
		l.quit(user, one)
		return nil, false
	}
	return func() { one.turn <- struct{}{}; l.quit(user, one) }, true
}
