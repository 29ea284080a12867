package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestImported: whether there are tokens of another server is known without a look at the database, from the commit of
// the first one on, and after a start.
func TestImported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var s *Store
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reopen := func() {
		t.Helper()
		if s != nil {
			must(s.Close())
		}
		var err error
		s, err = Open(t.Context(), Options{Path: path, Create: true, Now: time.Now, NoSync: true})
		must(err)
	}
	want := func(when string, want bool) {
		t.Helper()
		if s.Imported() != want {
			t.Errorf("%s: %v", when, s.Imported())
		}
	}
	reopen()
	defer func() { must(s.Close()) }()
	session := model.Session{ID: "s", Kind: model.CompatSession, UserID: "alice", DeviceID: "D", Scope: model.ScopeAPI}
	tokens := []model.Token{{Kind: model.CompatAccess, Hash: model.HashToken("syt_a"), Pair: 1}}
	must(s.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.InsertUser(model.User{ID: "alice", Localpart: "alice", CreatedAt: tx.Now}),
			tx.InsertSession(model.Session{ID: "ours", Kind: model.CompatSession, UserID: "alice", CreatedAt: tx.Now}),
			tx.InsertToken(model.Token{Kind: model.CompatAccess, Hash: model.HashToken("mct_a"), SessionID: "ours", Pair: 1, CreatedAt: tx.Now}))
	}))
	want("with tokens of ours", false)
	failed := errors.New("failed")
	if err := s.Update(t.Context(), func(tx *Tx) error { return errors.Join(tx.InsertImported(session, "alice", tokens), failed) }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	want("after an import that was undone", false)
	must(s.Update(t.Context(), func(tx *Tx) error { return tx.InsertImported(session, "alice", tokens) }))
	want("after an import", true)
	reopen()
	want("after a start", true)
	found, err := s.Token(tokens[0].Hash)
	if must(err); found.UserID != "alice" || found.Localpart != "alice" || found.DeviceID != "D" || found.Scope != model.ScopeAPI || !found.ExpiresAt.IsZero() {
		t.Errorf("the token is %+v", found)
	}
	must(s.Update(t.Context(), func(tx *Tx) error { return tx.DeleteTokens("s") }))
	reopen()
	want("after a start without any", false)
}

// TestImportedNumbers: where the tokens of an imported session stand tells what was used of them, and each session has a
// seed of its own.
func TestImportedNumbers(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	consumed, next := model.HashToken("syr_a"), model.HashToken("syr_b")
	rows := func(usedAt time.Time) []model.Token {
		return []model.Token{
			{Kind: model.CompatRefresh, Hash: consumed, Pair: 1},
			{Kind: model.CompatRefresh, Hash: next, Generation: 1, Pair: 2, Parent: consumed, ExpiresAt: now.Add(2 * time.Hour)},
			{Kind: model.CompatAccess, Hash: model.HashToken("syt_b"), Generation: 1, Pair: 2, Parent: consumed, UsedAt: usedAt},
		}
	}
	if err := s.Update(t.Context(), func(tx *Tx) error {
		return tx.InsertUser(model.User{ID: "alice", Localpart: "alice", CreatedAt: tx.Now})
	}); err != nil {
		t.Fatal(err)
	}
	for id, used := range map[string]int64{"unused": 0, "used": 1} {
		var usedAt time.Time
		if used == 1 {
			usedAt = now
		}
		err := s.Update(t.Context(), func(tx *Tx) error {
			active := now.Add(-time.Hour)
			if err := tx.InsertImported(model.Session{ID: id, Kind: model.CompatSession, UserID: "alice", EndsAt: now.Add(time.Hour), LastActiveAt: active}, "alice", rows(usedAt)); err != nil {
				return err
			}
			got, err := tx.Session(id)
			if got.Generation != 1 || got.Pairs != 2 || got.UsedGeneration != used || len(got.Seed) != 16 || !got.EndsAt.Equal(now.Add(time.Hour)) || !got.LastActiveAt.Equal(active) || !got.CreatedAt.Equal(now) {
				t.Errorf("%s is %+v", id, got)
			}
			token, tokenErr := tx.RefreshToken(next)
			if !token.Imported || token.Parent != consumed || !token.ExpiresAt.Equal(got.EndsAt) {
				t.Errorf("the refresh token is %+v", token)
			}
			return errors.Join(err, tokenErr, tx.DeleteTokens(id))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
