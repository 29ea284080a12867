package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// copiedPath returns the path of the file that holds when the database was copied last. It is not a row, since a
// restored database would then tell the time of the backup before it.
func copiedPath(path string) string { return path + ".copied" }

// NoteCopied remembers that a copy was taken whole now.
func (s *Store) NoteCopied() error {
	now := s.Now()
	s.copied.Store(&now)
	f, _, err := place.Open(copiedPath(s.path), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, place.Closed)
	if err != nil {
		return fmt.Errorf("the time of the copy cannot be kept: %w", err)
	}
	_, err = f.WriteString(now.Format(time.RFC3339) + "\n")
	return errors.Join(err, f.Close())
}

// Copied returns when the last copy was given out whole; zero if none was.
func (s *Store) Copied() time.Time {
	if at := s.copied.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// readCopied reads what NoteCopied wrote. A file that cannot be read counts as no copy at all: a false alarm is better
// than a wrong time.
func (s *Store) readCopied() {
	text, err := place.ReadSmall(copiedPath(s.path), place.Closed)
	if err != nil {
		return
	}
	if at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text))); err == nil {
		s.copied.Store(&at)
	}
}
