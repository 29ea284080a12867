package store

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestMigrateMethods: whoever is signed in before an upgrade did it by a password, as there was nothing else.
func TestMigrateMethods(t *testing.T) {
	path := oldDatabase(t, 7, `INSERT INTO users (id, localpart, created_at) VALUES ('alice', 'alice', 1);
		INSERT INTO browser_sessions (id, hash, user_id, created_at, authenticated_at, last_active_at, last_ip, user_agent)
		VALUES ('one', x'01', 'alice', 1, 1, 1, '', '')`)
	s, err := Open(t.Context(), Options{Path: path, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err = s.View(t.Context(), func(tx *Tx) error {
		b, err := tx.BrowserSession("one")
		if !slices.Equal(b.Methods, []model.Method{model.MethodPassword}) {
			t.Errorf("methods are %q", b.Methods)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
