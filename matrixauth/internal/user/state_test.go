package user

import (
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

func TestLock(t *testing.T) { // MOD-1, MOD-2
	b := newBench(t)
	alice := b.alice()
	b.login(alice, "D", model.ScopeAPI)
	lock := func() { b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Lock(tx, by, u) }) }
	unlock := func() { b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Unlock(tx, by, u) }) }
	lock()
	if at := b.row(alice.ID).LockedAt; !at.Equal(b.clock.Now()) || !alice.Locked() {
		t.Errorf("locked at %v", at)
	}
	if !b.config.Sessions.Watchful() {
		t.Error("nobody is watched although somebody is locked")
	}
	b.wantEvent(alice, model.ActionLockUser, nil)
	b.work()
	if !b.there("alice").Locked {
		t.Error("the homeserver does not hide the user")
	}
	b.wantLive(alice, 1, 1) // all goes on afterwards

	first, events := b.row(alice.ID).LockedAt, len(b.events(alice))
	b.clock.Move(time.Hour)
	lock() // again, which changes nothing
	if at := b.row(alice.ID).LockedAt; !at.Equal(first) || len(b.events(alice)) != events {
		t.Errorf("locked again at %v", at)
	}
	unlock()
	b.work()
	if b.row(alice.ID).Locked() || b.there("alice").Locked || b.config.Sessions.Watchful() {
		t.Error("still locked")
	}
	b.wantEvent(alice, model.ActionUnlockUser, nil)
	events = len(b.events(alice))
	unlock()
	if len(b.events(alice)) != events {
		t.Error("unlocked again")
	}
	b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) })
	b.work()
	b.synapse.ForgetCalls()
	lock() // a deactivated account the homeserver has hidden already
	b.work()
	if calls := b.synapse.Calls(); len(calls) != 0 {
		t.Errorf("called %+v", calls)
	}
}

func TestDeactivate(t *testing.T) { // MOD-11
	for _, erase := range []bool{false, true} {
		b := newBench(t)
		alice := b.add(NewUser{Localpart: "alice", Password: "correct horse", Email: "alice@example.test"})
		b.login(alice, "D", model.ScopeAPI)
		b.update(func(tx *store.Tx) error { return tx.NoteNetwork(alice.ID, "192.0.2.1") })
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, erase) })
		b.wantLive(alice, 0, 0)
		if !b.row(alice.ID).Deactivated() || len(b.emails(alice.ID)) != 0 {
			t.Error("it has addresses, or is active")
		}
		b.update(func(tx *store.Tx) error {
			if place, err := tx.KnownPlace(alice.ID, "192.0.2.1", nil); err != nil || place.Network {
				t.Errorf("it is known at a place: %v", err)
			}
			hash, err := tx.Password(alice.ID) // so that who knows it is told the truth
			if hash == "" {
				t.Error("the password is gone")
			}
			return err
		})
		b.work()
		if there := b.there("alice"); !there.Deactivated || there.Erased != erase || len(there.Devices) != 0 {
			t.Errorf("the homeserver has %+v", there)
		}
		first := b.row(alice.ID).DeactivatedAt
		b.synapse.Seed(fake.User{Localpart: "alice"}) // restored from an older state
		b.clock.Move(time.Hour)
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, erase) })
		b.work()
		if !b.there("alice").Deactivated || !b.row(alice.ID).DeactivatedAt.Equal(first) {
			t.Error("the homeserver was not told once more, or the time is another")
		}
	}
}

func TestReactivate(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	reactivate := func() {
		t.Helper()
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Reactivate(tx, by, u) })
		b.work()
	}
	b.synapse.ForgetCalls()
	events := len(b.events(alice))
	reactivate() // of an active account, which changes nothing
	if len(b.synapse.Calls()) != 0 || len(b.events(alice)) != events {
		t.Errorf("called %+v", b.synapse.Calls())
	}
	b.login(alice, "D", model.ScopeAPI)
	b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) })
	b.work()
	reactivate()
	if b.row(alice.ID).Deactivated() || b.there("alice").Deactivated {
		t.Error("it is deactivated")
	}
	b.wantEvent(alice, model.ActionReactivateUser, nil)
	b.wantLive(alice, 0, 0)
	b.login(alice, "D", model.ScopeAPI)
}

