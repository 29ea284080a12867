package signin_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// heap returns the bytes in use once what is not in use is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held goes at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFlood has 100,000 attempts from 50,000 networks guess at the passwords of 1,000 accounts and of as many that do not
// exist: each account's limit holds, no more is hashed than that lets through, and memory stays flat (ENUM-4, PW-4, PW-12).
func TestFlood(t *testing.T) {
	const accounts, networks, attempts = 100 * floodScale, 5000 * floodScale, 10_000 * floodScale
	h := house.New(t)
	h.Add("alice")
	h.Must(h.Store.Update(t.Context(), func(tx *store.Tx) error {
		hash, err := tx.Password(h.UserID("alice"))
		for i := range accounts {
			who := model.User{ID: model.NewID(tx.Now), Localpart: fmt.Sprint("user", i), CreatedAt: tx.Now}
			err = errors.Join(err, tx.InsertUser(who), tx.SetPassword(who.ID, hash))
		}
		return err
	}))
	signIns := signin.New(signin.Config{
		Store: h.Store, Users: h.Wiring.Users, Browsers: h.Browsers,
		Limits: signin.Limits{Limiter: limit.New(h.Clock.Now), PerNetwork: matrixauth.DefaultLoginsPerNetwork, PerAccount: matrixauth.DefaultLoginsPerAccount},
	})
	before := h.Hashes()
	limited := 0
	var half uint64
	for i := range attempts {
		name := fmt.Sprint("user", i%(2*accounts)) // of the second half there is none
		network := i % networks
		_, err := signIns.ByPassword(t.Context(), signin.Attempt{
			Identifier: user.Typed(name), Password: "a guess", IP: fmt.Sprintf("10.%d.%d.1", network>>8, network&0xff),
		})
		switch {
		case errors.Is(err, model.RateLimited):
			limited++
		case !errors.Is(err, model.InvalidCredentials):
			t.Fatalf("attempt %d: %v", i, err)
		}
		if i == attempts/2 {
			half = heap()
		}
	}
	burst := matrixauth.DefaultLoginsPerAccount.Burst
	if hashed := h.Hashes() - before; hashed != uint64(2*accounts*burst) || limited != attempts-2*accounts*burst {
		t.Errorf("%d hashes were made and %d attempts refused", hashed, limited)
	}
	if whole := heap(); whole > half+1<<20 {
		t.Errorf("%d KiB of memory after half of it, %d KiB at the end", half>>10, whole>>10)
	}
}
