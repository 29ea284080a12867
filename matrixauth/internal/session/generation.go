package session

import "time"

// grace is how long after the first use of a successor a refresh token still mints another: two
// tabs or two processes of one phone race with the same token (REF-6).
const grace = 60 * time.Second

// siblings bounds the unused pairs that are kept of one generation (REF-4).
const siblings = 16

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

// presented is what the verdict on a refresh token of generation g depends upon.
type presented struct {
	// Consumed reports whether a token that this very token minted has been used.
	Consumed bool
	// SuccessorUsed is the time at which a token of generation g+1 was first used; zero if none was.
	SuccessorUsed time.Time
	// SuccessorPassed reports whether a token of g+1 was used so long ago that its row is gone.
	SuccessorPassed bool
	Now             time.Time
}

// judge is the state machine of refresh. docs/sessions.md draws it.
func judge(p presented) verdict {
	unused := p.SuccessorUsed.IsZero() && !p.SuccessorPassed
	// A clock that stepped back makes the difference negative, and the token is given the benefit.
	racing := !p.SuccessorUsed.IsZero() && p.Now.Sub(p.SuccessorUsed) < grace
	if unused || racing {
		return mint
	}
	if p.Consumed {
		return replay
	}
	return refuse
}
