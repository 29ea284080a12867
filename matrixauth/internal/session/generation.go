package session

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// verdict is what becomes of a refresh token that was presented.
type verdict int

const (
	// mint: the token yields a new pair of the next generation.
	mint verdict = iota
	// refuse: the token's turn is over, but it was never consumed; it may be an old sibling that a
	// slow client kept. The session lives on.
	refuse
	// replay: the token was consumed and its successor is in use. Somebody else has a copy: the
	// session ends (REF-5, RFC 9700 section 4.14.2).
	replay
)

// successorUse is what has become of the tokens that follow a refresh token of generation g, which is all that the
// verdict on it depends upon.
type successorUse struct {
	// Own reports whether a token that this very token minted has been used.
	Own bool
	// FirstAt is the time at which a token of generation g+1 was first used; zero if none was.
	FirstAt time.Time
	// Forgotten reports whether a token of g+1 was used so long ago that its row is gone.
	Forgotten bool
	Now       time.Time
}

// verdict is the state machine of refresh. docs/sessions.md draws it.
func (u successorUse) verdict() verdict {
	unused := u.FirstAt.IsZero() && !u.Forgotten
	// A clock that stepped back makes the difference negative, and the token is given the benefit.
	racing := !u.FirstAt.IsZero() && u.Now.Sub(u.FirstAt) < bound.RefreshGrace
	if unused || racing {
		return mint
	}
	if u.Own {
		return replay
	}
	return refuse
}