// TestJobsAreOfThePresent: a job that runs late does what the account is now, never what it was.
func TestJobsAreOfThePresent(t *testing.T) {
	b := newBench(t)
	alice := b.add(NewUser{Localpart: "alice", Email: "alice@example.test"})
	b.change(&alice, func(tx *store.Tx, u *model.User) error {
		if err := b.Deactivate(tx, by, u, false); err != nil {
			return err
		}
		return b.Reactivate(tx, by, u)
	})
	b.synapse.ForgetCalls()
	b.work()
	if calls := b.synapse.Calls("delete_user"); len(calls) != 0 || b.there("alice").Deactivated {
		t.Errorf("the homeserver deactivated a user who is active: %+v", calls)
	}
	if there := b.there("alice"); len(there.Emails) != 0 {
		t.Errorf("the homeserver has the addresses %q", there.Emails)
	}
	b.update(func(tx *store.Tx) error {
		if err := ReactivateJob.Enqueue(b.config.Outbox, tx, alice.ID, Reactivate{}); err != nil {
			return err
		}
		if err := ProvisionJob.Enqueue(b.config.Outbox, tx, alice.ID, Provision{DisplayName: "late"}); err != nil {
			return err
		}
		return b.Deactivate(tx, by, &alice, false)
	})
	b.synapse.ForgetCalls()
	b.work()
	if calls := b.synapse.Calls("reactivate_user", "provision_user"); len(calls) != 0 || !b.there("alice").Deactivated {
		t.Errorf("the homeserver has an account that is deactivated here: %+v", calls)
	}
	b.update(func(tx *store.Tx) error {
		return ProvisionJob.Enqueue(b.config.Outbox, tx, "nobody", Provision{})
	})
	b.config.Outbox.Pass(t.Context())
	if state, err := b.config.Outbox.State(t.Context()); err != nil || state.SetAside != 1 {
		t.Errorf("the outbox is %+v, %v", state, err)
	}
}

func TestEndOne(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	app, inBrowser := b.login(alice, "D", model.ScopeAPI)
	end := func(id string) (ended model.Session, err error) {
		err = b.store.Update(t.Context(), func(tx *store.Tx) error {
			ended, err = b.EndOne(tx, by, id, model.EndByOperator)
			return err
		})
		return ended, err
	}
	for _, want := range []model.Session{{ID: app.ID, UserID: alice.ID, DeviceID: "D"}, {ID: inBrowser.ID, UserID: alice.ID}} {
		if got, err := end(want.ID); err != nil || got.ID != want.ID || got.UserID != want.UserID || got.DeviceID != want.DeviceID {
			t.Errorf("ended %+v, %v", got, err)
		}
		_, err := end(want.ID)
		wantCode(t, err, model.SessionNotFound)
	}
	b.wantLive(alice, 0, 0)
}

func TestLogoutAll(t *testing.T) { // LEG-38, LEG-39
	b := newBench(t)
	alice := b.alice()
	b.login(alice, "D", model.ScopeAPI)
	b.login(alice, "E", model.ScopeAPI)
	if err := b.LogoutAll(over(t), model.Holder(alice.ID, model.Source{})); err == nil {
		t.Error("all ended by a context that has ended")
	}
	b.wantLive(alice, 2, 2)
	b.must(b.LogoutAll(t.Context(), model.Holder(alice.ID, model.Source{})))
	b.wantLive(alice, 0, 0)
	if devices := b.synapse.Devices("alice"); len(devices) != 0 {
		t.Errorf("the devices %q are there after the answer", devices)
	}
	b.login(alice, "D", model.ScopeAPI)
	var ended int
	b.update(func(tx *store.Tx) (err error) {
		ended, err = b.EndEverything(tx, by, alice.ID, model.EndByOperator)
		return err
	})
	if ended != 2 {
		t.Errorf("%d ended", ended)
	}
}

// TestSetAdmin: who may not administer any more has no session that does (SCOPE-13).
func TestSetAdmin(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	set := func(admin bool) {
		t.Helper()
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.SetAdmin(tx, by, u, admin) })
		if b.row(alice.ID).Admin != admin {
			t.Errorf("administrator: %v", !admin)
		}
	}
	set(true)
	b.wantEvent(alice, model.ActionSetAdmin, map[string]any{"admin": true})
	events := len(b.events(alice))
	set(true)
	if len(b.events(alice)) != events {
		t.Error("what is so already has an event")
	}
	plain, _ := b.login(alice, "D", model.ScopeAPI)
	b.login(alice, "E", model.ScopeAPI+" "+model.ScopeSynapseAdmin)
	set(true)
	b.wantLive(alice, 2, 2)
	set(false)
	b.wantLive(alice, 1, 2)
	if lives, err := b.config.Sessions.IsLive(t.Context(), plain.ID); err != nil || !lives {
		t.Errorf("a session that does not administer ended: %v", err)
	}
}

