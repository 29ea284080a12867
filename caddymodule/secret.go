package caddymodule

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// maxSecret bounds a secret file, in bytes.
const maxSecret = 4096

// readSecret reads a secret from a file, without the white space around it. Its errors name the file
// and never its content.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("the secret file %s is empty", path)
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("the secret file %s is longer than %d bytes; is it the right file?", path, maxSecret)
	}
	return secret, nil
}

// ensureSecret reads the secret that was generated earlier, or generates it: once, readable by its
// owner alone.
func ensureSecret(path string) (string, error) {
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("the secret cannot be kept: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readSecret(path)
	}
	if err != nil {
		return "", fmt.Errorf("the secret cannot be kept: %w", err)
	}
	secret = rand.Text() + rand.Text()
	_, err = f.WriteString(secret + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("the secret cannot be kept in %s: %w", path, err), os.Remove(path))
	}
	return secret, nil
}

func timeOf(d caddy.Duration) time.Duration { return time.Duration(d) }
