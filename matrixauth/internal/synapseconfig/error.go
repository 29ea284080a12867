package synapseconfig

import (
	"errors"
	"fmt"
)

// Kinds of refusal, for errors.Is. Each error that carries one says in its text which line it is about.
var (
	// ErrAlreadyMigrated means that matrix_authentication_service is on and msc3861 is gone.
	ErrAlreadyMigrated = errors.New("already migrated")
	// ErrNothingToMigrate means that the file delegates logins in neither of the two ways.
	ErrNothingToMigrate = errors.New("nothing to migrate")
	// ErrNoSettings means that a file holds no mapping of settings. Synapse passes over one among several.
	ErrNoSettings = errors.New("no settings")
	// ErrChanged means that the file is not the one that was read any more.
	ErrChanged = errors.New("file changed since it was read")
)

// Error is a problem at one place of a file. Its text is "path:line: reason" and holds no secret.
type Error struct {
	Path   string // the file as it was named to Read or Parse
	Line   int    // counted from 1; 0 means the file as a whole
	Reason string // plain words
	kind   error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Path + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Reason)
}

// Unwrap returns the kind (ErrAlreadyMigrated …) or the cause, nil if there is none.
func (e *Error) Unwrap() error { return e.kind }

func (f *File) errorf(line int, format string, args ...any) *Error {
	return &Error{Path: f.name, Line: line, Reason: fmt.Sprintf(format, args...)}
}

// place names a line of f for a text that is about another file, which may be the same one.
func (f *File) place(line int, seenFrom *File) string {
	if f == seenFrom {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s:%d", f.name, line)
}

func (f *File) kindf(kind error, line int, format string, args ...any) *Error {
	e := f.errorf(line, format, args...)
	e.kind = kind
	return e
}
