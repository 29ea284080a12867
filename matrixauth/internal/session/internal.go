package session

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	// InternalLife is how long an internal token lives at most. The homeserver honours it no longer, though
	// it remembers our answer: the answer says when the token expires.
	InternalLife = 10 * time.Second
	// maxInternal bounds the internal tokens that live at a time.
	maxInternal = 64
)

// internalTokens are access tokens of ours that belong to no session: for seconds, to read from the
// homeserver what its API for us does not tell. They are in memory alone. Only the homeserver is told of
// them, when it asks with the shared secret; the public gateway refuses them as it does those of ended
// sessions.
type internalTokens struct {
	mu     sync.Mutex
	tokens map[model.TokenHash]model.Token
}

// MintInternal makes an internal token for a user that grants scope, on no device. The caller drops it
// once it has its answer. The error, of kind Unavailable, means that too many live.
func (s *Sessions) MintInternal(user model.User, scope string) (token string, drop func(), err error) {
	return s.config.Registry.mintInternal(user, scope)
}

func (r *Registry) mintInternal(user model.User, scope string) (token string, drop func(), err error) {
	token = model.InternalPrefix + rand.Text()
	hash, now := model.HashToken(token), r.store.Now()
	r.internal.mu.Lock()
	defer r.internal.mu.Unlock()
	for old, t := range r.internal.tokens {
		if t.Expired(now) {
			delete(r.internal.tokens, old)
		}
	}
	if len(r.internal.tokens) == maxInternal {
		return "", nil, model.NewError(model.TemporarilyDown).WithCause(errors.New("too many internal tokens live"))
	}
	if r.internal.tokens == nil {
		r.internal.tokens = map[model.TokenHash]model.Token{}
	}
	row := model.Token{
		Hash: hash, Kind: model.InternalAccess, SessionID: "internal", CreatedAt: now, ExpiresAt: now.Add(InternalLife),
		UserID: user.ID, Localpart: user.Localpart, Scope: scope, ClientID: "internal",
	}
	r.internal.tokens[hash] = row
	r.retireToken(hash, retired{owner: row.Owner(), at: now})
	return token, func() {
		r.internal.mu.Lock()
		defer r.internal.mu.Unlock()
		delete(r.internal.tokens, hash)
	}, nil
}

// findInternal finds a live internal token. It returns an Error with code UnknownToken for any other.
func (r *Registry) findInternal(token string) (model.Token, error) {
	r.internal.mu.Lock()
	defer r.internal.mu.Unlock()
	t, ok := r.internal.tokens[model.HashToken(token)]
	if !ok || t.Expired(r.store.Now()) {
		return model.Token{}, unknownToken()
	}
	return t, nil
}
