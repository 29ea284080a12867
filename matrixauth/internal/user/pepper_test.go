package user

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// sealed gives the bench a seal, and a cost of bcrypt's hashes.
func (b *bench) sealed(cost int) *seal.Keeper {
	b.t.Helper()
	keeper := seal.New(b.store, filepath.Join(b.t.TempDir(), "test.seal"))
	b.must(keeper.Load(b.t.Context(), true))
	b.config.Seal, b.config.BcryptCost = keeper, cost
	return keeper
}

func (b *bench) importPepper(text string) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error { return b.ImportPepper(tx, text) })
}

// take gives an account the hash that another server made of a password with its pepper, as it would be stored.
func (b *bench) take(who model.User, clear, pepper string) (stored string) {
	b.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(clear+pepper), bcrypt.MinCost)
	b.must(err)
	b.update(func(tx *store.Tx) error {
		var err error
		if stored, err = b.StoredHash(tx, string(hash)); err != nil {
			return err
		}
		return tx.SetPassword(who.ID, stored)
	})
	return stored
}

// TestImportedPeppers: hashes of two servers are verified each with its own server's pepper, those of a server without
// one go on too, and the database holds no pepper in the clear (PW-2).
func TestImportedPeppers(t *testing.T) {
	b := newBench(t)
	keeper := b.sealed(bcrypt.MinCost)
	alice := b.alice()
	stored := map[string]string{}
	for _, pepper := range []string{"", "first pepper", "second pepper", "first pepper", ""} {
		b.importPepper(pepper)
		stored[pepper] = b.take(alice, "correct horse", pepper)
	}
	if stored["first pepper"][:30] == stored["second pepper"][:30] || !strings.HasPrefix(stored[""], "$2a$") {
		t.Errorf("hashes name no pepper: %q", stored)
	}
	var kept []store.Pepper
	b.must(b.store.View(t.Context(), func(tx *store.Tx) (err error) { kept, err = tx.Peppers(); return err }))
	if len(kept) != 3 || strings.Contains(string(kept[0].Sealed)+string(kept[1].Sealed)+string(kept[2].Sealed), "pepper") {
		t.Errorf("%q", kept)
	}
	again := New(b.config) // knows no pepper yet, as after a start
	for pepper, hash := range stored {
		for _, users := range []*Users{b.Users, again} {
			if err := users.CheckPassword(t.Context(), alice, hash, "correct horse"); err != nil {
				t.Errorf("%q: %v", pepper, err)
			}
			wantCode(t, users.CheckPassword(t.Context(), alice, hash, "correct horse"+pepper+"x"), model.InvalidCredentials)
		}
	}
	b.config.Seal = seal.New(b.store, keeper.Path()+".gone")
	wantCode(t, New(b.config).CheckPassword(t.Context(), alice, stored["first pepper"], "correct horse"), model.TemporarilyDown)
	if strings.Contains(b.log.String(), "first pepper") {
		t.Error(b.log)
	}
}

// TestWayBack: with bcrypt, hashes that came along stay as they are at a sign-in, new ones are made with the pepper of
// the homeserver, which verifies both; and without it they are upgraded. What another pepper made is not for it.
func TestWayBack(t *testing.T) {
	b := newBench(t)
	b.sealed(bcrypt.MinCost)
	alice := b.alice()
	b.importPepper("earlier")
	earlier := b.take(alice, "correct horse", "earlier")
	b.importPepper(" & pepper")
	taken := b.take(alice, "correct horse", " & pepper")
	b.must(b.CheckPassword(t.Context(), alice, taken, "correct horse"))
	if got := b.hashOf(alice); got != taken {
		t.Errorf("the hash was replaced by %s", got)
	}
	made, err := b.HashPassword(t.Context(), "another battery staple")
	b.must(err)
	forHomeserver := func(stored string) (hash string) {
		b.must(b.store.View(t.Context(), func(tx *store.Tx) (err error) { hash, err = b.HashForHomeserver(tx, stored); return err }))
		return hash
	}
	if err := bcrypt.CompareHashAndPassword([]byte(forHomeserver(made)), []byte("another battery staple & pepper")); err != nil {
		t.Errorf("the homeserver does not verify %s: %v", made, err)
	}
	if got := forHomeserver(earlier); got != "" {
		t.Errorf("a hash of another pepper is handed out: %s", got)
	}
	before := b.config.Passwords.Stats().Hashes
	wantCode(t, b.CheckPassword(t.Context(), alice, "", "wrong"), model.InvalidCredentials)
	if b.config.Passwords.Stats().Hashes != before+1 {
		t.Error("an account without a password costs nothing (PW-3)")
	}
	b.config.BcryptCost = 0
	b.must(b.CheckPassword(t.Context(), alice, taken, "correct horse"))
	upgraded := b.hashOf(alice)
	if !strings.HasPrefix(upgraded, "$argon2id$") || forHomeserver(upgraded) != "" {
		t.Errorf("the hash is %s", upgraded)
	}
	if id, _ := password.PepperOf(taken); id == "" || forHomeserver(taken) == "" {
		t.Errorf("%s", taken)
	}
}
