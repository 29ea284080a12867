package model

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Claims are what a token says of itself: to which session it belongs and since when. A server whose database went
// back in time has no row of it, and can tell by them what it stands for once their tags prove them; see
// docs/sessions.md.
type Claims struct {
	// Narrowed reports that the token grants less than its session.
	Narrowed bool
	// Key is the number of the key that proves the claims.
	Key byte
	// Server tells tokens of servers apart that found each other's key: the beginning of a hash of the server's name.
	Server [2]byte
	// SessionID is a ULID, and Generation that of the token in the session.
	SessionID  string
	Generation int64
	// MintedAt is in whole seconds.
	MintedAt time.Time
	// Life is that of the access token, in whole seconds up to half a year; zero if it does not expire. A refresh
	// token has that of the access token beside it.
	Life time.Duration
	// Random makes two tokens differ that claim the same.
	Random [16]byte
}

// The bytes of a token's body, and how they are written: eight bytes as eleven digits to the base of 62.
const (
	claimsSize  = 48
	tagSize     = 8
	bodySize    = claimsSize + 2*tagSize
	groupSize   = 8
	groupLength = 11
	bodyLength  = bodySize / groupSize * groupLength

	claimsForm   = 1
	narrowedFlag = 0x80
	maxLife      = 1<<24 - 1 // seconds
	maxGen       = 1<<40 - 1
)

// Tags prove the claims of a token: Made that the server's key made it, Authentic that the session's row did too.
type Tags struct{ Made, Authentic [tagSize]byte }

// SelfDescribing is a token that makes claims, taken apart. Nothing of it is proven.
type SelfDescribing struct {
	Kind   TokenKind
	Claims Claims
	Tags   Tags
	// Signed is what the tags are made of: the prefix of the kind and the bytes of the claims.
	Signed []byte
}

// ServerMark is the Server of the claims of a server's tokens.
func ServerMark(serverName string) [2]byte {
	sum := sha256.Sum256([]byte(serverName))
	return [2]byte(sum[:2])
}

// NewClaims returns claims with new random bytes, which are otherwise as given and without what does not fit: a life
// that is too long is none.
func NewClaims(c Claims) Claims {
	_, _ = rand.Read(c.Random[:]) // never fails: it ends the process instead
	if c.Life > maxLife*time.Second || c.Life < 0 {
		c.Life = 0
	}
	return c
}

// SignedBytes returns what the tags of a token of a kind are made of. It reports false for a session whose id is no
// ULID, of which no claims can be made.
func (c Claims) SignedBytes(kind TokenKind) (signed []byte, ok bool) {
	id, err := ulid.ParseStrict(c.SessionID)
	if err != nil {
		return nil, false
	}
	prefix := kind.row().prefix
	signed = make([]byte, len(prefix)+claimsSize)
	copy(signed, prefix)
	b := signed[len(prefix):]
	b[0], b[1] = claimsForm, c.Key
	if c.Narrowed {
		b[0] |= narrowedFlag
	}
	copy(b[2:], c.Server[:])
	copy(b[4:], id[:])
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(min(c.Generation, maxGen)))
	copy(b[20:], number[3:])
	binary.BigEndian.PutUint32(b[25:], uint32(c.MintedAt.Unix()))
	binary.BigEndian.PutUint32(number[:], uint32(c.Life/time.Second))
	copy(b[29:], number[1:4])
	copy(b[32:], c.Random[:])
	return signed, true
}

// NewSelfDescribingToken writes a token of a kind that we mint: what SignedBytes returned for it, with the tags.
func NewSelfDescribingToken(kind TokenKind, signed []byte, tags Tags) string {
	row := kind.row()
	if !row.minted {
		panic("no tokens of the kind " + string(kind) + " are made")
	}
	body := append(signed[len(row.prefix):len(row.prefix)+claimsSize:len(row.prefix)+claimsSize], tags.Made[:]...)
	body = append(body, tags.Authentic[:]...)
	var text strings.Builder
	text.Grow(len(row.prefix) + bodyLength + 1 + sumLength)
	text.WriteString(row.prefix)
	for i := 0; i < bodySize; i += groupSize {
		writeGroup(&text, binary.BigEndian.Uint64(body[i:]))
	}
	return text.String() + "_" + checksum(text.String())
}

