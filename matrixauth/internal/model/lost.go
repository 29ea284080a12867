package model

import "time"

// LostSession is a session that the database does not know although a client has a token that this server made for it:
// the database may have forgotten it, as it does if a backup is put back.
type LostSession struct {
	// ID is a ULID, which says when the session began.
	ID   string
	Kind SessionKind
	// FirstSeenAt and LastSeenAt are when one of its tokens was first and last presented.
	FirstSeenAt, LastSeenAt time.Time
	// Refreshes and Introspections count how its tokens were presented.
	Refreshes, Introspections int64
	// LastIP and UserAgent are of the last refresh: beside the id they are all that tells whose the session is.
	LastIP, UserAgent string
	// EndedAt is when the holder of a token ended it; zero if nobody did.
	EndedAt time.Time
}

// BeganAt is when the session began, in milliseconds.
func (s LostSession) BeganAt() time.Time { return IDTime(s.ID) }
