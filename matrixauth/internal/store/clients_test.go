package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func addClient(tx *Tx, id string) error {
	return tx.InsertClient(model.Client{ID: id, CreatedAt: tx.Now, Metadata: model.ClientMetadata{URI: "https://example.com"}}, model.HashToken(id))
}

// clientsOf tells which of some clients are there.
func clientsOf(t *testing.T, s *Store, ids ...string) (found []string) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		for _, id := range ids {
			_, err := tx.Client(id)
			if err == nil {
				found = append(found, id)
			} else if !errors.Is(err, model.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestRetainClients removes registrations that nobody has used for a month, and after two days those that
// nobody ever consented to, in batches, and never one of which a session lives.
func TestRetainClients(t *testing.T) { // REG-26
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	const crowd = retentionBatch + 7
	signIn := func(tx *Tx, client string) error {
		return tx.InsertSession(model.Session{ID: client, Kind: model.OAuthSession, UserID: "alice", DeviceID: client, Scope: model.ScopeAPI, ClientID: client, CreatedAt: tx.Now})
	}
	update(t, s, func(tx *Tx) error {
		errs := []error{addUser(tx, "alice")}
		for _, id := range []string{"live", "ended", "used", "unused"} {
			errs = append(errs, addClient(tx, id), tx.SaveConsent(model.Consent{UserID: "alice", ClientID: id, RedirectURI: "https://example.com", Scope: "x"}))
		}
		for i := range crowd {
			errs = append(errs, addClient(tx, fmt.Sprint("crowd", i)))
		}
		return errors.Join(append(errs, signIn(tx, "live"), signIn(tx, "ended"), tx.EndSession("ended", model.EndLogout))...)
	})
	consents := func() (n int) {
		t.Helper()
		if err := s.reader.QueryRow("SELECT COUNT(*) FROM consents").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	retain := func(want ...string) {
		t.Helper()
		if _, err := s.Retain(context.Background()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, clientsOf(t, s, "live", "ended", "used", "unused", "crowd0", fmt.Sprint("crowd", crowd-1))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	began := now
	now = began.Add(time.Minute)
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.ProveClient("ended"), tx.ProveClient("used"), tx.ProveClient("unused"))
	})
	now = began.Add(bound.KeepUnprovenClient)
	retain("live", "ended", "used", "unused", "crowd0", fmt.Sprint("crowd", crowd-1))
	now = now.Add(time.Second)
	retain("live", "ended", "used", "unused")
	now = began.Add(time.Minute + bound.KeepUnusedClient)
	retain("live", "ended", "used", "unused")
	update(t, s, func(tx *Tx) error { return tx.TouchClient("used") })
	now = now.Add(time.Second)
	retain("live", "used")
	if n := consents(); n != 2 {
		t.Errorf("%d consents are left", n)
	}
	now = now.Add(5 * bound.KeepUnusedClient)
	retain("live")
	update(t, s, func(tx *Tx) error { return tx.EndSession("live", model.EndLogout) })
	retain()
	if n := consents(); n != 0 {
		t.Errorf("%d consents are left", n)
	}
}

// TestConsentsAreBounded: an account holder can consent to as many clients as they register.
func TestConsentsAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	update(t, s, func(tx *Tx) error {
		for _, id := range []string{"alice", "bob"} {
			if err := tx.InsertUser(model.User{ID: id, Localpart: id, CreatedAt: tx.Now}); err != nil {
				return err
			}
		}
		return tx.SaveConsent(model.Consent{UserID: "bob", ClientID: "his", RedirectURI: "https://example.com", Scope: "x"})
	})
	for i := range bound.Consents + 3 {
		now = now.Add(time.Minute)
		update(t, s, func(tx *Tx) error {
			return tx.SaveConsent(model.Consent{UserID: "alice", ClientID: fmt.Sprintf("app%03d", i), RedirectURI: "https://example.com", Scope: "x"})
		})
	}
	update(t, s, func(tx *Tx) error {
		hers, err := tx.Consents("alice")
		if err != nil {
			return err
		}
		if len(hers) != bound.Consents || hers[0].ClientID != fmt.Sprintf("app%03d", bound.Consents+2) || hers[len(hers)-1].ClientID != "app003" {
			t.Errorf("%d are remembered, from %s to %s", len(hers), hers[len(hers)-1].ClientID, hers[0].ClientID)
		}
		his, err := tx.Consents("bob")
		if len(his) != 1 {
			t.Errorf("another user has %d", len(his))
		}
		return err
	})
}
