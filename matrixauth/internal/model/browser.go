package model

import (
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Source is where a request came from, as far as a session keeps it. It is not the origin of a web page, which the
// header Origin tells.
type Source struct {
	IP        string
	UserAgent string
}

// BrowserSession is a person signed in at our pages. It is not a session of the Matrix API: it has no
// device, and ending the one leaves the other alone (SESS-8).
type BrowserSession struct {
	ID     string
	UserID string
	// AuthenticatedAt is the time at which the person last proved who they are, and Methods are those that they
	// used then.
	AuthenticatedAt time.Time
	Methods         []Method
	CreatedAt       time.Time
	LastActiveAt    time.Time
	LastIP          string
	UserAgent       string
	EndedAt         time.Time
	EndReason       EndReason
}

// Ended reports whether the session is over.
func (s BrowserSession) Ended() bool { return !s.EndedAt.IsZero() }

// Proved reports whether the person gave their password a moment ago.
func (s BrowserSession) Proved(now time.Time) bool {
	return now.Sub(s.AuthenticatedAt) <= bound.ProofLife
}

// NewBrowserValue makes the value of a browser's cookie: 30 random letters or digits, 178 bits
// (SESS-1). It is stored as its hash only.
func NewBrowserValue() string { return randomString(base62, randomLength) }

// IsBrowserValue reports whether NewBrowserValue can have made a value; any other needs no look-up, and
// is not a key for the tokens of forms.
func IsBrowserValue(value string) bool {
	return len(value) == randomLength && strings.Trim(value, base62) == ""
}
