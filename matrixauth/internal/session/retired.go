package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// retirement remembers the access tokens of sessions that ended a moment ago. Synapse answers from
// memory for two minutes after it last asked us, and only the deletion of the device ends that
// earlier; a device that was taken over by a newer login is not deleted (SCOPE-9).
type retirement struct {
	// some is false while nothing is remembered, so that requests pass without a look.
	some atomic.Bool

	mu     sync.Mutex
	tokens map[model.TokenHash]Retired
}

// Retired says of a token whose session ended a moment ago whose it was.
type Retired struct {
	UserID, DeviceID string
	at               time.Time
}

const (
	// homeserverMemory is longer than Synapse remembers an introspection.
	homeserverMemory = 2*time.Minute + 10*time.Second
	// maxRetired bounds what is remembered. Beyond it a token may live for Synapse's two minutes.
	maxRetired = 10_000
)

// over tells that the homeserver cannot remember the token any more.
func (w Retired) over(now time.Time) bool { return now.Sub(w.at) > homeserverMemory }

func (r *Registry) retire(hashes []model.TokenHash, who Retired) {
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	if r.retired.tokens == nil {
		r.retired.tokens = map[model.TokenHash]Retired{}
	}
	for _, hash := range hashes {
		if len(r.retired.tokens) < maxRetired {
			r.retired.tokens[hash] = who
		}
	}
	r.retired.some.Store(len(r.retired.tokens) > 0)
}

// Retired finds a token whose session ended so recently that the homeserver may not know yet.
func (r *Registry) Retired(hash model.TokenHash) (who Retired, found bool) {
	if !r.retired.some.Load() {
		return Retired{}, false
	}
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	who, found = r.retired.tokens[hash]
	return who, found && !who.over(r.store.Now())
}

// forget drops what the homeserver cannot remember any more.
func (t *retirement) forget(now time.Time) {
	if !t.some.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, who := range t.tokens {
		if who.over(now) {
			delete(t.tokens, hash)
		}
	}
	t.some.Store(len(t.tokens) > 0)
}
