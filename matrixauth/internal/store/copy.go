package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
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

// CopyTo makes a consistent copy at a path, where nothing may be yet, for its owner alone. It returns once the copy is on
// the disk; after an error there may be a part of it.
func (s *Store) CopyTo(ctx context.Context, path string) error {
	f, _, err := place.Open(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, place.Closed)
	if err != nil {
		return fmt.Errorf("copy of the database: %w", err)
	}
	if err = s.copyInto(ctx, path); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("copy of the database: %w", err)
	}
	return nil
}

// CheckCopy reads a copy that nobody writes to, and returns an error if it is not whole.
func CheckCopy(ctx context.Context, path string) error {
	problem, err := integrityProblem(ctx, path)
	if err == nil && problem != "" {
		err = fmt.Errorf("the copy %s is damaged (%s), and so may the database be; look at the disk", path, problem)
	}
	return err
}
