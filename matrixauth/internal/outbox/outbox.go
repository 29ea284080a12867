// Package outbox does the work that must survive a crash: calls to others that follow from what the store
// says. A job is written in the transaction that makes it necessary and is retried until it is done or refused
// for good. It must run nothing that is not idempotent, and know nothing of what its jobs do.
//
// A lane is a destination with a subject. The jobs of a lane run one after another, in the order in which they
// were written, and wait for no other lane: a mail server that is slow holds up no login. Whoever talks to the
// homeserver about a user directly, as a login does, enters the user's lane there first: the jobs that wait are
// done then, and none runs until the lane is left. So a deletion that waited out an outage can never hit the
// device of a newer login.
package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Outbox runs jobs. It outlives reloads of the configuration; Configure gives it the handlers of the one in
// force.
type Outbox struct {
	store *store.Store
	lanes lanes
	// wake has a channel for each destination.
	wake      map[model.Destination]chan struct{}
	unwritten outcomes
	mu        sync.RWMutex
	config    settings
}

// Config is what a configuration brings to the outbox.
type Config struct {
	// Handlers do the work. A job without a handler waits.
	Handlers []Handler
	// Paused keeps all jobs waiting.
	Paused bool
	// Pace says how the jobs for a destination are done. One that it leaves out has the defaults.
	Pace map[model.Destination]Pace
	// ServerName is the homeserver's name in Matrix ids, for the log.
	ServerName string
	Logger     *slog.Logger
}

// Pace is how the jobs for one destination are done. What is zero has its default.
type Pace struct {
	// Paused keeps the jobs waiting, for a destination that must not be written to.
	Paused bool
	// AtOnce is how many lanes are worked on at the same time; 8 by default.
	AtOnce int
	// FirstDelay is the wait after the first failure of a job, one second by default. It doubles with each
	// further one up to MaxDelay, five minutes by default.
	FirstDelay, MaxDelay time.Duration
	// KeepAside is how many jobs that were refused for good are kept, the newest; all by default. It is for what strangers
	// can cause.
	KeepAside int
	// Timeout bounds one try of a job; 30 seconds by default.
	Timeout time.Duration
}

const (
	// atOnce bounds the lanes of a destination that are worked on at the same time.
	atOnce = 8
	// idle is the longest time between two looks for work.
	idle = 30 * time.Second
	// firstDelay doubles with each failure of a job up to bound.JobDelay; half of it is left to chance, so
	// that jobs which failed together do not return together.
	firstDelay = time.Second
	// jobTimeout bounds one try of a job.
	jobTimeout = 30 * time.Second
)

// settings are a Config made ready.
type settings struct {
	Config
	handlers map[model.JobKind]Handler
}

// pace returns how jobs for a destination are done, with the defaults filled in.
func (s settings) pace(to model.Destination) Pace {
	p := s.Pace[to]
	p.Paused = p.Paused || s.Paused
	p.AtOnce = cmp.Or(p.AtOnce, atOnce)
	p.FirstDelay = cmp.Or(p.FirstDelay, firstDelay)
	p.MaxDelay = cmp.Or(p.MaxDelay, bound.JobDelay)
	p.Timeout = cmp.Or(p.Timeout, jobTimeout)
	return p
}

// New makes an outbox on a store. Without a configuration it runs nothing.
func New(s *store.Store) *Outbox {
	o := &Outbox{store: s, wake: map[model.Destination]chan struct{}{}}
	o.config.Paused, o.config.Logger = true, slog.New(slog.DiscardHandler)
	for _, to := range model.Destinations {
		o.wake[to] = make(chan struct{}, 1)
	}
	return o
}

// Configure puts a configuration in force.
func (o *Outbox) Configure(c Config) {
	made := settings{Config: c, handlers: map[model.JobKind]Handler{}}
	for _, h := range c.Handlers {
		made.handlers[h.kind] = h
	}
	o.mu.Lock()
	o.config = made
	o.mu.Unlock()
	o.Wake()
}

func (o *Outbox) current() settings {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.config
}

// Wake makes Run look for work at once.
func (o *Outbox) Wake() {
	for _, to := range model.Destinations {
		o.wakeUp(to)
	}
}

func (o *Outbox) wakeUp(to model.Destination) {
	select {
	case o.wake[to] <- struct{}{}:
	default:
	}
}

// Run does jobs until ctx ends. Only one Run may be under way.
func (o *Outbox) Run(ctx context.Context) {
	var group sync.WaitGroup
	for _, to := range model.Destinations {
		group.Go(func() { newDispatcher(o, to).run(ctx) })
	}
	group.Wait()
}

// Pass works on every lane whose first job is due and returns the time until another pass makes sense. It does what
// Run does, but ends once nothing is due, and is what tests call in its place.
func (o *Outbox) Pass(ctx context.Context) time.Duration {
	wait := idle
	for _, to := range model.Destinations {
		wait = min(wait, newDispatcher(o, to).pass(ctx))
	}
	return wait
}

// State returns how much work waits.
func (o *Outbox) State(ctx context.Context) (state store.OutboxState, err error) {
	err = o.store.View(ctx, func(tx *store.Tx) error {
		state, err = tx.OutboxState()
		return err
	})
	return state, err
}
