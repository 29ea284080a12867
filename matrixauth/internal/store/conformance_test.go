package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store/conformance"
)

// TestSQLite runs the suite on the engine that we have. Each write is rehearsed in one of the two runs, as happens
// to those that share a commit with one that fails.
func TestSQLite(t *testing.T) {
	for name, rehearse := range map[string]bool{"plain": false, "rehearsed": true} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, conformance.Engine{
				Open: func(t testing.TB, place string, now func() time.Time) (*store.Store, error) {
					if place == "" {
						place = filepath.Join(t.TempDir(), "test.db")
					}
					return store.Open(t.Context(), store.Options{Path: place, Create: true, Now: now, Rehearse: rehearse})
				},
				Place: (*store.Store).Path,
				Crash: copyAsFound,
			})
		})
	}
}

// copyAsFound copies the files of an open database as they are at this moment, which is how a process that is killed
// leaves them.
func copyAsFound(t testing.TB, s *store.Store) (place string) {
	t.Helper()
	place = filepath.Join(t.TempDir(), "crashed.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(s.Path() + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, os.WriteFile(place+suffix, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return place
}
