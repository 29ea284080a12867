package store

import (
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func (a *acquainted) fail(userID, agent string, tries int64) {
	a.t.Helper()
	update(a.t, a.Store, func(tx *Tx) error {
		return tx.AddFailedSignIns(model.FailedSignIns{UserID: userID, Network: "192.0.2.1", UserAgent: agent, First: tx.Now.Add(-time.Minute), Last: tx.Now, Tries: tries})
	})
}

func (a *acquainted) failed(userID string) (all []model.FailedSignIns) {
	a.t.Helper()
	update(a.t, a.Store, func(tx *Tx) (err error) {
		all, err = tx.FailedSignIns(userID)
		return err
	})
	return all
}

// TestFailedSignInsAreKept: those from one network are one row with the first and the last time, for thirty days after the
// last.
func TestFailedSignInsAreKept(t *testing.T) {
	a := newAcquainted(t)
	began := a.now
	a.fail("alice", "old", 2)
	a.move(bound.KeepFailedSignIns)
	a.fail("alice", "new", 3)
	want := model.FailedSignIns{UserID: "alice", Network: "192.0.2.1", UserAgent: "new", First: began.Add(-time.Minute), Last: a.now, Tries: 5}
	if got := a.failed("alice"); len(got) != 1 || got[0] != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	retain := func() (rows int64) {
		t.Helper()
		if _, err := a.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
		update(t, a.Store, func(tx *Tx) (err error) {
			rows, err = one(tx, scanCount, "SELECT COUNT(*) FROM failed_sign_ins")
			return err
		})
		return rows
	}
	a.move(bound.KeepFailedSignIns)
	if rows := retain(); rows != 1 {
		t.Errorf("%d rows at the end of their time", rows)
	}
	a.move(time.Microsecond)
	if got := a.failed("alice"); len(got) != 0 {
		t.Errorf("shown after their time: %+v", got)
	}
	a.fail("alice", "later", 1) // before retention came by
	if got := a.failed("alice"); len(got) != 1 || got[0].Tries != 1 {
		t.Errorf("a count of before goes on: %+v", got)
	}
	a.move(bound.KeepFailedSignIns + time.Microsecond)
	if rows := retain(); rows != 0 {
		t.Errorf("%d rows after their time", rows)
	}
}

// TestFailedSignInsOfNobody: none is kept of an account that is not there, or deactivated.
func TestFailedSignInsOfNobody(t *testing.T) {
	a := newAcquainted(t)
	update(t, a.Store, func(tx *Tx) error {
		_, err := tx.exec("UPDATE users SET deactivated_at = 1 WHERE id = 'alice'")
		return err
	})
	for _, id := range []string{"alice", "nobody", ""} {
		a.fail(id, "", 1)
		if got := a.failed(id); len(got) != 0 {
			t.Errorf("%q: %+v", id, got)
		}
	}
}
