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
	// compare: two lines of refreshes go on at once. The token mints if it comes from where the others do.
	compare
	// replay: the token was consumed and its successor is in use. Somebody else has a copy: the
	// session ends (REF-5, RFC 9700 section 4.14.2).
	replay
)

// standing is how a refresh token of generation g stands among the tokens of its session, which is all that the
// verdict on it depends upon.
type standing struct {
	// Consumed reports whether a token that this very token minted has been used.
	Consumed bool
	// FirstAt is the time at which a token of generation g+1 was first used; zero if none was.
	FirstAt time.Time
	// Forgotten reports whether a token of g+1 was used so long ago that its row is gone.
	Forgotten bool
	// Tidied reports whether the row of the token is gone because later generations are in use. Then it may have been
	// consumed although no row tells.
	Tidied bool
	// Parted reports whether a token of g was used that another parent minted.
	Parted bool
	Now    time.Time
}

// over reports whether the token's turn is over: the next generation has been in use for the time of grace. A clock
// that stepped back makes the difference negative, and the token is given the benefit.
func (s standing) over() bool {
	return s.Forgotten || !s.FirstAt.IsZero() && s.Now.Sub(s.FirstAt) >= bound.RefreshGrace
}

// verdict is the state machine of refresh. docs/sessions.md draws it.
func (s standing) verdict() verdict {
	switch {
	case s.over() && s.Consumed:
		return replay
	case s.over() || s.Parted:
		return compare
	}
	return mint
}
