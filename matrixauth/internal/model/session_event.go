package model

// SessionEvent is something that happens to sessions out of the ordinary, for metrics.
type SessionEvent string

// The events of sessions.
const (
	// TakenRowless is a token that was taken although the database had no row of it.
	TakenRowless SessionEvent = "rowless"
	// SessionLost is a request that was told to wait, as the database may have forgotten its session.
	SessionLost SessionEvent = "lost"
	// TokenUnproven is a request that was told to wait, as the key that proves its token may be lost too.
	TokenUnproven SessionEvent = "unproven"
	// TwiceAtOnce is a session that was found to be used from two places at once.
	TwiceAtOnce SessionEvent = "twice_at_once"
	// SoftEnd is a session that ended softly.
	SoftEnd SessionEvent = "soft_end"
)

// SessionEvents lists all of them.
var SessionEvents = []SessionEvent{TakenRowless, SessionLost, TokenUnproven, TwiceAtOnce, SoftEnd}
