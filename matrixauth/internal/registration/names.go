package registration

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Names are the names that people can choose, beside what every name must be. Banned names count before allowed ones; if
// none is allowed by name, all that are not banned are.
type Names struct{ Banned, Allowed Patterns }

// Allow reports whether people can choose a name, which is in small letters.
func (n Names) Allow(name string) bool {
	return !n.Banned.match(name) && (n.Allowed.Empty() || n.Allowed.match(name))
}

// Patterns are ways to mean several names. All are compared in small letters.
type Patterns struct {
	Exact, Prefixes []string
	Expressions     []*regexp.Regexp
}

// Empty reports whether the patterns mean nothing at all.
func (p Patterns) Empty() bool { return len(p.Exact)+len(p.Prefixes)+len(p.Expressions) == 0 }

func (p Patterns) match(name string) bool {
	return slices.Contains(p.Exact, name) ||
		slices.ContainsFunc(p.Prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) ||
		slices.ContainsFunc(p.Expressions, func(e *regexp.Regexp) bool { return e.MatchString(name) })
}

// CompileName makes a regular expression of a pattern for names, which is to match the whole name unless it says otherwise
// by .* at an end.
func CompileName(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile("^(?:" + pattern + ")$")
}

// NameReason says why a name cannot be chosen.
type NameReason string

// The reasons why a name cannot be chosen. Each has a text on the page of names.
const (
	NameEmpty      NameReason = "empty"
	NameLong       NameReason = "long"
	NameCharacters NameReason = "characters"
	NameDigits     NameReason = "digits"
	NameUnderscore NameReason = "underscore"
	// NameForeign is a Matrix id of another server.
	NameForeign NameReason = "foreign"
	// NameBanned is one that the operator gives to nobody.
	NameBanned NameReason = "banned"
	// NameTaken is one that somebody has, here or at the homeserver, an application service or somebody who waits
	// for an operator.
	NameTaken NameReason = "taken"
)

// NameReasons lists every reason.
var NameReasons = []NameReason{NameEmpty, NameLong, NameCharacters, NameDigits, NameUnderscore, NameForeign, NameBanned, NameTaken}

// nameError is the reason below an Error.
type nameError struct{ reason NameReason }

// Error returns the reason.
func (e *nameError) Error() string { return "the name cannot be chosen: " + string(e.reason) }

// refuseName returns the Error of a reason: UserUnavailable for a name that somebody has, else InvalidUsername.
func refuseName(reason NameReason) error {
	code := model.InvalidUsername
	if reason == NameTaken {
		code = model.UserUnavailable
	}
	return model.NewError(code).WithCause(&nameError{reason})
}

// CheckName returns the localpart of a name as somebody typed it, or why it cannot be chosen, whoever has it: capitals are
// taken as small letters (CREATE-4), and a Matrix id of this server for its localpart. Its error has the code
// InvalidUsername, and NameReasonOf tells more.
func (r *Registrations) CheckName(typed string) (string, error) {
	name, reason := r.plainName(typed)
	if reason == "" && !r.config.Rules.Names.Allow(name) {
		reason = NameBanned
	}
	if reason != "" {
		return "", refuseName(reason)
	}
	return name, nil
}

// plainName is CheckName without what the operator says of names.
func (r *Registrations) plainName(typed string) (string, NameReason) {
	name := strings.ToLower(strings.TrimSpace(typed))
	if localpart, server, ok := model.ParseMatrixID(name); ok {
		if !strings.EqualFold(server, r.config.ServerName) {
			return "", NameForeign
		}
		name = localpart
	}
	name = strings.TrimPrefix(name, "@")
	if model.CheckLocalpart(name, r.config.ServerName) == nil {
		return name, ""
	}
	switch {
	case name == "":
		return "", NameEmpty
	case model.CheckLocalpart("a", r.config.ServerName) == nil && model.CheckLocalpart(strings.Repeat("a", len(name)), r.config.ServerName) != nil:
		return "", NameLong
	case strings.Trim(name, "0123456789") == "":
		return "", NameDigits
	case name[0] == '_' && model.CheckLocalpart("a"+name[1:], r.config.ServerName) == nil:
		return "", NameUnderscore
	}
	return "", NameCharacters
}

// NameReasonOf returns why a name cannot be chosen, for pages; empty if the error is about something else.
func NameReasonOf(err error) NameReason {
	if e := (*nameError)(nil); errors.As(err, &e) {
		return e.reason
	}
	return ""
}
