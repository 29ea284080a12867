// Package store holds the only SQL. It opens the database, serialises writes, and offers each row
// operation as a method of Tx. It decides nothing: what may happen is the domain's business.
//
// One process writes. The writer commits together what waits together, so that many small durable
// changes cost few synchronisations of the disk; readers have a pool of their own and never wait
// for the writer (WAL).
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Options says which database to open, and how.
type Options struct {
	// Path is the database file. Beside it live Path+".lock" and SQLite's own -wal and -shm files.
	Path string
	// Create allows a database that does not exist to be made. Commands leave it off, so that none is
	// made by accident in the wrong person's directory.
	Create bool
	// Accept is asked about what the database holds before anything in it is changed, and may refuse it. Nil takes all.
	Accept func(Contents) error
	// LockWait bounds the wait for another process, or a closing store of this one, to let go of the
	// database. Zero tries once.
	LockWait time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rehearse runs each write twice and undoes the first run. This happens in production to writes that share a
	// commit with one that fails. It is for tests: effects of a closure outside the database must not add up.
	Rehearse bool
	// PutBack says that the file is an earlier state that is put back: see Tx.WentBack.
	PutBack bool
	// Aside says that the file is no server's database but a copy of one, of which it tells nothing that it is opened: what
	// it says of the time that it is of stays.
	Aside bool
	// NoSync does not wait for the disk at a commit. It is for tests, which need no durability.
	NoSync bool
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	path   string
	now    func() time.Time
	lock   *flock.Flock
	writer *sql.DB
	reader *sql.DB
	token  *sql.Stmt
	queue  queue
	// mended says what was set right in the place of the database.
	mended []string

	// wentBack says that this opening found that the database went back.
	wentBack bool
	// imported reports whether there are tokens that another server made.
	imported atomic.Bool
	// copied is when the database was copied last.
	copied atomic.Pointer[time.Time]

	troubles troubles

	rehearse   bool
	noSync     bool
	statements atomic.Uint64
	weights    weights
	// idleUntil is the last activity of the sessions that Retain has tidied.
	idleUntil time.Time
}

// readers is the size of the reader pool. More connections gain nothing on the small machines that this is made for,
// and each keeps a page cache of its own.
const readers = 4

// ErrClosed is given to whoever uses a closed store.
var ErrClosed = errors.New("the database is closed")

// Open opens the database, migrates it to the present schema and takes the lock which says that
// this process writes. Every error names the path and what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", o.Path, err)
	}
	mended, err := preparePlace(path, o.Create)
	if err != nil {
		return nil, err
	}
	lock, closed, err := takeLock(ctx, path, o.LockWait)
	if err != nil {
		return nil, err
	}
	if closed != "" {
		mended = append(mended, closed)
	}
	s := &Store{path: path, now: o.Now, lock: lock, mended: mended, weights: weights{}, rehearse: o.Rehearse, noSync: o.NoSync}
	if err := s.open(ctx, o); err != nil {
		if isDamage(err) { // SQLite itself refuses a file that is shorter than its header says
			err = fmt.Errorf("database %s is damaged; put a backup back: caddy matrix-auth restore FILE: %w", path, err)
		}
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) (err error) {
	mended, err := openFile(s.path, o.Create)
	if err != nil {
		return err
	}
	if mended != "" {
		s.mended = append(s.mended, mended)
	}
	if err := removeLeftovers(s.path); err != nil {
		return err
	}
	s.readCopied()
	if s.writer, err = openWriter(s.path, s.noSync); err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	s.writer.SetMaxOpenConns(1)
	if o.Accept != nil {
		found, err := contents(ctx, s.writer, s.path)
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		if err := o.Accept(found); err != nil {
			return err
		}
	}
	if err := migrate(ctx, s.writer, s.path); err != nil {
		return err
	}
	if s.reader, err = openReader(s.path); err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if s.token, err = s.reader.PrepareContext(ctx, selectToken+" WHERE hash = ?1"); err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	if err := s.lookForImported(ctx); err != nil {
		return fmt.Errorf("database %s: %w", s.path, err)
	}
	if o.Aside {
		return nil
	}
	return s.noteOpening(ctx, o.PutBack)
}

// Mended returns sentences that say which files were open to others and were closed when the database was opened.
func (s *Store) Mended() []string { return s.mended }

// Path returns the absolute path of the database file.
func (s *Store) Path() string { return s.path }

// Now returns the present time by the store's clock, in the resolution that rows keep.
func (s *Store) Now() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Close lets the writes that wait finish, then closes the database and releases its lock.
func (s *Store) Close() error {
	s.queue.close()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.token != nil {
		errs = append(errs, s.token.Close())
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// Check reads one row, to tell whether the database answers.
func (s *Store) Check(ctx context.Context) error {
	var one int
	return s.met(s.reader.QueryRowContext(ctx, "SELECT 1 FROM "+versionTable+" LIMIT 1").Scan(&one), false)
}
