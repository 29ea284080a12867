package reconcile

import (
	"context"
	"sync"
	"time"
)

const (
	// accountEvery is the least time between two checks of the account of one user.
	accountEvery = 5 * time.Minute
	// deviceEvery is the least time between two checks of the devices of one user. A client whose device is gone may
	// send a thousand requests a second.
	deviceEvery = 10 * time.Second
	// afterRestore is how long no devices are checked after many were found missing at once.
	afterRestore = 5 * time.Minute
	// maxUsers bounds the users in memory. A user for whom there is no room is noted again at their next refresh.
	maxUsers = 1 << 16
	// between is the pause after each user, so that the homeserver has time for clients.
	between = 20 * time.Millisecond
	// afterFailure is the pause after a homeserver that did not answer.
	afterFailure = 30 * time.Second
	// sweepEvery is the time between two removals of users that need not be remembered.
	sweepEvery = time.Minute
)

// Queue holds the users about whom the homeserver is to be asked, and asks about one after another. It is in memory
// only: a user who is lost in a crash is noted again at their next refresh. It outlives reloads of the configuration
// and is safe for concurrent use.
type Queue struct {
	now  func() time.Time
	wake chan struct{}

	mu         sync.Mutex
	reconciler *Reconciler
	users      map[string]*mark
	waiting    []string
	swept      time.Time
	// restored is the time at which devices of several users were found missing at once.
	restored time.Time
}

// mark is what is remembered of a user.
type mark struct {
	waiting bool
	// devices reports whether the devices are to be looked at too.
	devices bool
	// accountAsked and devicesAsked are the times of the last questions.
	accountAsked, devicesAsked time.Time
}

// NewQueue makes a queue that asks nobody until it is configured.
func NewQueue(now func() time.Time) *Queue {
	return &Queue{now: now, wake: make(chan struct{}, 1), users: map[string]*mark{}, swept: now()}
}

// Configure sets the Reconciler that is asked from now on. With nil nobody is asked, and users that are noted are
// forgotten.
func (q *Queue) Configure(r *Reconciler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reconciler = r
	if r == nil {
		q.users, q.waiting = map[string]*mark{}, nil
	}
}

// Refreshed notes that a user's tokens were refreshed: soon, and at most every five minutes for one user, the
// homeserver is asked whether it has deactivated the account.
func (q *Queue) Refreshed(userID string) { q.note(userID, false) }

// Refused notes that the homeserver refused a live access token of a user: soon it is asked whether it still has the
// devices of their sessions.
func (q *Queue) Refused(userID string) { q.note(userID, true) }

func (q *Queue) note(userID string, devices bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reconciler == nil {
		return
	}
	m, known := q.users[userID]
	if !known {
		if len(q.users) == maxUsers {
			return
		}
		m = &mark{}
		q.users[userID] = m
	}
	now := q.now()
	if devices && !recent(now, m.devicesAsked, deviceEvery) && !recent(now, q.restored, afterRestore) {
		m.devices = true
	}
	if m.waiting || !m.devices && recent(now, m.accountAsked, accountEvery) {
		return
	}
	m.waiting = true
	q.waiting = append(q.waiting, userID)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// recent reports whether something was done less than a given time ago. If the clock was set back by a lot, it was
// not.
func recent(now, at time.Time, within time.Duration) bool {
	return !at.IsZero() && now.Sub(at).Abs() < within
}

// next takes the user who waits longest.
func (q *Queue) next() (r *Reconciler, userID string, devices, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.sweep(now)
	if len(q.waiting) == 0 {
		return nil, "", false, false
	}
	userID, q.waiting = q.waiting[0], q.waiting[1:]
	m := q.users[userID]
	devices = m.devices
	m.waiting, m.devices, m.accountAsked = false, false, now
	if devices {
		m.devicesAsked = now
	}
	return q.reconciler, userID, devices, true
}

// sweep forgets users whose marks no longer have an effect.
func (q *Queue) sweep(now time.Time) {
	if recent(now, q.swept, sweepEvery) {
		return
	}
	q.swept = now
	for id, m := range q.users {
		if !m.waiting && !recent(now, m.accountAsked, accountEvery) {
			delete(q.users, id)
		}
	}
}

// step asks about one user. It reports false if no user waits. On an error the homeserver or our store did not answer,
// and nothing was changed.
func (q *Queue) step(ctx context.Context) (asked bool, err error) {
	r, userID, devices, ok := q.next()
	if !ok {
		return false, nil
	}
	if !devices {
		return true, r.Account(ctx, userID)
	}
	restored, err := r.Devices(ctx, userID)
	if restored {
		q.mu.Lock()
		q.restored = q.now()
		q.mu.Unlock()
	}
	return true, err
}

// Run asks until ctx ends. Only one Run may be under way.
func (q *Queue) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		asked, err := q.step(ctx)
		switch {
		case err != nil:
			timer.Reset(afterFailure)
		case asked:
			timer.Reset(between)
		default:
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
				timer.Reset(0)
			}
		}
	}
}

// Pass asks about everybody who waits. It does what Run does, and is what tests call in its place.
func (q *Queue) Pass(ctx context.Context) error {
	for ctx.Err() == nil {
		if asked, err := q.step(ctx); err != nil || !asked {
			return err
		}
	}
	return ctx.Err()
}
