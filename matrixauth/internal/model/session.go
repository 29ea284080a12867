package model

import (
	"crypto/rand"
	"time"
)

// SessionKind tells how a session came to be.
type SessionKind string

// The kinds of session. The values are stored.
const (
	// CompatSession was started by the legacy login API or by an operator's "token issue".
	CompatSession SessionKind = "compat"
	// OAuthSession was started by an OAuth client.
	OAuthSession SessionKind = "oauth"
)

// SessionKinds lists every kind of session.
var SessionKinds = []SessionKind{CompatSession, OAuthSession}

// Tokens returns the kinds of token that sessions of the kind have.
func (k SessionKind) Tokens() (access, refresh TokenKind) {
	if k == OAuthSession {
		return OAuthAccess, OAuthRefresh
	}
	return CompatAccess, CompatRefresh
}

// EndReason tells why a session ended. The values are stored and shown to operators.
type EndReason string

// The reasons for which a session ends.
const (
	EndLogout    EndReason = "logout"
	EndLogoutAll EndReason = "logout_all"
	EndReplaced  EndReason = "device_replaced"
	// EndByOperator keeps the value of the time when the command was called "session kill".
	EndByOperator  EndReason = "killed_by_operator"
	EndDeactivated EndReason = "user_deactivated"
	// EndReplay is a session of which a refresh token came again long after its successor was used.
	EndReplay EndReason = "refresh_token_replayed"
	// EndApart is a session that two refreshed, from networks that have nothing to do with each other.
	EndApart      EndReason = "refreshed_in_two_places"
	EndRevoked    EndReason = "revoked"
	EndCodeReplay EndReason = "code_replayed"
	EndSignedOut  EndReason = "signed_out"
	EndPassword   EndReason = "password_changed"
	EndIdle       EndReason = "idle"
	// EndDeviceMissing is a session whose device the homeserver no longer had when the database went back in time.
	EndDeviceMissing EndReason = "device_missing"
	// EndOverdue is a session whose time was over: it came from a server that gives sessions an end.
	EndOverdue EndReason = "session_lifetime"
	// EndDeviceDeleted is a session whose device the homeserver deleted of its own accord.
	EndDeviceDeleted EndReason = "device_deleted"
)

// Withdrawal says whose remembered consents of a user go with a session that ends.
type Withdrawal int

// The withdrawals.
const (
	// WithdrawNone leaves consents alone.
	WithdrawNone Withdrawal = iota
	// WithdrawClient takes those to the session's client, and the codes that were given by them.
	WithdrawClient
	// WithdrawAll takes those to every client, and every code.
	WithdrawAll
)

// Withdraws returns what the end of a session for this reason does to remembered consents. Who signs an app
// out, or has an operator do so, here or at the homeserver, does not mean it to be in again without a
// question. What ends softly takes nothing: its owner is to come back by the shortest way. A device that signs in anew, and one that nobody used, tell nothing of what its owner
// thinks of the app. A new password and a deactivation mean everything that was granted before.
func (r EndReason) Withdraws() Withdrawal {
	switch r {
	case EndLogout, EndLogoutAll, EndByOperator, EndRevoked, EndSignedOut, EndDeviceDeleted:
		return WithdrawClient
	case EndPassword, EndDeactivated:
		return WithdrawAll
	case EndReplaced, EndIdle, EndReplay, EndApart, EndCodeReplay, EndDeviceMissing, EndOverdue:
		return WithdrawNone
	}
	return WithdrawClient // a reason that nobody decided about
}

// Soft reports whether the server ended the session of its own accord, because somebody else may have its secrets or its
// time was over. Its owner did nothing: the device stays at the homeserver for bound.KeepEndedSession unless a sign-in takes it, and
// clients are told to keep their keys (soft_logout). Hard is only what a person, an operator or the homeserver ended.
func (r EndReason) Soft() bool {
	return r == EndReplay || r == EndApart || r == EndCodeReplay || r == EndDeviceMissing || r == EndOverdue
}

// EndReasons lists every reason, for tests that range over them.
var EndReasons = []EndReason{
	EndLogout, EndLogoutAll, EndReplaced, EndByOperator, EndDeactivated, EndReplay, EndApart, EndRevoked, EndCodeReplay, EndSignedOut, EndPassword, EndIdle,
	EndDeviceDeleted, EndDeviceMissing, EndOverdue,
}

// Session is a sign-in of a user on a device. It lives until it is ended; its tokens are rows of
// their own.
type Session struct {
	ID     string
	Kind   SessionKind
	UserID string
	// DeviceID is empty for a session that has no device, which only administration may have.
	DeviceID   string
	DeviceName string
	Scope      string
	// ClientID is the OAuth client; empty for a compatibility session.
	ClientID string
	// BrowserSessionID is the browser session in which the user approved; empty if there was none.
	BrowserSessionID string
	// Generation is the highest generation of tokens minted so far; UsedGeneration the highest of
	// which a token has been used.
	Generation     int64
	UsedGeneration int64
	// Pairs is how many pairs of tokens were minted so far.
	Pairs        int64
	CreatedAt    time.Time
	LastActiveAt time.Time
	LastIP       string
	UserAgent    string
	EndedAt      time.Time
	EndReason    EndReason
	// TwiceAt is when two parties were last found to refresh the session at once; zero if they never were. It may be a
	// second window of the owner's.
	TwiceAt time.Time
	// EndsAt is when the session is over, however it is refreshed; zero for never.
	EndsAt time.Time
	// Seed is what the session's tokens are proven by beside the key of the server; empty in a session of before
	// there were keys.
	Seed Seed
}

// Seed is a secret of a session that never leaves the store but to prove tokens.
type Seed []byte

// NewSeed makes a seed.
func NewSeed() Seed {
	seed := make(Seed, 16)
	_, _ = rand.Read(seed) // never fails: it ends the process instead
	return seed
}

// String hides the seed.
func (Seed) String() string { return "a seed" }

// GoString is String.
func (s Seed) GoString() string { return s.String() }

// Ended reports whether the session is over.
func (s Session) Ended() bool { return !s.EndedAt.IsZero() }

// Overdue reports whether the session's time is over at now, although nobody may have ended it yet.
func (s Session) Overdue(now time.Time) bool { return !s.EndsAt.IsZero() && !now.Before(s.EndsAt) }

// EndedSoftly reports whether the session is over and its client is to keep its keys.
func (s Session) EndedSoftly() bool { return s.Ended() && s.EndReason.Soft() }
