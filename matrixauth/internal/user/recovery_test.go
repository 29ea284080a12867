package user

import (
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// TestRecoveriesEnd: what changes who may come back to an account, or by which address, makes the tickets for its
// recovery worthless, and no other account's (MAIL-2, MAIL-6).
func TestRecoveriesEnd(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *bench, tx *store.Tx, u *model.User) error
		want   model.RecoveryEnd
	}{
		"a new password": {func(b *bench, tx *store.Tx, u *model.User) error { return b.SetPassword(tx, by, *u, "hash", Ends{}) }, model.RecoveryPassword},
		"a removed address": {func(b *bench, tx *store.Tx, u *model.User) error {
			return b.RemoveEmail(tx, by, *u, "alice@example.test")
		}, model.RecoveryAddress},
		"a lock":         {func(b *bench, tx *store.Tx, u *model.User) error { return b.Lock(tx, by, u) }, model.RecoveryBlocked},
		"a deactivation": {func(b *bench, tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) }, model.RecoveryBlocked},
		"a new name":     {func(b *bench, tx *store.Tx, u *model.User) error { return b.SetDisplayName(tx, by, *u, "Alice") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			alice, bob := b.add(NewUser{Localpart: "alice", Email: "alice@example.test"}), b.add(NewUser{Localpart: "bob"})
			b.update(func(tx *store.Tx) error {
				for i, who := range []model.User{alice, bob} {
					r := model.Recovery{ID: who.ID, UserID: who.ID, Hash: model.TokenHash{byte(i + 1)}, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}
					if err := tx.InsertRecovery(r); err != nil {
						return err
					}
				}
				return nil
			})
			b.change(&alice, func(tx *store.Tx, u *model.User) error { return test.change(b, tx, u) })
			b.update(func(tx *store.Tx) error {
				hers, err := tx.Recovery(alice.ID)
				if err != nil || hers.EndReason != test.want || hers.Ended() != (test.want != "") {
					t.Errorf("hers is %+v, %v", hers, err)
				}
				his, err := tx.Recovery(bob.ID)
				if his.Ended() {
					t.Errorf("his is %+v", his)
				}
				return err
			})
		})
	}
}

// TestUseForRecovery: an address of the account, and no other one, is chosen; the oldest serves without a choice.
func TestUseForRecovery(t *testing.T) {
	b := newBench(t)
	alice, bob := b.add(NewUser{Localpart: "alice", Email: "old@example.test"}), b.add(NewUser{Localpart: "bob", Email: "bob@example.test"})
	b.clock.Move(time.Minute)
	b.update(func(tx *store.Tx) error { return b.AddEmail(tx, by, alice, "new@example.test") })
	all := func(u model.User) (all []model.Email) {
		b.update(func(tx *store.Tx) (err error) { all, err = tx.Emails(u.ID); return err })
		return all
	}
	want := func(address string) {
		t.Helper()
		if e, _ := model.RecoveryEmail(all(alice)); e.Address != address {
			t.Errorf("it is %s, want %s", e.Address, address)
		}
	}
	want("old@example.test")
	choose := func(id string) error {
		return b.store.Update(t.Context(), func(tx *store.Tx) error { return b.UseForRecovery(tx, by, alice, id) })
	}
	b.must(choose(all(alice)[1].ID))
	want("new@example.test")
	b.wantEvent(alice, model.ActionRecoveryEmail, map[string]any{"email": "new@example.test"})
	wantCode(t, choose(all(bob)[0].ID), model.InvalidParam)
	wantCode(t, choose("none"), model.InvalidParam)
	b.clock.Move(time.Minute)
	b.must(choose(all(alice)[0].ID))
	want("old@example.test")
	b.must(choose(all(alice)[1].ID))
	b.update(func(tx *store.Tx) error { return b.RemoveEmail(tx, by, alice, "new@example.test") })
	want("old@example.test")
}
