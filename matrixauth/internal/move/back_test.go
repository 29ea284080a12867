package move_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestChangedPasswords: for the way back there are the passwords that were set here, and no others.
func TestChangedPasswords(t *testing.T) {
	h := newHouse(t)
	h.Add("ours")
	take(h, newServer(account("same"), account("upgraded"), account("changed"), account("argon2")))
	h.Clock.Move(time.Minute)
	set := func(localpart, hash string) {
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.SetPassword(h.UserID(localpart), hash) }))
	}
	set("changed", bcryptOf("new"))
	set("argon2", "$argon2id$v=19$x")
	h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error {
		return tx.UpgradePassword(h.UserID("upgraded"), bcryptOf("upgraded"), "$argon2id$v=19$y")
	}))

	var all []move.ChangedPassword
	for q := (move.PasswordQuery{Limit: 2}); ; {
		page, err := operate.ListChangedPasswords.Do(context.Background(), h.Ops, q)
		h.Must(err)
		all = append(all, page.Passwords...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	want := []move.ChangedPassword{
		{Name: "@argon2:" + house.ServerName}, {Name: "@changed:" + house.ServerName, Hash: bcryptOf("new")}, {Name: "@ours:" + house.ServerName},
	}
	if !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}
