package user

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

func TestCreate(t *testing.T) {
	t.Run("the_homeserver_learns_of_it", func(t *testing.T) {
		b := newBench(t)
		alice := b.add(NewUser{Localpart: "@alice:example.test", Password: "correct horse", Email: "Alice@example.test", DisplayName: "Alice", Admin: true})
		there := b.there("alice")
		if there.DisplayName == nil || *there.DisplayName != "Alice" || len(there.Emails) != 1 || there.Locked {
			t.Errorf("the homeserver has %+v", there)
		}
		if row := b.row(alice.ID); row.Localpart != "alice" || !row.Admin || !row.CreatedAt.Equal(b.clock.Now()) || row.Deactivated() {
			t.Errorf("the account is %+v", row)
		}
		wantTexts(t, "addresses", b.emails(alice.ID), "Alice@example.test")
		b.wantEvent(alice, model.ActionAddUser, map[string]any{"admin": true, "existing": false, "email": "Alice@example.test"})
		b.update(func(tx *store.Tx) error {
			hash, err := tx.Password(alice.ID)
			b.must(b.CheckPassword(t.Context(), alice, hash, "correct horse"))
			if name, nameErr := tx.ServerName(); name != "example.test" {
				t.Errorf("the accounts are of %q: %v", name, nameErr)
			}
			return err
		})
	})
	t.Run("without_password_address_and_name", func(t *testing.T) {
		b := newBench(t)
		bob := b.add(NewUser{Localpart: "bob"})
		b.update(func(tx *store.Tx) error {
			if _, err := tx.Password(bob.ID); err == nil {
				t.Error("it has a password")
			}
			return nil
		})
		if _, there := b.events(bob)[0].Details["email"]; there || b.emails(bob.ID) != nil {
			t.Error("it has an address")
		}
		b.synapse.Seed(fake.User{Localpart: "carol", Emails: []string{"kept@example.test"}})
		carol := b.add(NewUser{Localpart: "carol", Existing: true})
		if there := b.there("carol"); len(there.Emails) != 1 { // what the homeserver knows and we do not, it keeps
			t.Errorf("the homeserver has %+v", there)
		}
		b.wantEvent(carol, model.ActionAddUser, map[string]any{"existing": true, "admin": false})
	})
	t.Run("what_cannot_be_is_refused_before_anybody_thinks_of_a_password", func(t *testing.T) {
		b := newBench(t)
		b.add(NewUser{Localpart: "alice", Email: "alice@example.test"})
		for _, test := range []struct {
			n    NewUser
			want model.Code
			text string
		}{
			{NewUser{Localpart: "Bob"}, model.InvalidUsername, ""},
			{NewUser{Localpart: ""}, model.InvalidUsername, ""},
			{NewUser{Localpart: "@bob:other.test"}, model.InvalidUsername, "other.test is of another server; ours is example.test"},
			{NewUser{Localpart: "bob", Email: "bob"}, model.InvalidEmail, ""},
			{NewUser{Localpart: "bob", Email: "ALICE@example.test"}, model.EmailInUse, ""},
			{NewUser{Localpart: "bob", DisplayName: strings.Repeat("ä", bound.DisplayName+1)}, model.InvalidParam, ""},
			{NewUser{Localpart: "alice"}, model.UserExists, "set-password"},
			{NewUser{Localpart: "bridge_bob"}, model.UserUnavailable, "application service"},
			{NewUser{Localpart: "bob", Existing: true}, model.UserUnavailable, "has no account @bob:example.test"},
		} {
			wantCode(t, b.CheckNew(t.Context(), test.n), test.want, test.text)
			_, err := b.Create(t.Context(), by, test.n)
			wantCode(t, err, test.want)
		}
		b.must(b.CheckNew(t.Context(), NewUser{Localpart: "bob", DisplayName: strings.Repeat("ä", bound.DisplayName)}))
		_, err := b.Create(t.Context(), by, NewUser{Localpart: "bob", Password: "short"})
		wantCode(t, err, model.InvalidPassword)
		if err := b.CheckNew(over(t), NewUser{Localpart: "bob"}); err == nil {
			t.Error("no error by a context that has ended")
		}
	})
	t.Run("a_name_that_the_homeserver_has", func(t *testing.T) { // CREATE-5
		b := newBench(t)
		b.synapse.Seed(fake.User{Localpart: "alice"})
		wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "alice"}), model.UserUnavailable, "--existing takes it over")
		b.add(NewUser{Localpart: "alice", Existing: true})
	})
	t.Run("one_that_is_deactivated_here", func(t *testing.T) {
		b := newBench(t)
		alice := b.alice()
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) })
		wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "alice"}), model.UserExists, "deactivated", "user reactivate")
	})
	t.Run("one_that_the_homeserver_has_deactivated", func(t *testing.T) {
		b := newBench(t)
		b.synapse.Seed(fake.User{Localpart: "alice", Deactivated: true})
		n := NewUser{Localpart: "alice", Existing: true}
		wantCode(t, b.CheckNew(t.Context(), n), model.UserDeactivated, "--force")
		n.Force, n.Email = true, "alice@example.test"
		wantCode(t, b.CheckNew(t.Context(), n), model.UserDeactivated, "no mail address")
		n.Email = ""
		alice := b.add(n)
		if !b.row(alice.ID).Deactivated() || !b.there("alice").Deactivated {
			t.Error("it is active")
		}
		b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Reactivate(tx, by, u) })
		b.work()
		if b.row(alice.ID).Deactivated() || b.there("alice").Deactivated {
			t.Error("it is deactivated")
		}
	})
	t.Run("a_homeserver_that_cannot_be_asked", func(t *testing.T) { // CREATE-5
		b := newBench(t)
		b.synapse.Seed(fake.User{Localpart: "bob"})
		b.down()
		wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "alice"}), model.TemporarilyDown, "cannot be asked", "is free", "--force")
		wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "bob", Existing: true}), model.TemporarilyDown, "cannot be asked", "is there", "--force")
		b.must(b.CheckNew(t.Context(), NewUser{Localpart: "alice", Force: true}))
		b.must(b.CheckNew(t.Context(), NewUser{Localpart: "bob", Existing: true, Force: true}))
		for _, test := range []struct {
			status  int
			errcode string
			want    model.Code
			text    string
		}{
			{http.StatusForbidden, "M_UNKNOWN", model.TemporarilyDown, "refuses our secret"},
			{http.StatusNotFound, "M_UNRECOGNIZED", model.TemporarilyDown, "does not delegate"},
			{http.StatusForbidden, "M_FORBIDDEN", model.UserUnavailable, "the homeserver does not "}, // a module of its own vetoes
		} {
			b.synapse.Fail(test.status, test.errcode)
			wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "alice"}), test.want, test.text)
			wantCode(t, b.CheckNew(t.Context(), NewUser{Localpart: "bob", Existing: true}), test.want, test.text)
		}
	})
	t.Run("its_name_was_given_out_meanwhile", func(t *testing.T) {
		b := newBench(t)
		n := NewUser{Localpart: "alice", Existing: true}
		b.synapse.Seed(fake.User{Localpart: "alice"})
		b.add(n)
		_, err := b.Create(t.Context(), by, n)
		wantCode(t, err, model.UserExists)
	})
}

