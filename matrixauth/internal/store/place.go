package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// checkPlace judges the directory and the file before anything is opened: each refusal is a
// sentence that names the path, where SQLite would say only "unable to open database file".
func checkPlace(path string, create bool) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !create:
		return fmt.Errorf("there is no database at %s; start the server once, or name the right database", path)
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("database %s: its directory cannot be made: %w", path, err)
		}
	case err != nil:
		return fmt.Errorf("database %s: %w", path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("database %s is no regular file", path)
	default:
		if err := checkHeader(path); err != nil {
			return err
		}
	}
	if err := checkWritable(dir); err != nil {
		return fmt.Errorf("database %s: the directory %s cannot be written by this user: %w", path, dir, err)
	}
	if name := networkFileSystem(dir); name != "" {
		return fmt.Errorf("database %s lies on a network file system (%s), where SQLite's locks cannot be relied upon; move it to a local disk", path, name)
	}
	return nil
}

// checkHeader tells a database from any other file. An empty file is a database to be.
func checkHeader(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("database %s cannot be opened for writing: %w", path, err)
	}
	defer f.Close()
	magic := []byte("SQLite format 3\x00")
	got := make([]byte, len(magic))
	n, err := io.ReadFull(f, got)
	if err == io.EOF && n == 0 {
		return nil
	}
	if !bytes.Equal(got[:n], magic) {
		return fmt.Errorf("%s is no SQLite database; name another file or move this one away", path)
	}
	return nil
}

func checkWritable(dir string) error {
	f, err := os.CreateTemp(dir, ".matrix-auth-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// createFile makes the file with mode 0600 before SQLite opens it, as SQLite itself follows the
// umask. The -wal and -shm files take the mode of the database.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	return f.Close()
}

// LockPath is the file whose lock says that a process writes to the database at path.
func LockPath(path string) string { return path + ".lock" }

// HeldError says that another process has the database.
type HeldError struct {
	Path string
	// Holder is the process id that the lock file names; empty if it names none.
	Holder string
}

// Error names the database, its holder and the way out.
func (e *HeldError) Error() string {
	holder := "another process"
	if e.Holder != "" {
		holder = "process " + e.Holder
	}
	return fmt.Sprintf("database %s is held by %s; one server writes to a database, so stop that one or name another file", e.Path, holder)
}

func takeLock(ctx context.Context, path string, wait time.Duration) (*flock.Flock, error) {
	lock := flock.New(LockPath(path), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	locked, err := lock.TryLock()
	if err == nil && !locked && wait > 0 {
		locked, err = lock.TryLockContext(ctx, 20*time.Millisecond)
	}
	if locked {
		if err := os.WriteFile(LockPath(path), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("lock of database %s: %w", path, err), lock.Close())
		}
		return lock, nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.Join(fmt.Errorf("lock of database %s: %w", path, err), lock.Close())
	}
	// The id is a courtesy to the reader; a lock file that cannot be read takes nothing from the refusal.
	holder, _ := os.ReadFile(LockPath(path))
	return nil, errors.Join(&HeldError{Path: path, Holder: strings.TrimSpace(string(holder))}, lock.Close())
}
