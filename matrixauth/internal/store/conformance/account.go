package conformance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// users: a localpart is one account's, names are told by their spelling, and pages follow on one another.
func users(b *bench) {
	whole := model.User{ID: "whole", Localpart: "Whole", Admin: true, CreatedAt: b.now, LockedAt: b.now.Add(time.Second), DeactivatedAt: b.now.Add(2*time.Second + time.Microsecond)}
	b.update(func(tx *store.Tx) error { return tx.InsertUser(whole) })
	b.view(func(tx *store.Tx) error {
		got, err := tx.UserByLocalpart("Whole")
		if diff := cmp.Diff(whole, got); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		_, absent := tx.UserByLocalpart("whole")
		b.absent("another spelling", absent)
		return err
	})
	b.refused("a second account of a localpart", func(tx *store.Tx) error {
		return tx.InsertUser(model.User{ID: "other", Localpart: "Whole", CreatedAt: tx.Now})
	})
	b.update(func(tx *store.Tx) error {
		for _, name := range []string{"Alice", "alice", "bob", "zoë", "a_b", "a.b", "Carla", "DORA", "Dora"} {
			if err := user(tx, name); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(func(tx *store.Tx) error { // LEG-16
		for typed, want := range map[string]string{"Alice": "Alice", "alice": "alice", "ALICE": "alice", "BOB": "bob", "carol": "", "ZOË": "zoë",
			"carla": "Carla", "CARLA": "Carla", "Dora": "Dora", "dora": "", "dOrA": "", "a_b": "a_b", "a%": "", "": ""} {
			found, err := tx.UserByLogin(typed)
			if found.Localpart != want || (want == "") != errors.Is(err, model.ErrNotFound) {
				b.Errorf("%s found %q: %v", typed, found.Localpart, err)
			}
		}
		all, err := tx.Users("", 100)
		if err != nil {
			return err
		}
		var paged []model.User
		for after := ""; ; after = paged[len(paged)-1].Localpart {
			page, err := tx.Users(after, 2)
			if err != nil || len(page) == 0 {
				if diff := cmp.Diff(all, paged); diff != "" {
					b.Errorf("pages differ (-whole +pages)\n%s", diff)
				}
				break
			}
			paged = append(paged, page...)
		}
		// Names are in the order of their bytes, as a locale's order would leave some out of pages.
		if !slices.IsSortedFunc(all, func(x, y model.User) int { return cmpText(x.Localpart, y.Localpart) }) {
			b.Errorf("the order is %v", all)
		}
		locked, lockedErr := tx.LockedUsers()
		if !slices.Equal(locked, []string{"whole"}) {
			b.Errorf("locked are %v", locked)
		}
		n, err := tx.CountUsers()
		if n != 10 || len(all) != 10 {
			b.Errorf("%d users, %d listed", n, len(all))
		}
		return errors.Join(err, lockedErr)
	})
	whole.Admin, whole.LockedAt, whole.DeactivatedAt = false, time.Time{}, time.Time{}
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.UpdateUser(whole), tx.SetPassword("whole", "first"), tx.SetPassword("whole", "second"),
			tx.UpgradePassword("whole", "first", "late"), tx.UpgradePassword("whole", "second", "third"))
	})
	b.view(func(tx *store.Tx) error {
		got, err := tx.User("whole")
		hash, hashErr := tx.Password("whole")
		if !cmp.Equal(got, whole) || hash != "third" {
			b.Errorf("%+v %s", got, hash)
		}
		_, absent := tx.Password("alice")
		b.absent("a password", absent)
		return errors.Join(err, hashErr)
	})
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// emails: an address is one account's.
func emails(b *bench) {
	address := func(tx *store.Tx, id, userID, key string) error {
		return tx.InsertEmail(model.Email{ID: id, UserID: userID, Address: key, Key: key, CreatedAt: tx.Now})
	}
	b.update(func(tx *store.Tx) error {
		return errors.Join(user(tx, "alice"), user(tx, "bob"), address(tx, "2", "alice", "b@example.com"), address(tx, "1", "alice", "a@example.com"))
	})
	b.refused("an address of somebody else", func(tx *store.Tx) error { return address(tx, "3", "bob", "a@example.com") })
	b.refused("an address of nobody", func(tx *store.Tx) error { return address(tx, "4", "nobody", "c@example.com") })
	b.update(func(tx *store.Tx) error {
		all, err := tx.Emails("alice")
		if len(all) != 2 || all[0].ID != "1" {
			b.Errorf("%+v", all)
		}
		found, foundErr := tx.UserByEmail("b@example.com")
		if found.ID != "alice" {
			b.Errorf("found %+v", found)
		}
		return errors.Join(err, foundErr, tx.DeleteEmails("alice"))
	})
	b.update(func(tx *store.Tx) error { return address(tx, "3", "bob", "a@example.com") })
	b.view(func(tx *store.Tx) error {
		_, err := tx.UserByEmail("b@example.com")
		b.absent("a forgotten address", err)
		return nil
	})
}

// serverName: the accounts are of one homeserver.
func serverName(b *bench) {
	b.view(func(tx *store.Tx) error { _, err := tx.ServerName(); b.absent("a server name", err); return nil })
	b.update(func(tx *store.Tx) error { return errors.Join(tx.Claim("example.com"), tx.Claim("example.com")) })
	b.refused("another server name", func(tx *store.Tx) error { return tx.Claim("example.org") })
	var other *store.ServerNameError
	if err := b.store.CheckServerName(b.Context(), "example.org"); !errors.As(err, &other) || other.Kept != "example.com" {
		b.Errorf("got %v", err)
	}
	b.must(b.store.CheckServerName(b.Context(), "example.com"))
}

// places: an account knows as many networks and browsers as it may, those used last.
func places(b *bench) {
	b.update(func(tx *store.Tx) error { return errors.Join(user(tx, "alice"), user(tx, "bob")) })
	value := model.HashToken("value")
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.NoteNetwork("alice", "192.0.2.1"), tx.NoteBrowser("alice", value), tx.NoteBrowser("bob", value))
	})
	known := func(userID string) (p store.Place) {
		b.view(func(tx *store.Tx) (err error) {
			p, err = tx.KnownPlace(userID, model.Place("192.0.2.1"), []model.TokenHash{value})
			return err
		})
		return p
	}
	if p := known("alice"); !p.Network || p.Browser != value {
		b.Errorf("%+v", p)
	}
	if p := known("bob"); p != (store.Place{}) {
		b.Errorf("a browser is known to two: %+v", p)
	}
	b.move(-time.Hour) // a clock that is set back makes nothing older
	b.update(func(tx *store.Tx) error { return tx.NoteNetwork("alice", "192.0.2.1") })
	b.move(time.Hour)
	for i := range 40 {
		b.move(time.Second)
		b.update(func(tx *store.Tx) error {
			return errors.Join(tx.NoteNetwork("alice", fmt.Sprintf("198.51.100.%d", i)), tx.NoteBrowser("alice", model.HashToken(fmt.Sprint(i))))
		})
	}
	if p := known("alice"); p != (store.Place{}) {
		b.Errorf("what was used longest ago is known still: %+v", p)
	}
	b.update(func(tx *store.Tx) error {
		p, err := tx.KnownPlace("alice", model.Place("198.51.100.39"), []model.TokenHash{model.HashToken("39")})
		if !p.Network || p.Browser != model.HashToken("39") {
			b.Errorf("what was used last: %+v", p)
		}
		return errors.Join(err, tx.ForgetPlaces("alice"))
	})
	b.view(func(tx *store.Tx) error {
		p, err := tx.KnownPlace("alice", model.Place("198.51.100.39"), []model.TokenHash{model.HashToken("39")})
		if p != (store.Place{}) {
			b.Errorf("forgotten and known: %+v", p)
		}
		return err
	})
}

