package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/fault"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// restoreMark is behind the name of the database in the names of the files that a restore works on. They end like
// copies, and are removed at a start like these.
const restoreMark = ".restoring-"

// Restore puts a backup in the place of a database. The backup is copied beside the database, checked and opened
// there; Install then exchanges the files. Whenever the process dies, the old database or the new one is whole in its
// place. Close ends it, and leaves nothing behind that was not installed.
type Restore struct {
	path   string
	staged string
	lock   *flock.Flock
	// there reports whether there is an old file, readable whether it can be read as a database, and unreadable why not.
	there, readable bool
	unreadable      string
	// opened is the backup while it is open.
	opened *Store
}

// BeginRestore takes the database at a path from all others, for a restore. There need not be a database, but its
// directory must be there. Its errors say what to do.
func BeginRestore(ctx context.Context, path string) (*Restore, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if _, err := place.CheckDir(dir); err != nil {
		return nil, fmt.Errorf("database %s: the directory: %w", path, err)
	}
	if err := checkWritable(dir); err != nil {
		return nil, fmt.Errorf("database %s: the directory %s cannot be written by this user: %w", path, dir, err)
	}
	r := &Restore{path: path, staged: path + restoreMark + rand.Text() + copyEnd}
	if err := r.lookAtOld(); err != nil {
		return nil, err
	}
	if r.lock, _, err = takeLock(ctx, path, 0); err != nil {
		return nil, err
	}
	err = removeLeftovers(path)
	if err == nil {
		err = r.lookAtOld() // nobody changes it from here on
	}
	if err != nil {
		return nil, errors.Join(err, r.lock.Close())
	}
	return r, nil
}

// lookAtOld refuses to replace what is no file of ours.
func (r *Restore) lookAtOld() error {
	r.there, r.readable = false, false
	for _, file := range append([]string{r.path}, r.sidecars()...) {
		f, _, err := place.Open(file, os.O_RDWR, place.Closed)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("what would be replaced: %w", err)
		}
		info, err := f.Stat()
		if err == nil && file == r.path {
			// SQLite would remove a log beside a file that is none of its own.
			r.there, r.readable, r.unreadable = true, info.Size() > 0, "it is empty"
			if wrong := checkMagic(f, "it"); wrong != nil {
				r.readable, r.unreadable = false, "it is no database"
			}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if !r.readable {
		return nil
	}
	return examineTables(r.path)
}

func (r *Restore) sidecars() (all []string) {
	for _, suffix := range sidecars {
		all = append(all, r.path+suffix)
	}
	return all
}

// Take copies a backup beside the database and refuses one that cannot take its place: one that is not whole, is of
// another program, of a newer schema or of another server name. name is how errors call it. It returns the last note of
// life in the backup, as which the database will be; zero if it is from before there were such notes.
func (r *Restore) Take(ctx context.Context, from io.Reader, name, serverName string) (asOf time.Time, err error) {
	f, _, err := place.Open(r.staged, os.O_CREATE|os.O_EXCL|os.O_RDWR, place.Closed)
	if err != nil {
		return asOf, fmt.Errorf("the copy of %s: %w", name, err)
	}
	size, err := io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && size == 0 {
		err = fmt.Errorf("%s is empty, and so no backup; name another file", name)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = checkMagic(f, name)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return asOf, fmt.Errorf("nothing is restored: %w", err)
	}
	if asOf, err = examineBackup(ctx, r.staged, name, serverName); err != nil {
		return asOf, fmt.Errorf("nothing is restored: %w", err)
	}
	return asOf, nil
}

// examineBackup refuses a file, which errors call by name, that cannot be the database of a server.
func examineBackup(ctx context.Context, path, name, serverName string) (asOf time.Time, err error) {
	problem, err := integrityProblem(ctx, path)
	if err == nil && problem != "" {
		err = fmt.Errorf("%s is damaged (%s); name another backup", name, problem)
	}
	if err != nil {
		return asOf, err
	}
	db, err := openUntouched(path, true)
	if err != nil {
		return asOf, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkTables(ctx, db, name); err != nil {
		return asOf, err
	}
	var schema int64
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable).Scan(&schema); err != nil {
		return asOf, fmt.Errorf("%s is not the database of a server (%w); name another file", name, err)
	}
	newest, err := NewestSchema()
	if err != nil {
		return asOf, err
	}
	if schema > newest {
		return asOf, fmt.Errorf("%s has schema %d, and this program knows only %d; restore it with the program that wrote it, or name an older backup", name, schema, newest)
	}
	// What a schema of before has no table for is not known, and is no error.
	var kept string
	if err := db.QueryRowContext(ctx, "SELECT server_name FROM homeserver").Scan(&kept); err == nil && kept != serverName {
		return asOf, fmt.Errorf("%s is a backup of %s, and the configuration says %s; name a backup of this server", name, kept, serverName)
	}
	if err := db.QueryRowContext(ctx, "SELECT at FROM alive WHERE id = 1").Scan(timeInto{&asOf}); err != nil {
		asOf = time.Time{}
	}
	return asOf, nil
}

// Open opens the backup that Take took, as a database of its own that went back. Of the old database it reads what it
// can: see Tx.Replaced. The Store is closed by Install or Close.
func (r *Restore) Open(ctx context.Context, now func() time.Time) (*Store, error) {
	if r.readable {
		if err := foldLog(ctx, r.path); isDamage(err) {
			r.readable, r.unreadable = false, err.Error()
		} else if err != nil {
			return nil, fmt.Errorf("database %s: what its log holds cannot be written into it: %w", r.path, err)
		}
	}
	s, err := Open(ctx, Options{Path: r.staged, PutBack: true, Now: now})
	if err != nil {
		return nil, err
	}
	r.opened = s
	if r.readable {
		if err := s.attachReplaced(ctx, r.path); err != nil {
			r.readable, r.unreadable = false, err.Error()
		}
	}
	return s, nil
}

// Old reports whether there is an old database, and why it cannot be read; empty if it can.
func (r *Restore) Old() (there bool, unreadable string) {
	if r.readable {
		return true, ""
	}
	return r.there, r.unreadable
}

// replacedName is the name under which the old database is kept, without the time.
const replacedName = ".replaced-"

// Install puts the backup in the place of the database, and keeps what was there under a name with the time, which it
// returns; empty if there was nothing. Old and new are on the disk before they are exchanged, and no log of the old one
// is ever beside the new one.
func (r *Restore) Install(now time.Time) (kept string, err error) {
	if err := r.closeOpened(); err != nil {
		return "", err
	}
	for _, suffix := range sidecars {
		if info, err := os.Lstat(r.staged + suffix); err == nil && info.Size() > 0 {
			return "", fmt.Errorf("the copy of the backup has a log that could not be written into it; look at the disk of %s", r.path)
		}
	}
	if err := Sync(r.staged); err != nil {
		return "", err
	}
	fault.Point("restore: before the old file is kept")
	if r.there {
		kept = r.freeName(now)
		if err := r.keep(kept); err != nil {
			return "", fmt.Errorf("the old file cannot be kept: %w", err)
		}
	}
	fault.Point("restore: the old file is kept")
	for _, file := range r.sidecars() {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
	}
	if err := Sync(filepath.Dir(r.path)); err != nil {
		return kept, err
	}
	fault.Point("restore: the old log is removed")
	if err := os.Rename(r.staged, r.path); err != nil {
		return kept, err
	}
	fault.Point("restore: the new file is in its place")
	return kept, Sync(filepath.Dir(r.path))
}

// freeName returns a name for the old database that no file has: two restores may be of the same second.
func (r *Restore) freeName(now time.Time) string {
	dated := r.path + replacedName + now.UTC().Format("20060102T150405Z")
	for name, n := dated, 2; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", dated, n)
	}
}

