package session

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// retirement remembers the sessions that ended a moment ago, and their access tokens, of which some do not say to which
// session they belong. Synapse answers from memory for two minutes after it last asked us, and only the deletion of the
// device ends that earlier; a device that was taken over by a newer login is not deleted (SCOPE-9), nor is one whose
// session ended softly.
type retirement struct {
	// some is false while nothing is remembered, so that requests pass without a look.
	some atomic.Bool

	mu       sync.Mutex
	tokens   map[model.TokenHash]retired
	sessions map[string]retired
}

// retired is a session that ended a moment ago, or a token of it.
type retired struct {
	owner model.Owner
	// soft tells that clients are to keep their keys.
	soft bool
	at   time.Time
}

const (
	// homeserverMemory is longer than Synapse remembers an introspection.
	homeserverMemory = 2*time.Minute + 10*time.Second
)

// over reports whether the homeserver cannot remember the token any more.
func (t retired) over(now time.Time) bool { return now.Sub(t.at) > homeserverMemory }

// retireSession remembers a session that has ended, with those of its access tokens of which there are rows.
func (r *Registry) retireSession(id string, tokens []model.Token, as retired) {
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	if r.retired.sessions == nil {
		r.retired.sessions = map[string]retired{}
	}
	for _, token := range tokens {
		as.owner.Localpart = token.Localpart
		r.retired.keep(token.Hash, as)
	}
	if len(r.retired.sessions) < bound.RetiredTokens {
		r.retired.sessions[id] = as
	}
	r.retired.some.Store(true)
}

// retireToken remembers a token that the public must not use.
func (r *Registry) retireToken(hash model.TokenHash, as retired) {
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	r.retired.keep(hash, as)
	r.retired.some.Store(true)
}

// keep remembers a token. Its caller holds mu.
func (t *retirement) keep(hash model.TokenHash, as retired) {
	if t.tokens == nil {
		t.tokens = map[model.TokenHash]retired{}
	}
	if len(t.tokens) < bound.RetiredTokens {
		t.tokens[hash] = as
	}
}

// retiredToken finds a token whose session ended so recently that the homeserver may not know yet.
func (r *Registry) retiredToken(hash model.TokenHash) (as retired, found bool) {
	if !r.retired.some.Load() {
		return retired{}, false
	}
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	as, found = r.retired.tokens[hash]
	return as, found && !as.over(r.store.Now())
}

// retiredBearer is retiredToken by the token itself, which may be without a row and then says to which session it
// belongs. One that has expired the homeserver does not remember. Whoever makes one up is refused, as with any other that
// is made up.
func (r *Registry) retiredBearer(token string) (as retired, found bool) {
	if !r.retired.some.Load() {
		return retired{}, false
	}
	if as, found = r.retiredToken(model.HashToken(token)); found {
		return as, found
	}
	said, describes := model.Describe(token)
	now := r.store.Now()
	if ends := said.Claims.ExpiresAt(); !describes || !ends.IsZero() && !now.Before(ends) {
		return retired{}, false
	}
	r.retired.mu.Lock()
	defer r.retired.mu.Unlock()
	as, found = r.retired.sessions[said.Claims.SessionID]
	return as, found && !as.over(now)
}

// forget drops what the homeserver cannot remember any more.
func (t *retirement) forget(now time.Time) {
	if !t.some.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.tokens, func(_ model.TokenHash, as retired) bool { return as.over(now) })
	maps.DeleteFunc(t.sessions, func(_ string, as retired) bool { return as.over(now) })
	t.some.Store(len(t.tokens)+len(t.sessions) > 0)
}
