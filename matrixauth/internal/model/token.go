package model

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/big"
	"time"
)

// AnswerCode returns the authorization code for a request that a browser answered. It follows from the value of
// the browser's cookie, which no page and no other site ever sees, so that a browser which asks again is
// given the same one although nothing but its hash is kept; to everybody else it has as many random bits as
// a token (AUTHZ-14). browserValue must be one of NewBrowserValue.
func AnswerCode(browserValue, requestID string) string {
	mac := hmac.New(sha256.New, []byte(browserValue))
	mac.Write([]byte("matrix-auth authorization code\x00" + requestID))
	n, digit, base := new(big.Int).SetBytes(mac.Sum(nil)), new(big.Int), big.NewInt(int64(len(base62)))
	code := make([]byte, randomLength)
	for i := range code { // of 256 bits the lowest 178: no digit is likelier than another by more than 2^-78
		n.DivMod(n, base, digit)
		code[i] = base62[digit.Int64()]
	}
	return string(code)
}

// NewRequestID makes the id of an authorization request, which stands in addresses: 131 random bits,
// so that nobody meets another's request.
func NewRequestID() string { return randomString(base62, 22) }

// Token is the stored row of a token. UserID, Localpart, DeviceID and Scope never change during the
// life of a session, so the row carries copies: introspection, the busiest question of all, reads
// this one row and no other.
type Token struct {
	Hash      TokenHash
	Kind      TokenKind
	SessionID string
	// Generation counts refreshes of the session: a login mints generation 0, and a refresh token of
	// generation g mints tokens of g+1.
	Generation int64
	// Pair numbers the pairs of access and refresh token that the session minted, from 1.
	Pair int64
	// Parent is the hash of the refresh token that minted this one; the zero hash at generation 0.
	Parent    TokenHash
	CreatedAt time.Time
	// ExpiresAt is zero for a token that does not expire.
	ExpiresAt time.Time
	// UsedAt is the time at which an access token was first presented; zero before. A refresh token
	// was first presented when its first child was created.
	UsedAt time.Time

	// Places are where a refresh token was minted and where its parent was.
	Places Places

	UserID    string
	Localpart string
	DeviceID  string
	Scope     string
	// ClientID is the OAuth client; empty in a compatibility session.
	ClientID string

	// Imported reports, with a refresh token, that another server made it.
	Imported bool
	// Rowless reports that the store has no row of the token, and that it proves itself what it is.
	Rowless bool
	// Narrowed reports that a rowless token grants less than its session; how much, only its row said.
	Narrowed bool
	// KnownGeneration is, with a rowless token, the newest generation of the session that the store knows of.
	KnownGeneration int64
}

// Owner says whose a token is or was, as far as that is known. It is for the log.
type Owner struct{ UserID, Localpart, DeviceID string }

// Owner returns whose the token is.
func (t Token) Owner() Owner { return Owner{t.UserID, t.Localpart, t.DeviceID} }

// Expired reports whether the token's life is over at now.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }
