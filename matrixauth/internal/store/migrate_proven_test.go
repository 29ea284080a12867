package store

import (
	"testing"
	"time"
)

// TestMigrateProven: a client that was used after it registered counts as proven after an upgrade, so that
// prompt=none goes on for it; one that was not used since does not (AUTHZ-21).
func TestMigrateProven(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := oldDatabase(t, 2, `INSERT INTO clients (id, metadata, created_at, used_at) VALUES ('used', '{}', 1, 2), ('new', '{}', 1, 1)`)
	s, err := Open(t.Context(), Options{Path: path, Now: time.Now})
	must(err)
	defer func() { must(s.Close()) }()
	must(s.View(t.Context(), func(tx *Tx) error {
		for id, proven := range map[string]bool{"used": true, "new": false} {
			c, err := tx.Client(id)
			if err != nil || c.Proven() != proven {
				t.Errorf("%s: %v, %v", id, c.Proven(), err)
			}
		}
		return nil
	}))
}

// TestNewestSchema: what the program says of its schema is what it makes of a database.
func TestNewestSchema(t *testing.T) {
	newest, err := NewestSchema()
	if err != nil {
		t.Fatal(err)
	}
	if have, err := open(t).Schema(t.Context()); err != nil || have != newest || have == 0 {
		t.Errorf("the database has schema %d, the program says %d: %v", have, newest, err)
	}
}
