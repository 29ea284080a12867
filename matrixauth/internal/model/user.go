package model

import (
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// User is an account of the homeserver that we authenticate. Its localpart never changes: the
// homeserver derives the Matrix id from it at every introspection.
type User struct {
	// ID is a ULID; it is the "sub" of tokens and is never reassigned.
	ID string
	// Localpart is the part of the Matrix id between "@" and ":".
	Localpart string
	// Admin reports whether the user may ask for Synapse's administration scope.
	Admin bool
	// CreatedAt is the time of creation, UTC.
	CreatedAt time.Time
	// LockedAt is the time at which an administrator locked the account; zero while it is not locked.
	// A locked user keeps sessions, tokens and devices, and may use none of them but to log out.
	LockedAt time.Time
	// DeactivatedAt is the time of deactivation; zero for a live account. The localpart of a
	// deactivated account is never given out again.
	DeactivatedAt time.Time
}

// Locked reports whether the account is locked at present.
func (u User) Locked() bool { return !u.LockedAt.IsZero() }

// Deactivated reports whether the account is deactivated at present.
func (u User) Deactivated() bool { return !u.DeactivatedAt.IsZero() }

// MayAct refuses an account that may do nothing at present, with an Error of code UserDeactivated or
// UserLocked (MOD-5, MOD-11).
func (u User) MayAct() error {
	if u.Deactivated() {
		return NewError(UserDeactivated)
	}
	if u.Locked() {
		return NewError(UserLocked)
	}
	return nil
}

// IsBlocked reports whether an error is one of MayAct.
func IsBlocked(err error) bool {
	e := AsError(err)
	return e != nil && (e.Code == UserDeactivated || e.Code == UserLocked)
}

// State returns the account's state in one word: "active", "locked" or "deactivated".
func (u User) State() string {
	if u.Deactivated() {
		return "deactivated"
	}
	if u.Locked() {
		return "locked"
	}
	return "active"
}

// MatrixID builds the full user id of a localpart on a server.
func MatrixID(localpart, serverName string) string { return "@" + localpart + ":" + serverName }

// LogUser returns how a line of the log names a user: by the Matrix id that people know, and by the id that stands
// in rows. It is one attribute for a logger, which makes two fields of it.
func LogUser(localpart, serverName, id string) slog.Attr {
	return slog.Group("", slog.String("user", MatrixID(localpart, serverName)), slog.String("user_id", id))
}

// ParseMatrixID splits a full user id. It reports false for anything that is not of the form
// "@localpart:server"; it does not check the characters of either part.
func ParseMatrixID(id string) (localpart, serverName string, ok bool) {
	rest, found := strings.CutPrefix(id, "@")
	if !found {
		return "", "", false
	}
	localpart, serverName, found = strings.Cut(rest, ":")
	if !found || localpart == "" || serverName == "" {
		return "", "", false
	}
	return localpart, serverName, true
}

// CheckLocalpart checks a localpart for a new account on serverName: the characters of the
// specification only, at most 255 bytes for the whole id, not numeric only (Synapse keeps those
// for guests) and no leading underscore (application services keep those). It returns an Error of
// kind Invalid with code InvalidUsername.
func CheckLocalpart(localpart, serverName string) error {
	if localpart == "" {
		return Errorf(InvalidUsername, "a user name must not be empty")
	}
	if len(MatrixID(localpart, serverName)) > bound.MatrixID {
		return Errorf(InvalidUsername, "a Matrix id must not be longer than 255 bytes")
	}
	digits := true
	for _, c := range []byte(localpart) {
		if !localpartByte(c) {
			return Errorf(InvalidUsername, "a user name may hold only a-z, 0-9 and . _ = - / +")
		}
		digits = digits && c >= '0' && c <= '9'
	}
	if digits {
		return Errorf(InvalidUsername, "a user name must not be digits alone, Synapse keeps such names for guests")
	}
	if localpart[0] == '_' {
		return Errorf(InvalidUsername, "a user name must not begin with an underscore, application services keep such names")
	}
	return nil
}

func localpartByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("._=-/+", c) >= 0
}
