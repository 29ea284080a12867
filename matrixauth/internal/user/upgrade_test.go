package user_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// imported is a house with an account whose password was hashed by others, as after an import.
func imported(t *testing.T) (h *house.House, hash string) {
	h = house.New(t, house.Unlimited)
	hash, err := password.New(password.Config{Memory: 16, Time: 2}).Hash(t.Context(), house.AlicesPassword)
	h.Must(err)
	h.Must(h.Store.Update(t.Context(), house.SeedRows("alice", hash, h.Fake.Seed)))
	return h, hash
}

func hashOf(h *house.House, localpart string) (hash string) {
	h.T.Helper()
	id := h.UserID(localpart)
	h.View(func(tx *store.Tx) (err error) {
		hash, err = tx.Password(id)
		return err
	})
	return hash
}

// TestPasswordIsUpgraded: whoever signs in with the right password under an old scheme has it stored under the present
// one from then on, at whichever door, and at the cost of one hash the next time (PW-1, PW-2).
func TestPasswordIsUpgraded(t *testing.T) {
	doors := map[string]func(h *house.House, clear string) int{
		"login": func(h *house.House, clear string) int {
			return h.Do(house.Call{Method: http.MethodPost, Path: house.LoginPath, Body: house.LoginBody("alice", clear, nil)}).Status
		},
		"the sign-in page": func(h *house.House, clear string) int {
			v := h.Browser()
			v.Get("/account/login")
			return v.Post("/account/login", "username", "alice", "password", clear).Status
		},
	}
	for name, signIn := range doors {
		t.Run(name, func(t *testing.T) {
			h, old := imported(t)
			hashes := func(clear string, want int) uint64 {
				t.Helper()
				before := h.Hashes()
				if got := signIn(h, clear); got != want {
					t.Fatalf("got %d, want %d", got, want)
				}
				return h.Hashes() - before
			}
			ok := map[string]int{"login": http.StatusOK}[name]
			if ok == 0 {
				ok = http.StatusSeeOther
			}
			if hashes("wrong", http.StatusForbidden) != 1 || hashOf(h, "alice") != old {
				t.Error("a wrong password changed the hash")
			}
			if n := hashes(house.AlicesPassword, ok); n != 2 {
				t.Errorf("the first sign-in cost %d hashes, want 2", n)
			}
			upgraded := hashOf(h, "alice")
			result, err := h.Passwords.Verify(t.Context(), upgraded, house.AlicesPassword)
			if err != nil || result != (password.Result{OK: true}) {
				t.Errorf("the hash %s gives %+v, %v", upgraded, result, err)
			}
			if n := hashes(house.AlicesPassword, ok); n != 1 || hashOf(h, "alice") != upgraded {
				t.Errorf("the next sign-in cost %d hashes, want 1", n)
			}
		})
	}
	t.Run("one that cannot be stored keeps nobody out", func(t *testing.T) {
		h, old := imported(t)
		h.SQL("CREATE TRIGGER full BEFORE UPDATE ON passwords BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
		mark := len(h.Log.String())
		h.LoginOn("alice", "PHONE")
		lines := h.Logged(mark, "a password could not be stored under the present scheme")
		if len(lines) != 1 || lines[0]["level"] != "WARN" || lines[0]["user"] != "@alice:"+house.ServerName || lines[0]["user_id"] != h.UserID("alice") || !strings.Contains(lines[0]["error"].(string), "full") {
			t.Errorf("the log says %v", lines)
		}
		if hashOf(h, "alice") != old {
			t.Error("the hash has changed")
		}
		h.SQL("DROP TRIGGER full")
		h.LoginOn("alice", "PHONE")
		if hashOf(h, "alice") == old {
			t.Error("it was not tried again")
		}
	})
}