// keep copies the old database under another name: its log first, if it has one that could not be written into it.
func (r *Restore) keep(kept string) error {
	for _, suffix := range append([]string{"-wal", "-journal"}, "") {
		from, _, err := place.Open(r.path+suffix, os.O_RDONLY, place.Closed)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		unfinished := r.staged + ".old" + copyEnd
		err = errors.Join(copyFile(from, unfinished), from.Close())
		if err == nil {
			err = os.Rename(unfinished, kept+suffix)
		}
		if err != nil {
			return err
		}
	}
	return Sync(filepath.Dir(r.path))
}

// copyFile writes what a file holds to a new one, for its owner alone, durably.
func copyFile(from io.Reader, path string) error {
	to, _, err := place.Open(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, place.Closed)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// Sync waits until a file, or what names are in a directory, is on the disk.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (r *Restore) closeOpened() error {
	if r.opened == nil {
		return nil
	}
	s := r.opened
	r.opened = nil
	return errors.Join(s.Close(), os.Remove(lockPath(r.staged)))
}

// Close removes what was not installed, and lets others have the database.
func (r *Restore) Close() error {
	return errors.Join(r.closeOpened(), removeLeftovers(r.path), r.lock.Close())
}

// removeLeftovers removes what a copy or a restore left behind whose process died. The caller holds the lock.
func removeLeftovers(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	for _, e := range entries {
		copied := strings.HasPrefix(e.Name(), filepath.Base(path)+copyMark) && strings.HasSuffix(e.Name(), copyEnd)
		restored := strings.HasPrefix(e.Name(), filepath.Base(path)+restoreMark) && strings.Contains(e.Name(), copyEnd)
		if copied || restored {
			if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
				return fmt.Errorf("database %s: %w", path, err)
			}
		}
	}
	return nil
}
