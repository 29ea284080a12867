// Package seal seals the secrets that rows must hold in a form that can be read again: with a key in a file of
// its own, so that a copy of the database alone, such as a backup, tells none of them. It is the only way in
// which such a secret may be kept; it must know nothing of what the secrets are.
//
// Each purpose has a key of its own that follows from the file (HKDF, RFC 5869), and a value is bound to its
// purpose and its row (XChaCha20-Poly1305 with a random nonce). The database keeps for what purposes values were
// sealed, and with which key: so a file that is missing, or is another one, is told from a value that was
// damaged, and is never replaced while anything hangs on it.
package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// maxFile bounds what is read of a file, in bytes: more than any seal has.
const maxFile = 1 << 10

// Path returns where the seal of a database lies that no configuration moves.
func Path(database string) string {
	return strings.TrimSuffix(database, filepath.Ext(database)) + ".seal"
}

// Keeper has the seal of a database. It is safe for concurrent use.
type Keeper struct {
	store *store.Store
	path  string

	mu  sync.Mutex
	key *key
	// problem is what the last look found; nil if all is well.
	problem *Error
	// mended says that the file was open to others when it was read last.
	mended string
	// noted are the purposes of which the database has the key.
	noted map[Purpose]bool
}

// New makes the keeper of the seal at path. It opens nothing until Load.
func New(s *store.Store, path string) *Keeper {
	return &Keeper{store: s, path: path, noted: map[Purpose]bool{}, problem: &Error{Path: path, What: "was not looked at yet"}}
}

// Path returns the file of the seal.
func (k *Keeper) Path() string { return k.path }

// Error says why the seal of a database cannot be used, and what hangs on it.
type Error struct {
	Path string
	// What is wrong with the file, in words that go on after the path; Change says what to do.
	What, Change string
	// Lost are the purposes for which values were sealed that cannot be opened now.
	Lost []Purpose
	// Held reports whether the right key is still in memory, from before the file went: everything goes on
	// until the end of the process.
	Held  bool
	cause error
}

// Error returns one sentence that names the file, what is lost without it and what to do.
func (e *Error) Error() string {
	text := "the seal " + e.Path + " " + e.What
	if len(e.Lost) > 0 {
		lost := make([]string, len(e.Lost))
		for i, p := range e.Lost {
			lost[i] = string(p)
		}
		verb := "cannot be opened: "
		if e.Held {
			verb = "cannot be opened after the next start: "
		}
		text += "; what it sealed " + verb + strings.Join(lost, ", ")
	}
	if e.Change != "" {
		text += "; " + e.Change
	}
	return text
}

// Unwrap returns what the system said, if it did.
func (e *Error) Unwrap() error { return e.cause }

// Load reads the file again and compares it with the database. With create it makes a file that is missing, if
// nothing was ever sealed; else one that is missing is well as long as nothing was. Its error is an *Error, or
// one of the database.
func (k *Keeper) Load(ctx context.Context, create bool) error {
	var sealed []store.Sealed
	if err := k.store.View(ctx, func(tx *store.Tx) (err error) {
		sealed, err = tx.Sealed()
		return err
	}); err != nil {
		return fmt.Errorf("the database tells nothing of its seal: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found, problem := k.read(len(sealed) == 0 && create)
	if found == nil && problem == nil && len(sealed) == 0 {
		k.key, k.problem = nil, nil // there is none yet
		return nil
	}
	if found == nil && problem == nil {
		problem = &Error{What: "is missing", Change: "put the file back from where you keep it"}
	}
	for _, s := range sealed {
		if found != nil && s.KeyID != found.String() {
			problem = &Error{What: "is another one than that of this database", Change: "put the file back that belongs to the database"}
		}
	}
	if problem == nil {
		k.key, k.problem = found, nil
		return nil
	}
	problem.Path = k.path
	for _, s := range sealed {
		problem.Lost = append(problem.Lost, Purpose(s.Purpose))
	}
	slices.Sort(problem.Lost)
	problem.Held = k.key != nil && len(sealed) > 0 && sealed[0].KeyID == k.key.String()
	if k.problem = problem; !problem.Held {
		k.key = nil
	}
	return problem
}

// read reads the file, or makes it. It is nil and nil if there is none.
func (k *Keeper) read(create bool) (*key, *Error) {
	text, mended, err := readFile(k.path)
	k.mended = mended
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, nil
		}
		return k.make()
	}
	if wrong := (*place.Error)(nil); errors.As(err, &wrong) {
		return nil, &Error{What: wrong.What, Change: wrong.Change, cause: err}
	}
	if err != nil {
		return nil, &Error{What: "cannot be read (" + err.Error() + ")", Change: "look at the disk", cause: err}
	}
	found, err := parseKey(text)
	if err != nil {
		return nil, &Error{What: err.Error(), Change: "put the file back from where you keep it", cause: err}
	}
	return found, nil
}

func readFile(path string) (text []byte, mended string, err error) {
	f, mended, err := place.Open(path, os.O_RDONLY, place.Closed)
	if err != nil {
		return nil, "", err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxFile))
	return text, mended, errors.Join(err, f.Close())
}

// make makes a new file, under another name first, so that none is ever there in part. Whoever calls it has the
// database alone.
func (k *Keeper) make() (*key, *Error) {
	made, err := newKey()
	if err == nil {
		err = place.Replace(k.path, made.text())
	}
	if err != nil {
		return nil, &Error{What: "cannot be made (" + err.Error() + ")", Change: "let the server's user write to " + filepath.Dir(k.path), cause: err}
	}
	return made, nil
}

// Problem returns what Load found last; nil if the seal can be used, or there is none yet and nothing was sealed.
func (k *Keeper) Problem() *Error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem
}

// Mended says in a sentence that the file was open to others when Load read it last, and is not any more; empty
// if it was not.
func (k *Keeper) Mended() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mended
}

// usable returns the key, or why there is none.
func (k *Keeper) usable() (*key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.key != nil:
		return k.key, nil
	case k.problem != nil:
		return nil, k.problem
	}
	return nil, &Error{Path: k.path, What: "is missing", Change: "start the server once, which makes it", cause: os.ErrNotExist}
}

// Seal seals a secret for a purpose and for the row that will hold it, which row names: the value cannot be
// opened as another row's. It is to be called in the transaction that writes the row, as the database must know
// of the purpose with the first value of it. Its error is an *Error if the seal cannot be used.
func (k *Keeper) Seal(tx *store.Tx, purpose Purpose, row string, plain []byte) ([]byte, error) {
	with, err := k.usable()
	if err != nil {
		return nil, err
	}
	if !k.isNoted(purpose) {
		id, err := tx.NoteSealed(string(purpose), with.String())
		if err != nil {
			return nil, err
		}
		if id != with.String() {
			return nil, &Error{Path: k.path, What: "is another one than that of this database", Lost: []Purpose{purpose}, cause: ErrOtherKey}
		}
		tx.AfterCommit(func() { k.note(purpose) })
	}
	return with.seal(purpose, row, plain)
}

// Open opens what Seal sealed for the same purpose and row. Its error is an *Error if the seal cannot be used,
// ErrOtherKey or ErrDamaged.
func (k *Keeper) Open(purpose Purpose, row string, sealed []byte) ([]byte, error) {
	with, err := k.usable()
	if err != nil {
		return nil, err
	}
	return with.open(purpose, row, sealed)
}

func (k *Keeper) isNoted(purpose Purpose) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.noted[purpose]
}

func (k *Keeper) note(purpose Purpose) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.noted[purpose] = true
}
