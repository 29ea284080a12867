package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestEvents lists what was recorded, the newest first, and what a failed transaction recorded not at all.
func TestEvents(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	by := model.Holder("alice", model.Source{IP: "192.0.2.1", UserAgent: "app"})
	update(t, s, func(tx *Tx) error {
		return errors.Join(addUser(tx, "alice"),
			tx.Record(by, model.ActionStartSession, "alice", model.Details{"session_id": "1"}),
			tx.Record(model.Operator("0", "root"), model.ActionLockUser, "bob", nil),
			tx.Record(model.TheServer(), model.ActionEndSession, "alice", nil))
	})
	failure := errors.New("it failed")
	err := s.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.Record(by, model.ActionSetPassword, "alice", nil), failure)
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter EventFilter
		want   string
	}{
		"all":         {EventFilter{Limit: 10}, "[session.end user.lock session.start]"},
		"of an user":  {EventFilter{UserID: "alice", Limit: 10}, "[session.end session.start]"},
		"a page":      {EventFilter{Limit: 2}, "[session.end user.lock]"},
		"the next":    {EventFilter{Limit: 2, Before: 2}, "[session.start]"},
		"his next":    {EventFilter{UserID: "alice", Limit: 2, Before: 3}, "[session.start]"},
		"of nobody":   {EventFilter{UserID: "carol", Limit: 2}, "[]"},
		"before them": {EventFilter{Limit: 2, Before: 1}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			var found []model.Event
			update(t, s, func(tx *Tx) (err error) { found, err = tx.Events(c.filter); return err })
			actions := []model.Action{}
			for _, e := range found {
				actions = append(actions, e.Action)
			}
			if got := fmt.Sprint(actions); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	update(t, s, func(tx *Tx) error {
		found, err := tx.Events(EventFilter{Before: 2, Limit: 1})
		if err != nil {
			return err
		}
		e := found[0]
		if e.By.Kind != model.ActorUser || e.By.ID != "alice" || e.By.Name != "alice" || e.By.Source != by.Source || !e.At.Equal(now) || e.Localpart != "alice" || e.Details["session_id"] != "1" {
			t.Errorf("it came back as %+v", e)
		}
		return nil
	})
}

// TestRetainEvents bounds events by age and by number, and forgets where people were before that.
func TestRetainEvents(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	by := model.Holder("alice", model.Source{IP: "192.0.2.1", UserAgent: "app"})
	record := func(n int, userID string) {
		t.Helper()
		update(t, s, func(tx *Tx) error {
			for range n {
				if err := tx.Record(by, model.ActionStartSession, userID, nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	counts := func() (got string) {
		t.Helper()
		update(t, s, func(tx *Tx) error {
			for _, userID := range []string{"alice", "bob", ""} {
				n, err := one(tx, scanCount, "SELECT COUNT(*) FROM events WHERE user_id = ?1", userID)
				if err != nil {
					return err
				}
				known, err := one(tx, scanCount, "SELECT COUNT(*) FROM events WHERE user_id = ?1 AND ip <> ''", userID)
				if err != nil {
					return err
				}
				got += fmt.Sprintf("%d/%d ", n, known)
			}
			return nil
		})
		return got
	}
	retain := func(want string) {
		t.Helper()
		if _, err := s.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := counts(); got != want {
			t.Errorf("%s are left, want %s", got, want)
		}
	}
	record(bound.Events+retentionBatch+7, "alice")
	record(bound.Events, "bob")
	record(bound.Events+1, "")
	retain("1000/1000 1000/1000 1000/1000 ")
	update(t, s, func(tx *Tx) error {
		oldest, err := one(tx, scanCount, "SELECT MIN(position) FROM events WHERE user_id = 'alice'")
		if want := int64(retentionBatch + 7 + 1); oldest != want {
			t.Errorf("the oldest that is left is %d, want %d", oldest, want)
		}
		return err
	})
	now = now.Add(bound.KeepEventSource)
	record(3, "bob")
	retain("1000/1000 1000/1000 1000/1000 ")
	now = now.Add(time.Second)
	retain("1000/0 1000/3 1000/0 ")
	now = now.Add(bound.KeepEvent - bound.KeepEventSource)
	retain("0/0 3/0 0/0 ")
}
