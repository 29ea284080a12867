package model

import (
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// RegistrationState says how far a registration of an account is. The values are stored.
type RegistrationState string

// The states of a Registration.
const (
	// RegistrationOpen is one whose person is asked for more. It reserves nothing.
	RegistrationOpen RegistrationState = "open"
	// RegistrationWaiting is one that is complete and waits for an operator. Its name is reserved.
	RegistrationWaiting RegistrationState = "waiting"
	// RegistrationApproved and RegistrationRejected are what an operator decided.
	RegistrationApproved RegistrationState = "approved"
	RegistrationRejected RegistrationState = "rejected"
	// RegistrationDone is one that made an account at once.
	RegistrationDone RegistrationState = "done"
)

// Registration is an account that somebody asks for, with what they have typed so far. It is not a registration of an
// OAuth client.
type Registration struct {
	// ID is random and stands in addresses; it is of no use in another browser.
	ID    string
	State RegistrationState
	// Browser is the hash of the cookie of the browser that it is bound to.
	Browser TokenHash
	// Localpart is the name that was free when it was typed; LostLocalpart is one that somebody else got since.
	Localpart, LostLocalpart string
	// PasswordHash is the hash of the password, of which nothing else is kept; PasswordAt is when it was typed.
	PasswordHash string
	PasswordAt   time.Time
	DisplayName  string
	// Email is the address that was proven, once the registration is complete; before that the verification has it.
	Email Email
	// EmailSkipped reports whether the person wanted to give no address.
	EmailSkipped bool
	// TokenID is the registration token that let the person in; empty for none.
	TokenID string
	// Terms is the version of the terms that was accepted; empty for none.
	Terms string
	// UserID is the account that came of it; empty for none.
	UserID string
	// Language is the BCP 47 tag of the pages, for mails.
	Language string
	// IP is where it came from, Network the site of that (see Site).
	IP, Network string
	CreatedAt   time.Time
	// FinishedAt is when the state was last changed from RegistrationOpen or RegistrationWaiting; zero before.
	FinishedAt time.Time
	// ExpiresAt is when the row goes.
	ExpiresAt time.Time
	// Existing is one of a name that the homeserver has already: it waited for an administrator there.
	Existing bool
}

// NewRegistrationID makes the id of a registration, which stands in addresses: 131 random bits.
func NewRegistrationID() string { return randomString(base62, 22) }

// IsRegistrationID reports whether NewRegistrationID can have made an id.
func IsRegistrationID(id string) bool { return len(id) == 22 && strings.Trim(id, base62) == "" }

// RegistrationToken is an invitation to register (m.login.registration_token). The token itself is sealed.
type RegistrationToken struct {
	ID     string
	Hash   TokenHash
	Sealed []byte
	// Uses is how many accounts it is good for, Used how many were made; Uses is zero for any number.
	Uses, Used int64
	// Localpart and Email are the name and the address that it fixes; empty for those that the person chooses.
	Localpart, Email string
	CreatedAt        time.Time
	// ExpiresAt and RevokedAt are zero for one that does not expire, and is not revoked.
	ExpiresAt, RevokedAt time.Time
}

// State returns "valid", or why the token lets nobody in any more: "revoked", "expired" or "used".
func (t RegistrationToken) State(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return "expired"
	case t.Uses > 0 && t.Used >= t.Uses:
		return "used"
	}
	return "valid"
}

// Valid reports whether the token lets somebody in.
func (t RegistrationToken) Valid(now time.Time) bool { return t.State(now) == "valid" }

// registrationTokenMarks are what a registration token may hold beside letters and digits (opaque identifiers,
// Matrix appendices).
const registrationTokenMarks = "._~-"

// CheckRegistrationToken checks the grammar of a registration token (CREATE-7). Its error has the code InvalidParam.
func CheckRegistrationToken(token string) error {
	if token == "" || len(token) > bound.RegistrationToken || strings.Trim(token, base62+registrationTokenMarks) != "" {
		return Errorf(InvalidParam, "a registration token has 1 to %d characters of A-Z, a-z, 0-9 and . _ ~ -", bound.RegistrationToken)
	}
	return nil
}

// NewRegistrationToken makes a token that nobody guesses and that can be typed: 16 letters and digits, 95 bits.
func NewRegistrationToken() string { return randomString(base62, 16) }

// AcceptedTerms is a version of the terms of service that an account accepted.
type AcceptedTerms struct {
	Version string
	At      time.Time
}
