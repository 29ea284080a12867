package model

import (
	"crypto/sha256"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// TokenKind tells the API that a token belongs to, and whether it grants access or mints successors.
type TokenKind string

// The kinds of token. The values of those with rows are stored.
const (
	CompatAccess  TokenKind = "compat_access"
	CompatRefresh TokenKind = "compat_refresh"
	OAuthAccess   TokenKind = "oauth_access"
	OAuthRefresh  TokenKind = "oauth_refresh"
	// InternalAccess is an access token of no session, by which we ask the homeserver something ourselves.
	InternalAccess TokenKind = "internal_access"
	// DoctorProbe is a bogus token by which a doctor learns that the homeserver asks us.
	DoctorProbe TokenKind = "doctor_probe"
)

// The beginnings of what looks like a token and belongs to no session.
const (
	InternalPrefix = "matrix-auth-internal-"
	ProbePrefix    = "matrix-auth-doctor-"
)

// tokenKind is a row of the catalogue of tokens: everything that follows from the form of a token alone.
type tokenKind struct {
	kind TokenKind
	// prefix is the visible beginning. No two kinds share one.
	prefix string
	// wellFormed reports whether a token that begins with the prefix can be one of the kind.
	wellFormed func(token string) bool
	// refresh reports whether the token mints successors, and grants no access itself.
	refresh bool
	// stored reports whether a live token of the kind has a row, found by its hash.
	stored bool
	// minted reports whether NewToken makes the kind and nobody else does: one without a row can never live again.
	minted bool
}

// tokenKinds is the catalogue. The prefixes of our own tokens are those of matrix-authentication-service, so that
// secret scanners and importers know them.
var tokenKinds = []tokenKind{
	{kind: CompatAccess, prefix: "mct_", wellFormed: ours, stored: true, minted: true},
	{kind: CompatRefresh, prefix: "mcr_", wellFormed: ours, refresh: true, stored: true, minted: true},
	{kind: OAuthAccess, prefix: "mat_", wellFormed: ours, stored: true, minted: true},
	{kind: OAuthRefresh, prefix: "mar_", wellFormed: ours, refresh: true, stored: true, minted: true},
	{kind: InternalAccess, prefix: InternalPrefix, wellFormed: anyText},
	{kind: DoctorProbe, prefix: ProbePrefix, wellFormed: anyText},
}

// ParseToken returns the kind of a token by its form alone. It reports false for anything that is of no kind; such
// a string needs no look-up.
func ParseToken(token string) (TokenKind, bool) {
	for _, row := range tokenKinds {
		if strings.HasPrefix(token, row.prefix) && row.wellFormed(token) {
			return row.kind, true
		}
	}
	return "", false
}

// StoredToken returns the kind of a token that may have a row, judged by its form alone, and reports false for any
// other string.
func StoredToken(token string) (TokenKind, bool) {
	kind, ok := ParseToken(token)
	return kind, ok && kind.row().stored
}

// ImportedToken reports whether a string may be a token that another server gave out and whose session came from there,
// judged by its form alone. Nearly everything may: only its row tells.
func ImportedToken(token string) bool {
	if token == "" || len(token) > bound.ImportedToken {
		return false
	}
	_, ours := ParseToken(token)
	return !ours
}

// MintedToken reports whether only we can have made a token, judged by its form alone: one that has no row is dead
// for good. Others may be tokens of application services, which the homeserver knows, or of sessions that came from there.
func MintedToken(token string) bool {
	kind, ok := ParseToken(token)
	return ok && kind.row().minted
}

// AccessKinds lists the kinds of access tokens that have rows.
func AccessKinds() (kinds []TokenKind) {
	for _, row := range tokenKinds {
		if row.stored && !row.refresh {
			kinds = append(kinds, row.kind)
		}
	}
	return kinds
}

// Refresh reports whether the token is a refresh token.
func (k TokenKind) Refresh() bool { return k.row().refresh }

// row finds a kind in the catalogue. One that is not there has the empty row.
func (k TokenKind) row() tokenKind {
	if i := slices.IndexFunc(tokenKinds, func(row tokenKind) bool { return row.kind == k }); i >= 0 {
		return tokenKinds[i]
	}
	return tokenKind{}
}

// TokenHash is what is stored of a token: its SHA-256. A token has 178 random bits, so neither salt
// nor stretching would add anything (TOK-21, KEY-4).
type TokenHash [sha256.Size]byte

// HashToken hashes a token for storage and look-up.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

const (
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLength = 30 // 178 bits
	sumLength    = 6
)

// NewToken makes a token of a kind that we mint: prefix, 30 random letters or digits, and a checksum which lets
// scanners and us recognise a token without asking the store (TOK-22).
func NewToken(kind TokenKind) string {
	row := kind.row()
	if !row.minted {
		panic("no tokens of the kind " + string(kind) + " are made")
	}
	body := row.prefix + randomString(base62, randomLength)
	return body + "_" + checksum(body)
}

// ours reports whether we can have made a token: by NewToken, or one that makes claims.
func ours(token string) bool { return checked(token) || describes(token) }

// checked reports whether NewToken can have made a token: it holds nothing but letters and digits, and its
// checksum is right.
func checked(token string) bool {
	const prefixLength = len("mct_")
	const length = prefixLength + randomLength
	if len(token) != length+1+sumLength {
		return false
	}
	body, sum := token[:length], token[length+1:]
	return token[length] == '_' && sum == checksum(body) && strings.Trim(body[prefixLength:], base62) == ""
}

// anyText takes every token: what looks like one of the kind is looked for where the kind is kept.
func anyText(string) bool { return true }

// checksum returns CRC-32 in base 62, least significant digit first, then padded on the left with zeros
// to six characters: the form that matrix-authentication-service uses.
func checksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	digits := make([]byte, 0, sumLength)
	for ; n > 0; n /= 62 {
		digits = append(digits, base62[n%62])
	}
	return strings.Repeat("0", sumLength-len(digits)) + string(digits)
}
