package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Copy is a consistent copy of the database, open for reading. Close removes its file.
type Copy struct{ *os.File }

// Close closes the copy and removes it.
func (c Copy) Close() error { return errors.Join(c.File.Close(), os.Remove(c.Name())) }

// copyMark and copyEnd enclose the random part of a copy's name, behind the name of the database. Files of such names
// are removed at a start, so the marks must not occur in the name of a file that somebody made themselves.
const copyMark, copyEnd = ".copying-", ".tmp"

// Copy makes a consistent copy while the store is in use. The copy lies beside the database, where nobody else can
// write. Whoever wants a backup elsewhere reads it and writes their own file.
func (s *Store) Copy(ctx context.Context) (Copy, error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+copyMark+"*"+copyEnd)
	if err != nil {
		return Copy{}, fmt.Errorf("copy of the database: %w", err)
	}
	made := Copy{f}
	// VACUUM INTO accepts an existing file if it is empty, and keeps its mode, which is 0600.
	if err := s.copyInto(ctx, f.Name()); err != nil {
		return Copy{}, errors.Join(fmt.Errorf("copy of the database: %w", err), made.Close())
	}
	return made, nil
}

// removeCopies removes the files of a process that died during a copy. The caller holds the lock.
func (s *Store) removeCopies() error {
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(s.path)+copyMark) && strings.HasSuffix(e.Name(), copyEnd) {
			if err := os.Remove(filepath.Join(filepath.Dir(s.path), e.Name())); err != nil {
				return fmt.Errorf("database %s: %w", s.path, err)
			}
		}
	}
	return nil
}
