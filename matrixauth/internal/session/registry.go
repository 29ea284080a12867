package session

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Registry holds what must be known at once and is written to the store a moment later, and what is
// asked too often to read each time: first uses of tokens, activity, and who is locked. It outlives
// reloads. One process writes to the store, so the registry is exact.
type Registry struct {
	store  *store.Store
	locked atomic.Pointer[map[string]struct{}]

	retired  retirement
	internal internalTokens
	lost     lostNotes
	rowless  rowlessNotes
	back     wentBack

	mu     sync.Mutex
	uses   map[string]map[model.TokenHash]use
	active map[string]time.Time
	// full wakes Run before its time.
	full chan struct{}
}

// use is the first use of an access token.
type use struct {
	generation int64
	at         time.Time
	// row is the token, if the store has none of it.
	row *model.Token
}

const (
	// useFlush is the longest time for which a first use is in memory alone. A crash within it lets a
	// refresh token be retried once more, which harms nobody.
	useFlush = time.Second
	// activityFlush is the resolution of a session's last activity.
	activityFlush = time.Minute
	// maxPending bounds each map. Uses beyond it are written at once; activity beyond it is dropped
	// until the next flush, as it is for people's eyes only.
	maxPending = 4096
	// maxUnwritten bounds the sessions whose uses are kept while the database cannot be written: about 32 MB. A use
	// beyond it counts when its token is presented again.
	maxUnwritten = 1 << 16
)

// NewRegistry makes the registry of a store and learns who is locked, and whether the database went back in time.
func NewRegistry(ctx context.Context, s *store.Store) (*Registry, error) {
	r := &Registry{
		store: s, uses: map[string]map[model.TokenHash]use{}, active: map[string]time.Time{},
		full: make(chan struct{}, 1), back: wentBack{asking: make(chan struct{}, deviceQuestions)},
	}
	err := s.View(ctx, func(tx *store.Tx) error {
		if err := r.back.learn(tx); err != nil {
			return err
		}
		ids, err := tx.LockedUsers()
		if err != nil || len(ids) == 0 {
			return err
		}
		set := make(map[string]struct{}, len(ids))
		for _, id := range ids {
			set[id] = struct{}{}
		}
		r.locked.Store(&set)
		return nil
	})
	return r, err
}

// watchful reports whether any token at all is to be looked at on its way to the homeserver.
func (r *Registry) watchful() bool { return r.anyLocked() || r.retired.some.Load() }

// anyLocked reports whether anybody is locked. It costs one atomic load.
func (r *Registry) anyLocked() bool { return r.locked.Load() != nil }

// isLocked reports whether a user is locked.
func (r *Registry) isLocked(userID string) bool {
	set := r.locked.Load()
	if set == nil {
		return false
	}
	_, found := (*set)[userID]
	return found
}

// SetLocked follows a commit that locked or unlocked a user: it belongs into Tx.AfterCommit.
func (s *Sessions) SetLocked(userID string, locked bool) {
	s.config.Registry.setLocked(userID, locked)
}

// setLocked follows a commit that locked or unlocked a user. Commits come one after another, so no
// two calls overlap.
func (r *Registry) setLocked(userID string, locked bool) {
	next := map[string]struct{}{}
	if set := r.locked.Load(); set != nil {
		for id := range *set {
			next[id] = struct{}{}
		}
	}
	delete(next, userID)
	if locked {
		next[userID] = struct{}{}
	}
	if len(next) == 0 {
		r.locked.Store(nil)
		return
	}
	r.locked.Store(&next)
}

// noteUse notes that a token was presented, and reports whether that is news. It counts from this moment (REF-4,
// INTRO-10).
func (r *Registry) noteUse(t model.Token, at time.Time) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tokens := r.uses[t.SessionID]
	if tokens == nil && len(r.uses) >= maxUnwritten {
		return false
	}
	if tokens == nil {
		tokens = map[model.TokenHash]use{}
		r.uses[t.SessionID] = tokens
	}
	if _, known := tokens[t.Hash]; !known {
		first = true
		noted := use{generation: t.Generation, at: at}
		if t.Rowless {
			noted.row = &t
		}
		tokens[t.Hash] = noted
	}
	if len(r.uses) >= maxPending {
		select {
		case r.full <- struct{}{}:
		default:
		}
	}
	return first
}

// noteActivity notes that a session was seen. A later time that is noted already stands.
func (r *Registry) noteActivity(sessionID string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen, known := r.active[sessionID]; known && !at.Before(seen) || !known && len(r.active) < maxPending {
		r.active[sessionID] = at
	}
}

// writeUses writes the noted uses of a session, forgets them once they are durable, and reports whether
// there were any. A refresh calls it in its own transaction, so that it judges by what is known at
// that moment.
func (r *Registry) writeUses(tx *store.Tx, sessionID string) (written bool, err error) {
	r.mu.Lock()
	pending := maps.Clone(r.uses[sessionID])
	r.mu.Unlock()
	for hash, u := range pending {
		if u.row != nil {
			if err := restore(tx, *u.row); err != nil {
				return false, err
			}
		}
		if err := tx.MarkTokenUsed(hash, u.at); err != nil {
			return false, err
		}
		if err := tx.RaiseUsedGeneration(sessionID, u.generation); err != nil {
			return false, err
		}
	}
	if len(pending) == 0 {
		return false, nil
	}
	tx.AfterCommit(func() { r.forget(sessionID, pending) })
	return true, nil
}

func (r *Registry) forget(sessionID string, written map[model.TokenHash]use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tokens := r.uses[sessionID]
	for hash := range written {
		delete(tokens, hash)
	}
	if len(tokens) == 0 {
		delete(r.uses, sessionID)
	}
}

// Run writes what was noted until ctx ends, and once more then.
func (r *Registry) Run(ctx context.Context, failed func(error)) {
	uses, activity := time.NewTicker(useFlush), time.NewTicker(activityFlush)
	defer uses.Stop()
	defer activity.Stop()
	var err error
	for {
		full := r.full
		if err != nil {
			full = nil // no faster than it may be over
		}
		r.retired.forget(r.store.Now())
		select {
		case <-ctx.Done():
			if err := r.Flush(context.WithoutCancel(ctx)); err != nil {
				failed(err)
			}
			return
		case <-activity.C:
			err = r.Flush(ctx)
		case <-uses.C:
			err = r.flushUses(ctx)
		case <-full:
			err = r.flushUses(ctx)
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

// Flush writes all that was noted, and that the database lives. What cannot be written stays noted.
func (r *Registry) Flush(ctx context.Context) error {
	if err := r.flushUses(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	pending := r.active
	r.active = map[string]time.Time{}
	r.mu.Unlock()
	err := r.store.Update(ctx, func(tx *store.Tx) error {
		for id, at := range pending {
			if err := tx.TouchSession(id, at, ""); err != nil {
				return err
			}
		}
		return tx.NoteAlive()
	})
	if err != nil {
		for id, at := range pending {
			r.noteActivity(id, at)
		}
		return err
	}
	return r.flushLost(ctx)
}

func (r *Registry) flushUses(ctx context.Context) error {
	r.mu.Lock()
	ids := make([]string, 0, len(r.uses))
	for id := range r.uses {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	return r.store.Update(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			if _, err := r.writeUses(tx, id); err != nil {
				return err
			}
		}
		return tx.NoteAlive()
	})
}
