package password

import (
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Reason says why a new password is refused. Pages have a text for each, "password.weak." with the reason.
type Reason string

// The reasons. Those behind Common say what makes a password guessable most of all.
const (
	TooShort  Reason = "short"
	TooLong   Reason = "long"
	NotText   Reason = "text"
	Personal  Reason = "personal"
	Common    Reason = "common"
	Repeats   Reason = "repeats"
	Sequence  Reason = "sequence"
	Keyboard  Reason = "keyboard"
	Date      Reason = "date"
	FewWords  Reason = "words"
	Guessable Reason = "guessable"
	// Unchanged is for who would change a password to what it is. No policy finds it.
	Unchanged Reason = "unchanged"
)

// Reasons are all reasons.
var Reasons = []Reason{TooShort, TooLong, NotText, Personal, Common, Repeats, Sequence, Keyboard, Date, FewWords, Guessable, Unchanged}

// sentences say the reasons to operators and in the errors of programs.
var sentences = map[Reason]string{
	TooLong:   fmt.Sprintf("a password has at most %d bytes", bound.PasswordMost),
	NotText:   "this password is not text: it is not UTF-8, or holds a NUL",
	Personal:  "this password is made of the name, the address or the server of the account",
	Common:    "this password is among those that are guessed first, as many people have it",
	Repeats:   "this password is easy to guess: it repeats something short",
	Sequence:  "this password is easy to guess: it is mostly a sequence, such as abcdef or 123456",
	Keyboard:  "this password is easy to guess: it is mostly a row of keys",
	Date:      "this password is easy to guess: it is mostly a date or a year",
	FewWords:  "this password is easy to guess: it is a word or two that everybody knows, or looks like it; four words that have nothing to do with each other are a good one",
	Unchanged: "this is the password so far",
	Guessable: "this password is easy to guess; a longer one is better, such as four words that have nothing to do with each other",
}

// WeakError refuses a new password. Its text is a sentence for operators and programs, and holds nothing of the password
// (PW-9).
type WeakError struct {
	Reason Reason
	least  int
}

// Refuse returns the error of a reason that is no policy's to find.
func Refuse(reason Reason) error { return &WeakError{Reason: reason} }

// Error returns the sentence.
func (e *WeakError) Error() string {
	if e.Reason == TooShort {
		return fmt.Sprintf("a password needs at least %d characters", e.least)
	}
	return sentences[e.Reason]
}

// ReasonOf returns why a new password was refused; empty if an error is about something else.
func ReasonOf(err error) Reason {
	var weak *WeakError
	if errors.As(err, &weak) {
		return weak.Reason
	}
	if errors.Is(err, ErrTooLong) {
		return TooLong
	}
	return ""
}