// TestConfirm follows what Synapse's administration API did without our knowledge (MOD-11).
func TestConfirm(t *testing.T) {
	confirm := func(b *bench, u model.User, want model.Code) {
		t.Helper()
		err := b.Confirm(t.Context(), u)
		if want != "" {
			wantCode(t, err, want)
			return
		}
		b.must(err)
	}
	t.Run("an_active_account_goes_on", func(t *testing.T) {
		b := newBench(t)
		alice := b.alice()
		confirm(b, alice, "")
		if b.row(alice.ID).Deactivated() || b.log.String() != "" {
			t.Errorf("logged %s", b.log)
		}
	})
	t.Run("a_deactivated_one_is_deactivated_here_too", func(t *testing.T) {
		b := newBench(t)
		alice := b.add(NewUser{Localpart: "alice", Email: "alice@example.test"})
		b.login(alice, "D", model.ScopeAPI)
		b.synapse.Deactivate("alice")
		confirm(b, alice, model.UserDeactivated)
		if !b.row(alice.ID).Deactivated() || len(b.emails(alice.ID)) != 0 {
			t.Error("it is active here")
		}
		b.wantLive(alice, 0, 0)
		if lines := b.log.Lines(t, 0, "deactivated here too"); len(lines) != 1 || lines[0]["user"] != "@alice:example.test" {
			t.Errorf("logged %v", lines)
		}
		for _, e := range b.events(alice) {
			if e.Action == model.ActionDeactivateUser && e.By.Kind != model.ActorServer {
				t.Errorf("the event is %+v", e)
			}
		}
		confirm(b, b.row(alice.ID), model.UserDeactivated) // and said once
		if lines := b.log.Lines(t, 0, "deactivated here too"); len(lines) != 1 {
			t.Errorf("logged %v", lines)
		}
	})
	t.Run("a_user_whom_the_homeserver_does_not_know_goes_on", func(t *testing.T) {
		b := newBench(t)
		alice := b.alice()
		b.synapse.Remove("alice")
		confirm(b, alice, "")
		if b.log.String() != "" {
			t.Errorf("logged %s", b.log)
		}
	})
	t.Run("an_answer_that_does_not_come_changes_nothing", func(t *testing.T) {
		b := newBench(t)
		alice := b.alice()
		b.down()
		confirm(b, alice, "")
		if lines := b.log.Lines(t, 0, "could not be asked"); len(lines) != 1 || lines[0]["user_id"] != alice.ID {
			t.Errorf("logged %v", lines)
		}
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Lock(tx, by, u) }) // whose job cannot be done
		confirm(b, alice, "")
		if b.row(alice.ID).Deactivated() {
			t.Error("it is deactivated")
		}
	})
	t.Run("a_reactivation_that_waits_counts_more", func(t *testing.T) {
		b := newBench(t)
		alice := b.alice()
		b.synapse.Deactivate("alice")
		b.update(func(tx *store.Tx) error { return ReactivateJob.Enqueue(b.config.Outbox, tx, alice.ID, Reactivate{}) })
		b.must(b.ConfirmInLane(t.Context(), alice))
		if b.row(alice.ID).Deactivated() {
			t.Error("it is deactivated although somebody reactivated it")
		}
		if _, err := b.FollowDeactivation(t.Context(), "nobody"); err == nil {
			t.Error("nobody was deactivated")
		}
	})
}

func TestAllowReset(t *testing.T) { // XS-3, XS-4
	b := newBench(t)
	alice := b.alice()
	until, err := b.AllowReset(t.Context(), by, alice)
	b.must(err)
	if want := b.clock.Now().Add(bound.ResetWindow); !until.Equal(want) || b.there("alice").CrossSigningResets != 1 {
		t.Errorf("until %v, want %v", until, want)
	}
	b.wantEvent(alice, model.ActionAllowReset, map[string]any{"until": until.UTC().Format(time.RFC3339)})
	b.down()
	_, err = b.AllowReset(t.Context(), by, alice)
	wantCode(t, err, model.TemporarilyDown)
	b.synapse.Recover()
	b.work() // nothing is asked later
	b.Users.config.ReadOnly = true
	_, err = b.AllowReset(t.Context(), by, alice)
	wantCode(t, err, model.TemporarilyDown, "read-only")
	if n := b.there("alice").CrossSigningResets; n != 1 || len(b.actions(alice)) != 2 {
		t.Errorf("%d resets are allowed, %q", n, b.actions(alice))
	}
}
