package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMigrateEmails: rows from before hosts were compared by their A-labels get the new keys. An address that an account
// has twice then is there once; one that two accounts have is found for one of them, and both still see it (MAIL-9).
func TestMigrateEmails(t *testing.T) {
	path := oldDatabase(t, 16, `INSERT INTO users (id, localpart, created_at) VALUES ('1', 'alice', 1), ('2', 'bob', 2), ('3', 'carol', 3);
		INSERT INTO user_emails (id, user_id, address, key, created_at) VALUES
		('a', '1', 'Alice@Example.test', 'alice@example.test', 1),
		('b', '1', 'alice@München.test', 'alice@münchen.test', 2),
		('c', '1', 'alice@xn--mnchen-3ya.test', 'alice@xn--mnchen-3ya.test', 3),
		('d', '2', 'bob@köln.test', 'bob@köln.test', 4),
		('e', '3', 'bob@xn--kln-sna.test', 'bob@xn--kln-sna.test', 5),
		('f', '3', 'c@straße.test', 'c@strasse.test', 6)`)
	s, err := Open(t.Context(), Options{Path: path, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	update(t, s, func(tx *Tx) error {
		keys := map[string]string{}
		for _, user := range []string{"1", "2", "3"} {
			all, err := tx.Emails(user)
			if err != nil {
				return err
			}
			for _, e := range all {
				keys[e.ID] = e.Key
			}
		}
		if diff := cmp.Diff(map[string]string{
			"a": "alice@example.test", "c": "alice@xn--mnchen-3ya.test", "d": "bob@köln.test", "e": "bob@xn--kln-sna.test", "f": "c@xn--strae-oqa.test",
		}, keys); diff != "" {
			t.Error(diff)
		}
		found, err := tx.UserByEmail("bob@xn--kln-sna.test")
		if found.Localpart != "carol" {
			t.Errorf("the address of two finds %q", found.Localpart)
		}
		return err
	})
}
