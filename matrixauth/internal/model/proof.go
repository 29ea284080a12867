package model

import "time"

// Method is a way to prove who one is, by its name in RFC 8176 section 2.
type Method string

// MethodPassword is a password.
const MethodPassword Method = "pwd"

// Proof is that a user has proved who they are.
type Proof struct {
	User User
	// Methods are the methods that were used, at least one.
	Methods []Method
	// At is the time at which the user was asked, which is before it was known that the proof is good: what began in
	// between must not take it for a newer one (OIDC-11).
	At time.Time
}
