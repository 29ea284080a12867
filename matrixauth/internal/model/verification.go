package model

import (
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// SubjectKind is the kind of what a Verification is bound to. The values are stored.
type SubjectKind string

// The kinds of subjects.
const (
	// ForRegistration is an account that is being registered; the id is that of the registration.
	ForRegistration SubjectKind = "registration"
	// ForAccount is an account; the id is that of the user.
	ForAccount SubjectKind = "account"
)

// Subject is what a Verification is bound to: whoever has the code proves the address for it and for nothing else
// (MAIL-7).
type Subject struct {
	Kind SubjectKind
	ID   string
}

// Verification is an address that somebody is to prove by a code that is mailed to it.
type Verification struct {
	ID string
	Subject
	// Address is the address as it was typed, and Key the form by which addresses are compared.
	Address, Key string
	// Language is that of the mail, as a BCP 47 tag.
	Language string
	// SealedCode is the code, sealed.
	SealedCode []byte
	// Tries is how many codes were tried, and Mails how many mails were asked for.
	Tries, Mails int
	CreatedAt    time.Time
	// AcceptedAt is when a mail server took the last mail with the code, and RefusedAt when one refused it for good; zero
	// if that did not happen since the last mail was asked for.
	AcceptedAt, RefusedAt time.Time
	// ProvenAt is when the code was given; zero if it was not.
	ProvenAt time.Time
}

// Over reports whether the code is worth nothing any more: it was tried too often, or its time is over. That counts from
// when a mail server took the mail, as that may take a while.
func (v Verification) Over(now time.Time) bool {
	switch {
	case v.Tries >= bound.CodeTries, now.Sub(v.CreatedAt) >= bound.VerificationLife:
		return true
	case v.AcceptedAt.IsZero():
		return false
	}
	return now.Sub(v.AcceptedAt) >= bound.EmailCodeLife
}

// Proven reports whether the address is proven.
func (v Verification) Proven() bool { return !v.ProvenAt.IsZero() }

// EmailCodeDigits is how many digits the code of a Verification has (MAIL-7).
const EmailCodeDigits = 6

// NewEmailCode makes the code of a Verification.
func NewEmailCode() string { return randomString("0123456789", EmailCodeDigits) }

// ReadEmailCode returns a code as NewEmailCode makes it, of one that a person typed or pasted: blanks and hyphens do not
// count.
func ReadEmailCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '\u2011' || r == ' ' || r == '\u00a0' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, typed)
}
