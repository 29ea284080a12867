package browser

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Renew gives the live session of a cookie's value another value, with the proof that led to it, and returns the session.
// Whoever else has the old value has nothing any more (SESS-2). It returns an Error with code NotSignedIn if the value is none
// of a live session of that user.
func (b *Browsers) Renew(tx *store.Tx, value, other string, p model.Proof) (s model.BrowserSession, err error) {
	s, who, err := b.In(tx, value)
	if err != nil {
		return s, err
	}
	if who.ID != p.User.ID {
		return s, notSignedIn()
	}
	if err := tx.RenewBrowserSession(s.ID, model.HashToken(other)); err != nil {
		return s, err
	}
	return s, tx.ProveBrowserSession(s.ID, p)
}

// renewals remembers for bound.DoubleSubmit which value a browser was given in place of another. It is in memory alone, and
// holds no more than as many browsers as are signed in and sent a form in that time.
type renewals struct {
	mu   sync.Mutex
	made map[model.TokenHash]*renewal
}

// renewal is what the forms led to that came with one value.
type renewal struct {
	// turn holds a token while a form is worked on.
	turn chan struct{}
	at   time.Time
	// value is what the browser was given, once that is committed, and mark tells the form that led to it.
	value string
	mark  []byte
}

// of returns the renewal of a value, which may be a new one if create says so.
func (r *renewals) of(value string, now time.Time, create bool) *renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, one := range r.made {
		if now.Sub(one.at).Abs() > bound.DoubleSubmit {
			delete(r.made, other)
		}
	}
	key := model.HashToken(value)
	one := r.made[key]
	if one == nil && create {
		if r.made == nil {
			r.made = map[model.TokenHash]*renewal{}
		}
		one = &renewal{turn: make(chan struct{}, 1), at: now}
		r.made[key] = one
	}
	return one
}

// RenewOnce has a form do its work, which ends with another value for the browser. A browser sends a form twice if somebody
// clicks twice: then the second one, within bound.DoubleSubmit, does nothing and returns the value of the first. form is what was
// sent, and tells forms apart; it is not kept. Without work, which is for callers that know no more than the value, only a form
// that was done already has an answer. It returns an Error with code NotSignedIn for a form whose value is not the browser's
// any more.
func (b *Browsers) RenewOnce(ctx context.Context, value string, form []byte, work func() (string, error)) (string, error) {
	one := b.renewals.of(value, b.store.Now(), work != nil)
	if one == nil {
		return "", notSignedIn()
	}
	select {
	case one.turn <- struct{}{}:
		defer func() { <-one.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	switch {
	case one.value != "" && hmac.Equal(one.mark, markOf(one.value, form)):
		return one.value, nil
	case one.value != "" || work == nil:
		return "", notSignedIn()
	}
	other, err := work()
	if err == nil {
		one.value, one.mark = other, markOf(other, form)
	}
	return other, err
}

// markOf tells a form by a key that is worth more than what is in the form.
func markOf(value string, form []byte) []byte {
	mac := hmac.New(sha256.New, []byte(value))
	mac.Write(form)
	return mac.Sum(nil)
}
