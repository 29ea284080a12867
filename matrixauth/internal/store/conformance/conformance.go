// Package conformance tests an engine of the store: that its transactions, its rows, their order and their
// uniqueness are what the domain relies upon. It asks by the exported methods of package store alone, so a second
// engine is tested by the same cases. It must know no SQL and nothing of how an engine keeps its rows.
//
// One process writes to a database, whatever the engine: the domain's memory (limits, locks of lanes, the tokens
// that have just ended) is that of this process. An engine that several processes can open must refuse the second
// one, as SQLite's lock file does.
package conformance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Engine is what keeps the rows of a store.
type Engine struct {
	// Open opens the database at a place, by a clock, and makes it if it is not there. Place is empty for a new
	// one that no other test has. It may fail only for ErrHeld cases: whoever has it open already.
	Open func(t testing.TB, place string, now func() time.Time) (*store.Store, error)
	// Crash returns the place of a database as it is found after the process of an open store was killed. Nil if
	// the engine cannot be asked.
	Crash func(t testing.TB, s *store.Store) (place string)
	// Place is where an open store has its database.
	Place func(s *store.Store) string
}

// Run runs the cases on an engine.
func Run(t *testing.T, e Engine) {
	for name, check := range map[string]func(*bench){
		"transactions":   transactions,
		"isolation":      isolation,
		"durability":     durability,
		"one_writer":     oneWriter,
		"users":          users,
		"emails":         emails,
		"sessions":       sessions,
		"tokens":         tokens,
		"refresh":        refresh,
		"clients":        clients,
		"consents":       consents,
		"authorizations": authorizations,
		"browsers":       browsers,
		"places":         places,
		"failures":       failures,
		"outbox":         outbox,
		"retention":      retention,
		"seals":          seals,
		"server_name":    serverName,
		"gaps":           gaps,
		"token_keys":     tokenKeys,
		"lost_sessions":  lostSessions,
		"verifications":  verifications,
	} {
		t.Run(name, func(t *testing.T) { check(newBench(t, e)) })
	}
}

// bench is a store on a clock that the test moves.
type bench struct {
	*testing.T
	engine Engine
	store  *store.Store

	mu  sync.Mutex
	now time.Time
}

func newBench(t *testing.T, e Engine) *bench {
	b := &bench{T: t, engine: e, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b.store = b.open("")
	return b
}

// open opens a database that is closed at the end of the test.
func (b *bench) open(place string) *store.Store {
	b.Helper()
	s, err := b.engine.Open(b, place, b.clock)
	b.must(err)
	b.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			b.Error(err)
		}
	})
	return s
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) move(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) update(f func(tx *store.Tx) error) {
	b.Helper()
	b.must(b.store.Update(context.Background(), f))
}

func (b *bench) view(f func(tx *store.Tx) error) {
	b.Helper()
	b.must(b.store.View(context.Background(), f))
}

// refused wants a write to fail, and to leave nothing behind.
func (b *bench) refused(what string, f func(tx *store.Tx) error) {
	b.Helper()
	if err := b.store.Update(context.Background(), f); err == nil {
		b.Errorf("%s was written", what)
	}
}

// user writes an account whose id is its localpart.
func user(tx *store.Tx, name string) error {
	return tx.InsertUser(model.User{ID: name, Localpart: name, CreatedAt: tx.Now})
}

// session writes a live session of a user whose id is also the device's.
func session(tx *store.Tx, userID, id string) error {
	return tx.InsertSession(model.Session{ID: id, Kind: model.CompatSession, UserID: userID, DeviceID: id, Scope: model.ScopeAPI, CreatedAt: tx.Now, LastActiveAt: tx.Now, LastIP: "192.0.2.1"})
}

// has reports whether an account is there.
func (b *bench) has(s *store.Store, name string) bool {
	b.Helper()
	err := s.View(context.Background(), func(tx *store.Tx) error { _, err := tx.User(name); return err })
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		b.Fatal(err)
	}
	return err == nil
}

// absent wants model.ErrNotFound.
func (b *bench) absent(what string, err error) {
	b.Helper()
	if !errors.Is(err, model.ErrNotFound) {
		b.Errorf("%s: %v", what, err)
	}
}
