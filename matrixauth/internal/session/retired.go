package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// retirement remembers the access tokens of sessions that ended a moment ago. Synapse answers from
// memory for two minutes after it last asked us, and only the deletion of the device ends that
// earlier; a device that was taken over by a newer login is not deleted (SCOPE-9).
type retirement struct {
	// some is false while nothing is remembered, so that requests pass without a look.
	some atomic.Bool

	mu     sync.Mutex
	tokens map[model.TokenHash]retired
}

// retired is a token whose session ended a moment ago.
type retired struct {
	owner model.Owner
	at    time.Time
}

const (
	// homeserverMemory is longer than Synapse remembers an introspection.
	homeserverMemory = 2*time.Minute + 10*time.Second
)

// over reports whether the homeserver cannot remember the token any more.
func (t retired) over(now time.Time) bool { return now.Sub(t.at) > homeserverMemory }

func (r *Registry) retire(tokens []model.Token, now time.Time) {
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	if r.retired.tokens == nil {
		r.retired.tokens = map[model.TokenHash]retired{}
	}
	for _, token := range tokens {
		if len(r.retired.tokens) < bound.RetiredTokens {
			r.retired.tokens[token.Hash] = retired{token.Owner(), now}
		}
	}
	r.retired.some.Store(len(r.retired.tokens) > 0)
}

// retiredOwner finds a token whose session ended so recently that the homeserver may not know yet, and says
// whose it was.
func (r *Registry) retiredOwner(hash model.TokenHash) (who model.Owner, found bool) {
	if !r.retired.some.Load() {
		return model.Owner{}, false
	}
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	token, found := r.retired.tokens[hash]
	return token.owner, found && !token.over(r.store.Now())
}

// forget drops what the homeserver cannot remember any more.
func (t *retirement) forget(now time.Time) {
	if !t.some.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, token := range t.tokens {
		if token.over(now) {
			delete(t.tokens, hash)
		}
	}
	t.some.Store(len(t.tokens) > 0)
}