// seals: the first key of a purpose stays.
func seals(b *bench) {
	b.update(func(tx *store.Tx) error {
		first, err := tx.NoteSealed("seeds", "key 1")
		second, secondErr := tx.NoteSealed("seeds", "key 2")
		_, otherErr := tx.NoteSealed("codes", "key 1")
		if first != "key 1" || second != "key 1" {
			b.Errorf("%s %s", first, second)
		}
		return errors.Join(err, secondErr, otherErr)
	})
	b.view(func(tx *store.Tx) error {
		all, err := tx.Sealed()
		if diff := cmp.Diff([]store.Sealed{{Purpose: "codes", KeyID: "key 1"}, {Purpose: "seeds", KeyID: "key 1"}}, all); diff != "" {
			b.Errorf("(-want +got)\n%s", diff)
		}
		return err
	})
}

// failures: tries that failed are one row for a network, of as many as may be kept those of the newest.
func failures(b *bench) {
	b.update(func(tx *store.Tx) error { return user(tx, "alice") })
	try := func(network string) {
		b.update(func(tx *store.Tx) error {
			return tx.AddFailedSignIns(model.FailedSignIns{UserID: "alice", Network: network, First: tx.Now, Last: tx.Now, Tries: 1})
		})
		b.move(time.Second)
	}
	for i := range bound.FailedSignIns + 1 {
		try(fmt.Sprintf("198.51.100.%d", i))
		try("192.0.2.1")
	}
	b.view(func(tx *store.Tx) error {
		all, err := tx.FailedSignIns("alice")
		if len(all) != bound.FailedSignIns || all[0].Network != "192.0.2.1" || all[0].Tries != bound.FailedSignIns+1 || all[len(all)-1].Network != "198.51.100.2" {
			b.Errorf("%+v", all)
		}
		return err
	})
	b.update(func(tx *store.Tx) error { return tx.ForgetFailedSignIns("alice") })
	b.view(func(tx *store.Tx) error {
		all, err := tx.FailedSignIns("alice")
		if len(all) != 0 {
			b.Errorf("forgotten and there: %+v", all)
		}
		return err
	})
}
