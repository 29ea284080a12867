package model

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
	"time"
)

// TokenKind tells the API that a token belongs to, and whether it grants access or mints successors.
type TokenKind string

// The kinds of token. The values are stored.
const (
	CompatAccess  TokenKind = "compat_access"
	CompatRefresh TokenKind = "compat_refresh"
	OAuthAccess   TokenKind = "oauth_access"
	OAuthRefresh  TokenKind = "oauth_refresh"
)

// Refresh reports whether the token is a refresh token.
func (k TokenKind) Refresh() bool { return k == CompatRefresh || k == OAuthRefresh }

// prefixes are the visible beginnings of tokens, the same as those of matrix-authentication-service,
// so that secret scanners and importers know them.
var prefixes = map[TokenKind]string{
	CompatAccess:  "mct",
	CompatRefresh: "mcr",
	OAuthAccess:   "mat",
	OAuthRefresh:  "mar",
}

const (
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLength = 30 // 178 bits
	sumLength    = 6
)

// TokenHash is what is stored of a token: its SHA-256. A token has 178 random bits, so neither salt
// nor stretching would add anything (TOK-21, KEY-4).
type TokenHash [sha256.Size]byte

// HashToken hashes a token for storage and look-up.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// NewToken makes a token of the kind: prefix, 30 random letters or digits, and a checksum which lets
// scanners and us recognise a token without asking the store (TOK-22).
func NewToken(kind TokenKind) string {
	body := prefixes[kind] + "_" + randomString(base62, randomLength)
	return body + "_" + checksum(body)
}

// AnswerCode is the authorization code for a request that a browser answered. It follows from the value of
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

// ParseToken tells the kind of a token by its form alone. It reports false for anything that we
// cannot have made; such a string needs no look-up.
func ParseToken(token string) (TokenKind, bool) {
	const prefixLength = 3
	if len(token) != prefixLength+1+randomLength+1+sumLength {
		return "", false
	}
	bodyLength := prefixLength + 1 + randomLength
	body, sum := token[:bodyLength], token[bodyLength+1:]
	if token[prefixLength] != '_' || token[bodyLength] != '_' || sum != checksum(body) {
		return "", false
	}
	for _, c := range []byte(body[prefixLength+1:]) {
		if strings.IndexByte(base62, c) < 0 {
			return "", false
		}
	}
	for kind, prefix := range prefixes {
		if body[:prefixLength] == prefix {
			return kind, true
		}
	}
	return "", false
}

// checksum is CRC-32 in base 62, least significant digit first, then padded on the left with zeros
// to six characters: the form that matrix-authentication-service uses.
func checksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	digits := make([]byte, 0, sumLength)
	for ; n > 0; n /= 62 {
		digits = append(digits, base62[n%62])
	}
	return strings.Repeat("0", sumLength-len(digits)) + string(digits)
}

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

	UserID    string
	Localpart string
	DeviceID  string
	Scope     string
	// ClientID is the OAuth client; empty in a compatibility session.
	ClientID string
}

// Owner says whose a token is or was, as far as that is known. It is for the log.
type Owner struct{ UserID, Localpart, DeviceID string }

// Owner says whose the token is.
func (t Token) Owner() Owner { return Owner{t.UserID, t.Localpart, t.DeviceID} }

// Expired reports whether the token's life is over at now.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }
