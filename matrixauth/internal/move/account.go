package move

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Account is all that another server has of one of its users. It travels as JSON. A zero time is one that is not known.
type Account struct {
	// Name is the Matrix id. A Source gives accounts in the order of its bytes.
	Name string `json:"name"`
	// Localpart is that of Name, exactly as it is there, although we might refuse to make it.
	Localpart string    `json:"localpart"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Admin     bool      `json:"admin,omitempty"`
	Locked    bool      `json:"locked,omitempty"`
	// Deactivated accounts bring nothing but their name, which stays reserved. Erased is one that asked for that too.
	Deactivated bool `json:"deactivated,omitempty"`
	Erased      bool `json:"erased,omitempty"`
	// Waiting is an account that an administrator there has not approved yet.
	Waiting bool `json:"waiting,omitempty"`
	// PasswordHash is the hash as it is there, in a form that package password verifies; empty for an account without one.
	PasswordHash string `json:"password_hash,omitempty"`
	// Pepper tells peppers apart with which hashes were made: see WithPepper.
	Pepper   []byte     `json:"pepper,omitempty"`
	Emails   []Address  `json:"emails,omitempty"`
	Others   []Threepid `json:"others,omitempty"`
	Links    []Link     `json:"links,omitempty"`
	Terms    []Terms    `json:"terms,omitempty"`
	Sessions []Session  `json:"sessions,omitempty"`
}

// Address is a confirmed mail address.
type Address struct {
	Address string    `json:"address"`
	AddedAt time.Time `json:"added_at,omitzero"`
}

// Threepid is a third-party id other than a mail address, such as a phone number ("msisdn").
type Threepid struct {
	Medium  string    `json:"medium"`
	Address string    `json:"address"`
	AddedAt time.Time `json:"added_at,omitzero"`
}

// Link ties an account to one at an identity provider, named as the other server names it ("oidc-github").
type Link struct {
	Provider string `json:"provider"`
	Subject  string `json:"subject"`
}

// Terms is a version of the terms that a user accepted.
type Terms struct {
	Version    string    `json:"version"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
}

// Session is a device on which a user is signed in, or a token without a device.
type Session struct {
	// DeviceID is empty for a token without a device, which is a session of its own.
	DeviceID     string    `json:"device_id,omitempty"`
	DeviceName   string    `json:"device_name,omitempty"`
	LastActiveAt time.Time `json:"last_active_at,omitzero"`
	LastIP       string    `json:"last_ip,omitempty"`
	UserAgent    string    `json:"user_agent,omitempty"`
	// EndsAt is when the session is over, however it is refreshed (Synapse's session_lifetime); zero for never.
	EndsAt time.Time `json:"ends_at,omitzero"`
	Tokens []Token   `json:"tokens"`
}

// Token is a token that goes on working. Only its hash leaves the Source.
type Token struct {
	Hash    model.TokenHash `json:"hash"`
	Refresh bool            `json:"refresh,omitempty"`
	// Generation and Pair are as in model.Token: a refresh token that was consumed and may still be exchanged is of
	// generation 0, and what it minted of generation 1, with the hash of the consumed one as Parent.
	Generation int64           `json:"generation,omitempty"`
	Pair       int64           `json:"pair"`
	Parent     model.TokenHash `json:"parent,omitzero"`
	// ExpiresAt is zero for a token that does not expire.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Used reports whether an access token was presented already.
	Used bool `json:"used,omitempty"`
}

// RegistrationToken entitles to a registration.
type RegistrationToken struct {
	Token string `json:"token"`
	// Uses is how often it may be used, nil without a limit, and Used how often it was.
	Uses      *int64    `json:"uses,omitempty"`
	Used      int64     `json:"used,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}
