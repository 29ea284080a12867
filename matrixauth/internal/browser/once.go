package browser

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// signIns remembers for bound.DoubleSubmit which sign-in a form led to. It is in memory alone, and holds no more than
// as many people as proved their password in that time.
type signIns struct {
	mu   sync.Mutex
	made map[form]*signIn
}

// form is a form for signing in that a browser was shown, told by the hash of the cookie that it had then, with who
// signed in by it.
type form struct {
	cookie model.TokenHash
	userID string
}

// signIn is what one form led to.
type signIn struct {
	// mu is held while a session is begun, so that the same form waits for it.
	mu sync.Mutex
	// at is when the form was first sent; start is what the browser was given, once that is committed.
	at    time.Time
	start Start
}

// of returns the sign-in of a form, which may be a new one.
func (s *signIns) of(f form, now time.Time) *signIn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[form]*signIn{}
	}
	for other, one := range s.made {
		if now.Sub(one.at).Abs() > bound.DoubleSubmit {
			delete(s.made, other)
		}
	}
	one := s.made[f]
	if one == nil {
		one = &signIn{at: now}
		s.made[f] = one
	}
	return one
}

// StartOnce is Start for a form, which a browser sends twice if somebody clicks twice. The second time, within
// bound.DoubleSubmit, no other session begins, which the browser would have no cookie for: StartOnce returns the Value
// and the Device of the first one. Whoever gets them has proved the password of the same user, in a browser with the
// same cookie.
func (b *Browsers) StartOnce(ctx context.Context, p Start) (Start, error) {
	one := b.signIns.of(form{model.HashToken(p.Replaced), p.Proof.User.ID}, b.store.Now())
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.start.Value != "" {
		lives := false
		err := b.store.View(ctx, func(tx *store.Tx) error {
			_, _, err := b.In(tx, one.start.Value)
			lives = err == nil
			if errors.Is(err, model.NotSignedIn) {
				return nil
			}
			return err
		})
		if err != nil {
			return Start{}, err
		}
		if lives {
			return one.start, nil
		}
	}
	if _, err := b.Start(ctx, p); err != nil {
		return Start{}, err
	}
	one.start = p
	return p, nil
}