func TestByName(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	for name, want := range map[string]string{"alice": alice.ID, "ALICE": alice.ID, "@alice:example.test": alice.ID, "@alice:EXAMPLE.test": alice.ID, "@alice:other.test": "", "bob": "", "": "", "alice@example.test": ""} {
		b.update(func(tx *store.Tx) error {
			found, err := b.ByName(tx, name)
			if found.ID != want {
				t.Errorf("%q found %q", name, found.ID)
			}
			if want == "" {
				wantCode(t, err, model.UserNotFound)
			}
			return nil
		})
	}
}

// TestIdentified: the forms in which people and apps say who they are (LEG-16, LEG-18).
func TestIdentified(t *testing.T) {
	b := newBench(t)
	alice := b.add(NewUser{Localpart: "alice", Email: "Alice.Straße@example.test"})
	old := model.User{ID: "old", Localpart: "Old.Hand", CreatedAt: b.clock.Now()} // as another server allowed it
	b.update(func(tx *store.Tx) error { return tx.InsertUser(old) })
	for text, want := range map[string]string{
		"alice": alice.ID, " Alice ": alice.ID, "@alice:example.test": alice.ID, " @alice:example.test\n": alice.ID,
		"alice.STRASSE@example.test": alice.ID, " Alice.Straße@example.test": alice.ID,
		"Old.Hand": old.ID, "old.hand": old.ID, "@OLD.HAND:example.test": old.ID,
		"@alice:other.test": "", "alice@example.test": "", "": "", "@": "", "@alice": "",
	} {
		b.update(func(tx *store.Tx) error {
			found, err := b.Identified(tx, Typed(text))
			if found.ID != want || (want == "") != (err != nil) {
				t.Errorf("%q found %q, %v", text, found.ID, err)
			}
			return nil
		})
	}
	for text, key := range map[string]string{
		"Alice": "alice", " alice ": "alice", "@Alice:example.test": "alice", "@alice:other.test": "@alice:other.test", "A.Straße@example.test": "a.strasse@example.test", "": "",
	} {
		if got := b.Key(Typed(text)); got != key {
			t.Errorf("the key of %q is %q, want %q", text, got, key)
		}
	}
	if got := b.Key(Identifier{Name: "alice", Email: "bob@example.test"}); got != "alice" {
		t.Errorf("the key is %q: a name counts before an address", got)
	}
	if typed := Typed("a@"); typed.Email == "" { // whoever gets this far means an address
		t.Errorf("read as %+v", typed)
	}
}

