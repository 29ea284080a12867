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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// sidecars are the files that SQLite keeps beside a database.
var sidecars = []string{"-wal", "-shm", "-journal"}

// Files returns the paths of the database and of all that lies beside it but the socket.
func Files(path string) []string {
	files := []string{path, lockPath(path), copiedPath(path), alivePath(path)}
	for _, suffix := range sidecars {
		files = append(files, path+suffix)
	}
	return files
}

// preparePlace checks the directory and the files before SQLite opens them, and makes the database if it may. Its
// errors name the path and the reason; SQLite would only say "unable to open database file". SQLite follows no link in
// a -wal or -shm file, and gives these the mode and owner of the database.
func preparePlace(path string, create bool) (mended []string, err error) {
	dir := filepath.Dir(path)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if !create {
			return nil, fmt.Errorf("there is no database at %s; start the server once, or name the right database", path)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("database %s: its directory cannot be made: %w", path, err)
		}
	}
	note := func(what string) {
		if what != "" {
			mended = append(mended, what)
		}
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().IsRegular() {
			// Before its mode is touched or anything is made beside it.
			if err := examineTables(path); err != nil {
				return nil, err
			}
		}
		what, err := openFile(path, create)
		if err != nil {
			return nil, err
		}
		note(what)
	}
	what, err := place.CheckDir(dir)
	if err != nil {
		return nil, fmt.Errorf("database %s: the directory: %w", path, err)
	}
	note(what)
	if err := checkWritable(dir); err != nil {
		return nil, fmt.Errorf("database %s: the directory %s cannot be written by this user: %w", path, dir, err)
	}
	if name := networkFileSystem(dir); name != "" {
		return nil, fmt.Errorf("database %s lies on a network file system (%s), where SQLite's locks cannot be relied upon; move it to a local disk", path, name)
	}
	for _, suffix := range sidecars {
		f, what, err := place.Open(path+suffix, os.O_RDWR, place.Closed)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("beside the database: %w", err)
		}
		note(what)
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return mended, nil
}

// openFile makes the database with mode 0600, if it may, before SQLite opens it, as SQLite follows the umask. If the file
// is there it checks it; an empty file counts as a new database.
func openFile(path string, create bool) (mended string, err error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, mended, err := place.Open(path, flags, place.Closed)
	if err != nil {
		return "", fmt.Errorf("the database: %w", err)
	}
	if err := checkMagic(f, path); err != nil {
		return "", errors.Join(err, f.Close())
	}
	return mended, f.Close()
}

// checkMagic returns an error for a file that SQLite did not write. An empty file counts as a new database.
func checkMagic(f *os.File, path string) error {
	magic := []byte("SQLite format 3\x00")
	got := make([]byte, len(magic))
	n, err := io.ReadFull(f, got)
	if !(errors.Is(err, io.EOF) && n == 0) && !bytes.Equal(got[:n], magic) {
		return fmt.Errorf("%s is not an SQLite database; name another file or move this one away", path)
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

// lockPath returns the file whose lock says that a process writes to the database at path.
func lockPath(path string) string { return path + ".lock" }

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

func takeLock(ctx context.Context, path string, wait time.Duration) (_ *flock.Flock, mended string, err error) {
	// The library opens the file by its path and follows no link. noteHolder makes sure that it is the same file.
	lock := flock.New(lockPath(path), flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR|place.NoFollow))
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	f, mended, err := place.Open(lockPath(path), os.O_CREATE|os.O_RDWR, place.Closed)
	if err != nil {
		return nil, "", fmt.Errorf("lock of the database: %w", err)
	}
	defer f.Close()
	locked, err := lock.TryLock()
	if err == nil && !locked && wait > 0 {
		locked, err = lock.TryLockContext(ctx, 20*time.Millisecond)
	}
	if locked {
		if err := noteHolder(lock, f); err != nil {
			return nil, "", errors.Join(fmt.Errorf("lock of database %s: %w", path, err), lock.Close())
		}
		return lock, mended, nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, "", errors.Join(fmt.Errorf("lock of database %s: %w", path, err), lock.Close())
	}
	// The process id is only for the message: the refusal stands if it cannot be read.
	holder := make([]byte, 32)
	n, _ := f.ReadAt(holder, 0)
	return nil, "", errors.Join(&HeldError{Path: path, Holder: strings.TrimSpace(string(holder[:n]))}, lock.Close())
}

// noteHolder writes our process id into the lock.
func noteHolder(lock *flock.Flock, f *os.File) error {
	locked, err := lock.Stat()
	if err != nil {
		return err
	}
	present, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(locked, present) {
		return errors.New("the file was exchanged meanwhile; try again")
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// Examine checks the place of a database as Open would, without leaving a trace: nothing is created, repaired or
// locked. A database that another process uses is fine.
func Examine(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	for errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir) // what is missing would be made in the next one that is there
		info, err = os.Stat(dir)
	}
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("database %s: %s is not a directory", path, dir)
	}
	if err := mayWrite(dir); err != nil {
		return fmt.Errorf("database %s: the directory %s cannot be written by this user: %w", path, dir, err)
	}
	if name := networkFileSystem(dir); name != "" {
		return fmt.Errorf("database %s lies on a network file system (%s), where SQLite's locks cannot be relied upon; move it to a local disk", path, name)
	}
	return examineFile(path)
}

// examineFile checks the file of a database, if it is there.
func examineFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("database %s is not a regular file; name another file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|place.NoFollow, 0)
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if err := errors.Join(checkMagic(f, path), f.Close()); err != nil {
		return err
	}
	return examineTables(path)
}
