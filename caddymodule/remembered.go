package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// A disk that is not mounted yet looks like a server that was never started. A new database in its place would
// call every token inactive, upon which clients sign their users out and destroy their keys. So Caddy's data
// directory keeps which databases there were, and none of them is made anew.

// rememberedFile holds the paths of databases that lie elsewhere than in Caddy's data directory, one a line.
func rememberedFile() string { return filepath.Join(caddy.AppDataDir(), "matrix_auth", "databases") }

// remembering guards the file: a reload may open two databases.
var remembering sync.Mutex

func remembered() ([]string, error) { return readRemembered(rememberedFile()) }

func readRemembered(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n"), err
}

// checkPresent returns an error if a database was here and is not any more.
func checkPresent(database string) error {
	if _, err := os.Lstat(database); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	remembering.Lock()
	defer remembering.Unlock()
	known, err := remembered()
	if err != nil {
		return fmt.Errorf("which databases there were cannot be read: %w", err)
	}
	if slices.Contains(known, database) {
		return fmt.Errorf("database %s was here and is not: is its disk mounted? If it is lost for good, \"caddy matrix-auth forget\" has a new one made (by taking its line out of %s)", database, rememberedFile())
	}
	return nil
}

// remember keeps that there is a database. One in Caddy's data directory need not be kept: it comes and goes
// with what keeps it.
func remember(database string) error {
	file := rememberedFile()
	if filepath.Dir(database) == filepath.Dir(file) {
		return nil
	}
	remembering.Lock()
	defer remembering.Unlock()
	known, err := remembered()
	if err != nil || slices.Contains(known, database) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(database + "\n")
	return errors.Join(err, f.Close())
}

// remembers reports whether a file keeps that there was a database, which is not there.
func remembers(file, database string) bool {
	if _, err := os.Lstat(database); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	known, err := readRemembered(file)
	return err == nil && slices.Contains(known, database)
}

// unremember takes a database out of a file that keeps that there was one.
func unremember(file, database string) error {
	known, err := readRemembered(file)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(known, func(line string) bool { return line == database })
	return matrixauth.ReplaceFile(file, []byte(strings.Join(append(left, ""), "\n")))
}
