package signin

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Failures counts tries to sign in that failed, by account and network, and writes them later and in bulk: whoever guesses
// has us write no more often than others do, and nobody waits for it. It outlives reloads.
type Failures struct {
	store *store.Store

	mu      sync.Mutex
	waiting map[failureKey]model.FailedSignIns
}

type failureKey struct{ userID, network string }

// NewFailures makes the counts of a database.
func NewFailures(s *store.Store) *Failures {
	return &Failures{store: s, waiting: map[failureKey]model.FailedSignIns{}}
}

// note counts a try that failed. It does the same for a name without an account, all of which are one that is never written
// (ENUM-1). A server that is too busy is no failure of anybody's.
func (f *Failures) note(userID string, a Attempt, why error) {
	if f == nil || !errors.Is(why, model.InvalidCredentials) {
		return
	}
	now := f.store.Now()
	one := model.FailedSignIns{UserID: userID, Network: model.Place(a.IP), UserAgent: strings.Clone(a.UserAgent[:min(len(a.UserAgent), bound.ClientText)]), First: now, Last: now, Tries: 1}
	if userID == "" {
		one.Network = ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(one)
}

// add counts tries. Beyond the bound what is new is left out: it takes guesses at thousands of accounts in a minute.
func (f *Failures) add(one model.FailedSignIns) {
	key := failureKey{one.UserID, one.Network}
	before, known := f.waiting[key]
	switch {
	case known:
		f.waiting[key] = before.And(one)
	case len(f.waiting) < bound.WaitingFailures:
		f.waiting[key] = one
	}
}

// flushBatch is how many are written in one transaction, so that nobody waits long for the writer.
const flushBatch = 200

// Flush writes what was counted. What cannot be written waits on.
func (f *Failures) Flush(ctx context.Context) error {
	return f.write(ctx, func(failureKey) bool { return true })
}

// Of lists the tries to sign in to an account that failed lately, the newest first, up to now. It is for the account's
// holder: it writes what waits of theirs.
func (f *Failures) Of(ctx context.Context, userID string) (all []model.FailedSignIns, err error) {
	if err := f.write(ctx, func(key failureKey) bool { return key.userID == userID }); err != nil {
		return nil, err
	}
	err = f.store.View(ctx, func(tx *store.Tx) error {
		all, err = tx.FailedSignIns(userID)
		return err
	})
	return all, err
}

func (f *Failures) write(ctx context.Context, chosen func(failureKey) bool) error {
	waiting := f.take(chosen)
	for len(waiting) > 0 {
		batch := min(len(waiting), flushBatch)
		err := f.store.Update(ctx, func(tx *store.Tx) error {
			for _, one := range waiting[:batch] {
				if err := tx.AddFailedSignIns(one); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, one := range waiting {
				f.add(one)
			}
			return err
		}
		waiting = waiting[batch:]
	}
	return nil
}

// take takes what was counted out of memory, and drops what is no account's.
func (f *Failures) take(chosen func(failureKey) bool) (taken []model.FailedSignIns) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.waiting, func(key failureKey, one model.FailedSignIns) bool {
		if !chosen(key) {
			return false
		}
		if key.userID != "" {
			taken = append(taken, one)
		}
		return true
	})
	return taken
}