func writeGroup(text *strings.Builder, n uint64) {
	var digits [groupLength]byte
	for i := groupLength - 1; i >= 0; i-- {
		digits[i] = base62[n%62]
		n /= 62
	}
	text.Write(digits[:])
}

// readGroup reads what writeGroup wrote, and reports false for anything else: the same bytes have one form only.
func readGroup(text string) (n uint64, ok bool) {
	for i := range groupLength {
		digit := strings.IndexByte(base62, text[i])
		if digit < 0 || n > (1<<64-1-uint64(digit))/62 {
			return 0, false
		}
		n = n*62 + uint64(digit)
	}
	return n, true
}

// describes reports whether a token is of the form of NewSelfDescribingToken: its checksum is right, and its
// body can be read in one way.
func describes(token string) bool {
	const prefixLength = len("mct_")
	const length = prefixLength + bodyLength
	if len(token) != length+1+sumLength || token[length] != '_' || token[length+1:] != checksum(token[:length]) {
		return false
	}
	for i := prefixLength; i < length; i += groupLength {
		if _, ok := readGroup(token[i : i+groupLength]); !ok {
			return false
		}
	}
	return true
}

// Describe takes apart a token that makes claims, and reports false for any other, also for one of a form of a later
// version.
func Describe(token string) (SelfDescribing, bool) {
	kind, ok := ParseToken(token)
	if !ok || !kind.row().minted || !describes(token) {
		return SelfDescribing{}, false
	}
	prefix := kind.row().prefix
	body := make([]byte, 0, bodySize)
	for i := len(prefix); i < len(prefix)+bodyLength; i += groupLength {
		n, _ := readGroup(token[i : i+groupLength])
		body = binary.BigEndian.AppendUint64(body, n)
	}
	if body[0]&^narrowedFlag != claimsForm {
		return SelfDescribing{}, false
	}
	d := SelfDescribing{Kind: kind, Signed: append([]byte(prefix), body[:claimsSize]...)}
	copy(d.Tags.Made[:], body[claimsSize:])
	copy(d.Tags.Authentic[:], body[claimsSize+tagSize:])
	var number [8]byte
	copy(number[3:], body[20:25])
	d.Claims = Claims{
		Narrowed: body[0]&narrowedFlag != 0, Key: body[1], Server: [2]byte(body[2:4]), SessionID: ulid.ULID(body[4:20]).String(),
		Generation: int64(binary.BigEndian.Uint64(number[:])), MintedAt: time.Unix(int64(binary.BigEndian.Uint32(body[25:])), 0).UTC(),
		Life:   time.Duration(uint32(body[29])<<16|uint32(body[30])<<8|uint32(body[31])) * time.Second,
		Random: [16]byte(body[32:48]),
	}
	return d, true
}

// ExpiresAt is when the token's life ends; zero for one that does not say.
func (c Claims) ExpiresAt() time.Time {
	if c.Life == 0 {
		return time.Time{}
	}
	return c.MintedAt.Add(c.Life)
}

// NetworkMark is a keyed hash of a network, behind the number of the key. Marks of one key are equal if the networks
// are; empty is that of a network that is not known.
type NetworkMark string

// Meets reports whether two marks are of one network, as far as is known: marks of different keys, and unknown ones,
// tell of no difference.
func (m NetworkMark) Meets(other NetworkMark) bool {
	return m == "" || other == "" || m[0] != other[0] || m == other
}

// Places are the networks of the last two refreshes on the way to a pair of tokens.
type Places struct {
	// Minted is where the pair was asked for, and Before where that which minted it was; for a login the same.
	Minted, Before NetworkMark
}
