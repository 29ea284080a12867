package session

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestFlushAgain: what could not be written is written the next time, uses as well as activity, and an older time
// never takes the place of a newer one.
func TestFlushAgain(t *testing.T) {
	b := newBench(t)
	registry := b.sessions.config.Registry
	s, tokens := b.start("PHONE")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.clock.Move(time.Minute)
	first := b.clock.Now()
	_, err := b.sessions.Access(tokens.Access)
	b.must(err)
	if err := registry.Flush(gone); err == nil {
		t.Fatal("it was written")
	}
	b.must(registry.Flush(t.Context()))
	want := func(used, active time.Time) {
		t.Helper()
		b.must(b.store.View(t.Context(), func(tx *store.Tx) error {
			found, err := tx.Session(s.ID)
			if err == nil && !found.LastActiveAt.Equal(active) {
				t.Errorf("it was active at %v, want %v", found.LastActiveAt, active)
			}
			return err
		}))
		token, err := b.store.Token(model.HashToken(tokens.Access))
		b.must(err)
		if !token.UsedAt.Equal(used) {
			t.Errorf("the token was used at %v, want %v", token.UsedAt, used)
		}
	}
	want(first, first)
	b.clock.Move(time.Minute)
	newer := b.clock.Now()
	registry.noteActivity(s.ID, newer)
	registry.noteActivity(s.ID, first)
	if err := registry.Flush(gone); err == nil { // of activity alone this time
		t.Fatal("it was written")
	}
	b.must(registry.Flush(t.Context()))
	want(first, newer)
}

// TestRefreshIsActivity: a refresh notes when and from where, at most once a minute unless the network is another one.
func TestRefreshIsActivity(t *testing.T) {
	b := newBench(t)
	s, tokens := b.start("PHONE")
	refreshed := func(ip string) model.Session {
		t.Helper()
		var err error
		tokens, err = b.sessions.Refresh(t.Context(), Refresh{Kind: model.CompatSession, Token: tokens.Refresh, Source: model.Source{IP: ip}})
		b.must(err)
		var found model.Session
		b.must(b.store.View(t.Context(), func(tx *store.Tx) (err error) {
			found, err = tx.Session(s.ID)
			return err
		}))
		return found
	}
	want := func(found model.Session, at time.Time, ip string) {
		t.Helper()
		if !found.LastActiveAt.Equal(at) || found.LastIP != ip {
			t.Errorf("it was active at %v from %q, want %v from %q", found.LastActiveAt, found.LastIP, at, ip)
		}
	}
	b.clock.Move(time.Hour)
	first := b.clock.Now()
	want(refreshed("192.0.2.1"), first, "192.0.2.1")
	b.clock.Move(activityGrain - time.Second)
	want(refreshed("192.0.2.1"), first, "192.0.2.1")
	b.clock.Move(time.Second)
	want(refreshed("192.0.2.1"), b.clock.Now(), "192.0.2.1")
	b.clock.Move(time.Second)
	want(refreshed("198.51.100.7"), b.clock.Now(), "198.51.100.7")
}
