package matrixauth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// MaxSecret bounds a file that holds a secret, in bytes.
const MaxSecret = bound.SecretFile

// SecretFile returns where the secret is kept that is generated for a database.
func SecretFile(database string) string {
	return filepath.Join(filepath.Dir(database), "matrix_auth.secret")
}

// ParseSecret returns the secret that a file holds, without the white space around it. Its errors name the file
// and never its content.
func ParseSecret(path string, data []byte) (string, error) {
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("the secret file %s is empty", path)
	}
	if len(data) > MaxSecret {
		return "", fmt.Errorf("the secret file %s is longer than %d bytes; is it the right file?", path, MaxSecret)
	}
	if problem := checkSecret(secret); problem != "" {
		return "", fmt.Errorf("the secret file %s: %s", path, problem)
	}
	return secret, nil
}

// ReadSecret reads the generated secret beside the database, following no link. Its group's bits stay as
// they are: an access list may let Synapse's user read it.
func ReadSecret(path string) (string, error) {
	data, err := place.ReadSmall(path, place.Lent)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	return ParseSecret(path, data)
}

// MakeSecretDir makes the directory of a generated secret, before the server has ever run: root makes it for
// the server's user, whose directory it must lie in.
func MakeSecretDir(path string, uid, gid int) error {
	if err := place.MakeDir(filepath.Dir(path), uid, gid); err != nil {
		return fmt.Errorf("the secret cannot be kept: %w", err)
	}
	return nil
}

// MakeDatabaseDir is MakeSecretDir for a database that is to be put there.
func MakeDatabaseDir(path string, uid, gid int) error {
	if err := place.MakeDir(filepath.Dir(path), uid, gid); err != nil {
		return fmt.Errorf("the database %s cannot be put there: %w", path, err)
	}
	return nil
}

// EnsureSecret reads the secret that was generated earlier, or generates it: once, readable by its owner
// alone. It belongs to the directory's owner if root runs it.
func EnsureSecret(path string) (string, error) {
	secret, err := ReadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("the secret cannot be kept: %w", err)
	}
	secret = rand.Text() + rand.Text()
	err = place.Create(path, []byte(secret+"\n"))
	if errors.Is(err, fs.ErrExist) {
		return ReadSecret(path)
	}
	if err != nil {
		return "", fmt.Errorf("the secret cannot be kept: %w", err)
	}
	return secret, nil
}

// ReplaceSecret puts a secret in the place of the generated one, at once and durably, readable by its owner
// alone and by whom the old file's access list names. It belongs to the directory's owner if root runs it.
func ReplaceSecret(path, secret string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the secret cannot be kept: %w", err)
	}
	err := place.Replace(path, []byte(secret+"\n"))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s cannot be written by this user; run the command as Caddy's user or as root", path)
	}
	if err != nil {
		return fmt.Errorf("the secret cannot be kept: %w", err)
	}
	return nil
}

// ReplaceFile puts a file in the place of one that a server keeps, at once and durably, for its owner alone. It belongs
// to the directory's owner if root runs it.
func ReplaceFile(path string, data []byte) error { return place.Replace(path, data) }
