package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// SocketPath returns where the server of a database listens: beside it. Where that path is too long for a socket it
// is a private directory for temporary files, which a service may have to itself, so that its commands do not
// find it; Linux has a way around.
func SocketPath(database string) string {
	if path := database + ".sock"; len(path) <= place.MaxSocketPath || place.LongSockets() {
		return path
	}
	sum := sha256.Sum256([]byte(database))
	return filepath.Join(os.TempDir(), "matrix-auth-"+hex.EncodeToString(sum[:8]), "socket")
}

// prepare removes what a server that was killed left: the caller holds the database's lock, so nobody
// listens there. A directory for temporary files must be ours alone.
func prepare(database, path string) error {
	if dir := filepath.Dir(path); dir != filepath.Dir(database) {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("socket for commands: %w", err)
		}
		if err := private(dir, database); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("socket for commands: %w", err)
	}
	return nil
}

// private makes sure that a directory belongs to the owner of the database and is closed to others:
// a socket that somebody else put there would be told passwords.
func private(dir, database string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("socket for commands: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !place.SameOwner(dir, database) {
		return fmt.Errorf("socket for commands: %s is not a private directory of the database's owner; remove it", dir)
	}
	return nil
}