func TestEmails(t *testing.T) {
	b := newBench(t)
	alice, bob := b.alice(), b.add(NewUser{Localpart: "bob"})
	change := func(f func(tx *store.Tx) error) error { return b.store.Update(t.Context(), f) }
	add := func(u model.User, address string) error {
		return change(func(tx *store.Tx) error { return b.AddEmail(tx, by, u, address) })
	}
	remove := func(u model.User, address string) error {
		return change(func(tx *store.Tx) error { return b.RemoveEmail(tx, by, u, address) })
	}
	b.must(add(alice, "one@example.test"))
	b.wantEvent(alice, model.ActionAddEmail, map[string]any{"email": "one@example.test"})
	b.must(add(alice, "two@example.test"))
	b.work()
	if there := b.there("alice"); len(there.Emails) != 2 {
		t.Errorf("the homeserver has %+v", there)
	}
	wantCode(t, add(bob, "ONE@example.test"), model.EmailInUse)
	wantCode(t, add(alice, "one@example.test"), model.EmailInUse)
	wantCode(t, remove(bob, "one@example.test"), model.InvalidParam, "bob has no such address")
	b.must(remove(alice, "ONE@example.test"))
	b.wantEvent(alice, model.ActionRemoveEmail, map[string]any{"email": "ONE@example.test"})
	b.work()
	wantTexts(t, "addresses", b.emails(alice.ID), "two@example.test")
	if there := b.there("alice"); len(there.Emails) != 1 {
		t.Errorf("the homeserver has %+v", there)
	}
	b.must(add(bob, "one@example.test"))
	b.change(&bob, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) })
	wantCode(t, add(bob, "three@example.test"), model.UserDeactivated)
	local := strings.Repeat("a", 60) + "@"
	for address, good := range map[string]bool{
		local + strings.Repeat("b", bound.Email-len(local)-5) + ".test": true, local + strings.Repeat("b", bound.Email-len(local)-4) + ".test": false,
		"a.b+c@example.test": true, "": false, "a": false, "a@": false, "@b": false, "A <a@example.test>": false, "<a@example.test>": false, "a@example.test\n": false, "a b@example.test": false, `"a b"@example.test`: false, "a@example.test, b@example.test": false,
	} {
		if _, err := ParseEmail(address); (err == nil) != good {
			t.Errorf("%q of %d bytes gave %v", address, len(address), err)
		}
	}
}

func TestSetDisplayName(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	set := func(name string) error {
		return b.store.Update(t.Context(), func(tx *store.Tx) error { return b.SetDisplayName(tx, by, alice, name) })
	}
	b.must(set("Alice"))
	b.wantEvent(alice, model.ActionSetDisplayName, map[string]any{"display_name": "Alice"})
	b.work()
	if name := b.there("alice").DisplayName; name == nil || *name != "Alice" {
		t.Errorf("the homeserver shows %v", name)
	}
	for _, name := range []string{"", "a\xff", strings.Repeat("ä", bound.DisplayName+1)} {
		wantCode(t, set(name), model.InvalidParam)
	}
	b.must(set(strings.Repeat("ä", bound.DisplayName)))
	b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Deactivate(tx, by, u, false) })
	wantCode(t, set("Alice"), model.UserDeactivated)
}
