package matrixauth_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"

	"strings"
)

// TestServerName: a database is of the homeserver whose accounts it holds, and of no other.
func TestServerName(t *testing.T) {
	ctx := context.Background()
	other := func(h *house.House) matrixauth.Config {
		c := h.Config
		c.ServerName, c.Issuer = "other.test", "https://matrix.other.test"
		return c
	}
	deps := matrixauth.Deps{Logger: slog.New(slog.DiscardHandler)}
	t.Run("nobody's before the first account", func(t *testing.T) {
		h := house.New(t)
		if _, err := matrixauth.New(h.Core, other(h), deps); err != nil {
			t.Error(err)
		}
		h.Must(matrixauth.CheckDatabase(ctx, h.File, "other.test"))
	})
	t.Run("kept from the first account on", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		_, err := matrixauth.New(h.Core, other(h), deps)
		h.WantSentence(err, h.File, "holds the accounts of example.test", "the configuration says other.test", "set it back")
		// As "caddy validate" does, while a server has it open.
		h.WantSentence(matrixauth.CheckDatabase(ctx, h.File, "other.test"), "holds the accounts of example.test")
		h.Must(matrixauth.CheckDatabase(ctx, h.File, house.ServerName))
	})
	t.Run("at a command without a server", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		h.Must(h.Store.Close())
		before := dirOf(t, h.File)
		h.WantSentence(matrixauth.CheckDatabase(ctx, h.File, "other.test"), "holds the accounts of example.test")
		if after := dirOf(t, h.File); after != before {
			t.Errorf("it left %s, was %s", after, before)
		}
		_, err := matrixauth.Reach(ctx, matrixauth.Target{Database: h.File}, other(h), deps)
		h.WantSentence(err, "holds the accounts of example.test")
		o, err := matrixauth.Reach(ctx, matrixauth.Target{Database: h.File}, h.Config, deps)
		h.Must(err)
		h.Must(o.Close())
		h.Open()
	})
	t.Run("a database from before is taken to be of the first server that starts", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		h.SQL("DELETE FROM homeserver")
		if _, err := matrixauth.New(h.Core, other(h), deps); err != nil {
			t.Errorf("nobody can know: %v", err)
		}
		h.Server.Start()
		h.Server.Stop()
		_, err := matrixauth.New(h.Core, other(h), deps)
		h.WantSentence(err, "holds the accounts of example.test")
	})
	t.Run("what is no database says nothing", func(t *testing.T) {
		for name, make := range map[string]func(path string) error{
			"absent": func(string) error { return nil },
			"text":   func(path string) error { return os.WriteFile(path, []byte("hello"), 0o600) },
			"empty":  func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"folder": func(path string) error { return os.Mkdir(path, 0o700) },
			"link":   func(path string) error { return os.Symlink("elsewhere", path) },
		} {
			path := filepath.Join(t.TempDir(), "auth.db")
			if err := errors.Join(make(path), matrixauth.CheckDatabase(ctx, path, "other.test")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("another name in the same transaction", func(t *testing.T) {
		h := house.New(t)
		h.Add("alice")
		err := h.Store.Update(ctx, func(tx *store.Tx) error { return tx.Claim("other.test") })
		h.WantSentence(err, "holds the accounts of example.test")
	})
}

// dirOf lists the names beside a file.
func dirOf(t *testing.T, file string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
