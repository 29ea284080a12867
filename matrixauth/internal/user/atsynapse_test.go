package user_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// wanted is what the homeserver should hold of an account.
type wanted struct {
	locked, deactivated, erased bool
	emails                      []string
	displayName                 string
}

// wantThere does the jobs and compares the homeserver's side of alice with what is wanted.
func wantThere(h *house.House, when string, want wanted) {
	h.T.Helper()
	h.Settle()
	if aside := h.SetAside(); len(aside) > 0 {
		h.T.Errorf("%s: set aside are %+v", when, aside)
	}
	u, there := h.Fake.User("alice")
	got := wanted{locked: u.Locked, deactivated: u.Deactivated, erased: u.Erased, emails: u.Emails}
	if u.DisplayName != nil {
		got.displayName = *u.DisplayName
	}
	if !there || got.locked != want.locked || got.deactivated != want.deactivated || got.erased != want.erased ||
		got.displayName != want.displayName || !slices.Equal(got.emails, want.emails) {
		h.T.Errorf("%s: the homeserver has %+v (%v), want %+v", when, got, there, want)
	}
}

// TestChangesReachTheHomeserver: each change of an account is at the homeserver once the jobs are done, whatever came
// between, and nobody has to ask for it again (MOD-1, MOD-11).
func TestChangesReachTheHomeserver(t *testing.T) {
	alice := matrixauth.Name{User: "alice"}
	begin := func(t *testing.T) *house.House {
		h := house.New(t, house.Unlimited)
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword, Email: "alice@example.org", DisplayName: "Alice"})
		wantThere(h, "added", wanted{emails: []string{"alice@example.org"}, displayName: "Alice"})
		return h
	}
	t.Run("addresses and name", func(t *testing.T) {
		h := begin(t)
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: alice, Email: "a@example.org"})
		wantThere(h, "an address added", wanted{emails: []string{"a@example.org", "alice@example.org"}, displayName: "Alice"})
		house.Act(h, matrixauth.RemoveEmail, matrixauth.NameAndEmail{Name: alice, Email: "alice@example.org"})
		wantThere(h, "an address removed", wanted{emails: []string{"a@example.org"}, displayName: "Alice"})
		house.Act(h, matrixauth.SetDisplayName, matrixauth.NameAndDisplayName{Name: alice, DisplayName: "Alice B"})
		wantThere(h, "another name", wanted{emails: []string{"a@example.org"}, displayName: "Alice B"})
	})
	t.Run("lock", func(t *testing.T) {
		h := begin(t)
		house.Act(h, matrixauth.LockUser, alice)
		wantThere(h, "locked", wanted{locked: true, emails: []string{"alice@example.org"}, displayName: "Alice"})
		house.Act(h, matrixauth.UnlockUser, alice)
		wantThere(h, "unlocked", wanted{emails: []string{"alice@example.org"}, displayName: "Alice"})
	})
	for _, erase := range []bool{false, true} {
		t.Run(map[bool]string{false: "deactivation", true: "deactivation that erases"}[erase], func(t *testing.T) {
			h := begin(t)
			house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice, Erase: erase})
			h.Settle()
			if u, _ := h.Fake.User("alice"); !u.Deactivated || u.Erased != erase {
				t.Errorf("the homeserver has %+v", u)
			}
		})
	}
	// While an account is deactivated the homeserver is not told of its changes, so that a reactivation has to bring
	// all of it up to date.
	t.Run("reactivation after an unlock meanwhile", func(t *testing.T) {
		h := begin(t)
		house.Act(h, matrixauth.LockUser, alice)
		h.Settle()
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice})
		h.Settle()
		house.Act(h, matrixauth.UnlockUser, alice)
		h.Settle()
		house.Act(h, matrixauth.ReactivateUser, alice)
		h.Settle()
		if u, _ := h.Fake.User("alice"); u.Deactivated || u.Locked {
			t.Errorf("the homeserver has %+v", u)
		}
		h.LoginOn("alice", "PHONE")
	})
	t.Run("reactivation after a lock meanwhile", func(t *testing.T) {
		h := begin(t)
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice})
		h.Settle()
		house.Act(h, matrixauth.LockUser, alice)
		h.Settle()
		house.Act(h, matrixauth.ReactivateUser, alice)
		h.Settle()
		if u, _ := h.Fake.User("alice"); u.Deactivated || !u.Locked {
			t.Errorf("the homeserver has %+v", u)
		}
		h.TryLogin("alice", nil).Want(t, http.StatusUnauthorized, "M_USER_LOCKED")
	})
	t.Run("reactivation forgets addresses that the homeserver kept", func(t *testing.T) {
		h := begin(t)
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice})
		h.Settle()
		h.Fake.Seed(fake.User{Localpart: "alice", Deactivated: true, Emails: []string{"alice@example.org"}})
		house.Act(h, matrixauth.ReactivateUser, alice)
		wantThere(h, "reactivated", wanted{})
	})
	t.Run("reactivation before the deactivation was told", func(t *testing.T) {
		h := begin(t)
		h.Fake.Stop()
		house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: alice})
		house.Act(h, matrixauth.ReactivateUser, alice)
		h.Fake.Resume()
		wantThere(h, "back", wanted{displayName: "Alice"})
		h.LoginOn("alice", "PHONE")
	})
}
