package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// ClosedError says that there are keys of tokens, and that the database that they made tokens for is not there. A new
// one would not know those tokens; so none is made, and nothing is opened until somebody decides.
type ClosedError struct {
	Database, KeyFile string
	// What is wrong with the database, in words that go on after its path.
	What string
}

// Error names both files and the two ways out.
func (e *ClosedError) Error() string {
	return fmt.Sprintf("closed, so that nobody is signed out: the keys of tokens are in %s, and the database %s %s. Put the database back (mount its disk, or \"caddy matrix-auth restore FILE\"), and it opens by itself; "+
		"or begin anew without the sessions that there were: \"caddy matrix-auth forget\"", e.KeyFile, e.Database, e.What)
}

// CheckClosed returns a *ClosedError if there are keys of tokens at keyFile, which is empty for those beside the
// database, and certainly not the database that they belong to. It leaves no trace. What cannot be told without one,
// Open finds out.
func CheckClosed(ctx context.Context, database, keyFile string) error {
	keyFile = cmp.Or(keyFile, KeyFile(database))
	if !isThere(keyFile) {
		return nil
	}
	return asOwnerOf(database, keyFile, func() error {
		found, known := store.PeekContents(context.WithoutCancel(ctx), database)
		if !known {
			return nil
		}
		return checkBelongs(database, keyFile, found)
	})
}

// asOwnerOf has a process of root run f with the rights of who owns a database, or its keys if it is not there: that user
// must not lead root to what they could not read themselves (KEY-14). f must not leave its goroutine.
func asOwnerOf(database, keyFile string, f func() error) (err error) {
	info, failed := os.Lstat(database)
	if failed != nil {
		info, failed = os.Lstat(keyFile)
	}
	if failed != nil {
		return f()
	}
	if _, failed = place.AsOwner(info, func() { err = f() }); failed != nil {
		return failed
	}
	return err
}

// isThere reports whether there may be a file at a path.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// checkBelongs returns a *ClosedError if the keys of a file are not those of a database that holds this. Accounts are
// proof enough: the keys may have been replaced, or the database be older than they are.
func checkBelongs(database, keyFile string, found store.Contents) error {
	closed := &ClosedError{Database: database, KeyFile: keyFile}
	switch _, err := os.Lstat(database); {
	case found.Users:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		closed.What = "is not there"
		return closed
	case !found.Tables:
		closed.What = "is empty"
		return closed
	}
	fingerprints, err := tokenkey.Fingerprints(keyFile)
	if errors.Is(err, fs.ErrNotExist) || slices.ContainsFunc(found.TokenKeys, func(k store.TokenKey) bool { return slices.Contains(fingerprints, k.Fingerprint) }) {
		return nil
	}
	closed.What = "is another one, without accounts, which knows none of these keys"
	if err != nil {
		closed.What = "has no accounts, by which it would be known, and the keys cannot be compared (" + err.Error() + ")"
	}
	return closed
}

// ErrNothingToForget says that there is no file of keys.
var ErrNothingToForget = errors.New("there are no keys of tokens")

// CheckForget returns why the keys of tokens at keyFile, which is empty for those beside the database, must not be
// forgotten: the database that they belong to is there. It is ErrNothingToForget without such a file.
func CheckForget(ctx context.Context, database, keyFile string) error {
	keyFile = cmp.Or(keyFile, KeyFile(database))
	if !isThere(keyFile) {
		return fmt.Errorf("%w at %s", ErrNothingToForget, keyFile)
	}
	return asOwnerOf(database, keyFile, func() error { return checkForget(context.WithoutCancel(ctx), database, keyFile) })
}

func checkForget(ctx context.Context, database, keyFile string) error {
	found, known := store.PeekContents(ctx, database)
	if !known {
		return fmt.Errorf("nothing is forgotten: it cannot be told what is in %s; start the server, or move that file away", database)
	}
	if checkBelongs(database, keyFile, found) != nil {
		return nil
	}
	if found.Users {
		return fmt.Errorf("nothing is forgotten: the database %s has accounts, and with it a server opens; if it is the wrong one, move it away", database)
	}
	return fmt.Errorf("nothing is forgotten: the keys in %s belong to the database %s, and with it a server opens", keyFile, database)
}

// ForgetKeys gives the file of the keys of tokens another name with the day in it, so that a server makes a new database
// and new keys, and returns that name. It refuses what CheckForget refuses. A process of root goes on as the owner of the
// file for good. Whoever calls it has seen that no server has the database.
func ForgetKeys(ctx context.Context, database, keyFile string, now time.Time) (kept string, err error) {
	keyFile = cmp.Or(keyFile, KeyFile(database))
	if _, err := place.BecomeOwner(keyFile); err != nil {
		return "", err
	}
	if err := CheckForget(ctx, database, keyFile); err != nil {
		return "", err
	}
	name := keyFile + ".forgotten-" + now.UTC().Format(time.DateOnly)
	kept = name
	for n := 2; isThere(kept); n++ {
		kept = fmt.Sprintf("%s-%d", name, n)
	}
	if err := place.Rename(keyFile, filepath.Base(kept)); err != nil {
		return "", fmt.Errorf("the keys of tokens cannot be put aside: %w", err)
	}
	return kept, nil
}
