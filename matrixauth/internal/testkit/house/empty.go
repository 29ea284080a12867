package house

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// empty is a database with all tables, and no rows but what tells that it was opened at testkit.Start. The migrations
// cost as much as all else of a server, and are tested with the store.
var empty = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "empty")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	file := filepath.Join(folder, "auth.db")
	s, err := store.Open(context.Background(), store.Options{Path: file, Create: true, NoSync: true, Now: testkit.NewClock().Now})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// placeEmpty puts an empty database where there is none yet.
func placeEmpty(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	content, err := empty()
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
