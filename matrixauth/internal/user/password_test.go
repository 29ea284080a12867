package user

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// hashOf is the hash of an account's password.
func (b *bench) hashOf(u model.User) (hash string) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) { hash, err = tx.Password(u.ID); return err }))
	return hash
}

func TestHashPassword(t *testing.T) {
	b := newBench(t)
	least := "zq7ëvm2öw"
	for clear, good := range map[string]bool{
		least: true, "password1": false, "alicetest2024": false, least[:8]: false, "": false, "\xff" + least: false, least + "\x00": false, strings.Repeat("a", 1<<20): false,
	} {
		hash, err := b.HashPassword(t.Context(), clear, "alice")
		if good && (err != nil || hash == "") {
			t.Errorf("%.20q gave %v", clear, err)
		}
		if !good {
			wantCode(t, err, model.InvalidPassword)
		}
	}
}

// TestHashWeakPassword: an operator goes against the policy, but for what it never lets pass (PW-4, PW-5).
func TestHashWeakPassword(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	for clear, good := range map[string]bool{"password": true, "alicetest": true, "passwor": false, "password\x00": false, strings.Repeat("a", 1<<20): false} {
		hash, err := b.HashWeakPassword(t.Context(), clear)
		if good && (err != nil || b.CheckPassword(t.Context(), alice, hash, clear) != nil) {
			t.Errorf("%.20q gave %v", clear, err)
		}
		if !good {
			wantCode(t, err, model.InvalidPassword)
		}
	}
}

// TestPasswordOfOneself: a password is not made of what is known of the account, and the reason is told (PW-6).
func TestPasswordOfOneself(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	b.update(func(tx *store.Tx) error { return b.AddEmail(tx, by, alice, "liddell@wonderland.example") })
	for clear, want := range map[string]password.Reason{"alice 20041865": password.Personal, "wonderland liddell": password.Personal, "test.example": password.Personal, "liddell goes to the moon": ""} {
		if _, err := b.HashPasswordFor(t.Context(), alice, clear); password.ReasonOf(err) != want {
			t.Errorf("%q: %v", clear, err)
		}
	}
}

func TestSetPassword(t *testing.T) { // SESS-3
	b := newBench(t)
	alice := b.alice()
	b.login(alice, "D", model.ScopeAPI)
	b.update(func(tx *store.Tx) error {
		return tx.SaveConsent(model.Consent{UserID: alice.ID, ClientID: "app", RedirectURI: "https://app.example/", Scope: model.ScopeAPI})
	})
	hash, err := b.HashPassword(t.Context(), "another horse")
	b.must(err)
	b.update(func(tx *store.Tx) error { return b.SetPassword(tx, by, alice, hash, Ends{}) })
	b.wantLive(alice, 1, 0) // apps stay signed in, browsers do not
	b.wantEvent(alice, model.ActionSetPassword, nil)
	if b.hashOf(alice) != hash {
		t.Error("the password is another")
	}
	b.update(func(tx *store.Tx) error {
		consents, err := tx.Consents(alice.ID)
		if len(consents) != 0 {
			t.Errorf("remembered are %+v", consents)
		}
		if err := b.Deactivate(tx, by, &alice, false); err != nil {
			return err
		}
		wantCode(t, b.SetPassword(tx, by, alice, "hash", Ends{}), model.UserDeactivated)
		return err
	})
	if b.hashOf(alice) != hash {
		t.Error("a deactivated account got a password")
	}
}

// TestCheckPassword: every failure is one and the same, and costs one hash (PW-3, LEG-20).
func TestCheckPassword(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	hash := b.hashOf(alice)
	for name, test := range map[string]struct {
		hash, clear string
		good        bool
		cost        uint64
	}{
		"the right one":              {hash, "correct horse", true, 1},
		"a wrong one":                {hash, "another horse", false, 1},
		"an empty one":               {hash, "", false, 1},
		"an account without one":     {"", "correct horse", false, 1},
		"one that is too long":       {hash, strings.Repeat("a", 1<<20), false, 0},
		"too long, of nobody at all": {"", strings.Repeat("a", 1<<20), false, 0},
	} {
		before := b.config.Passwords.Stats().Hashes
		err := b.CheckPassword(t.Context(), alice, test.hash, test.clear)
		if test.good {
			b.must(err)
		} else {
			wantCode(t, err, model.InvalidCredentials)
		}
		if cost := b.config.Passwords.Stats().Hashes - before; cost != test.cost {
			t.Errorf("%s costs %d hashes, want %d", name, cost, test.cost)
		}
	}
	if b.hashOf(alice) != hash || b.log.String() != "" {
		t.Errorf("the hash is another, or something was logged: %s", b.log)
	}
	if err := b.CheckPassword(t.Context(), alice, "$no$hash", "correct horse"); err == nil || model.AsError(err).Code == model.InvalidCredentials {
		t.Errorf("a hash that cannot be read gave %v", err) // which is no fault of who signs in
	}
}

// TestUpgrade: a password is kept under the present scheme after the first sign-in with it.
func TestUpgrade(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	old := b.hashOf(alice)
	config := cheap
	config.Time = 2
	b.config.Passwords = password.New(config)
	if err := b.CheckPassword(t.Context(), alice, old, "wrong horse"); err == nil || b.hashOf(alice) != old {
		t.Errorf("a wrong password changed the hash: %v", err)
	}
	b.must(b.CheckPassword(t.Context(), alice, old, "correct horse"))
	upgraded := b.hashOf(alice)
	if upgraded == old || !strings.Contains(upgraded, "t=2") {
		t.Errorf("the hash is %s", upgraded)
	}
	b.must(b.CheckPassword(t.Context(), alice, upgraded, "correct horse"))
	if b.hashOf(alice) != upgraded || b.log.String() != "" {
		t.Errorf("upgraded again, or logged %s", b.log)
	}
}

// TestBusy: who cannot be served for the moment is told so, and not that the password is wrong.
func TestBusy(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	hash := b.hashOf(alice)
	config := cheap
	config.Queue = -1 // nobody waits
	asked := 0
	wantBusy := func(err error) {
		t.Helper()
		wantCode(t, err, model.TemporarilyDown)
		if e := model.AsError(err); e.Retry != busyRetry {
			t.Errorf("it may be tried again after %v", e.Retry)
		}
	}
	config.Now = func() time.Time { // is asked while the one hash is made
		if asked++; asked == 1 {
			wantBusy(b.CheckPassword(t.Context(), alice, hash, "correct horse"))
			wantBusy(b.CheckPassword(t.Context(), alice, "", "correct horse"))
			_, err := b.HashPassword(t.Context(), "correct horse")
			wantBusy(err)
		}
		return b.clock.Now()
	}
	b.config.Passwords = password.New(config)
	b.must(b.CheckPassword(t.Context(), alice, hash, "correct horse"))
	if asked != 2 {
		t.Errorf("%d times were asked for", asked)
	}
}

// TestUpgradeFails: the sign-in that brought the password has succeeded, whatever comes of the new hash.
func TestUpgradeFails(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	old := b.hashOf(alice)
	b.upgrade(over(t), alice, old, "correct horse")
	if lines := b.log.Lines(t, 0, "present scheme"); len(lines) != 1 || lines[0]["user"] != "@alice:example.test" || b.hashOf(alice) != old {
		t.Errorf("logged %v", lines)
	}
	b.upgrade(t.Context(), alice, "a hash that was changed meanwhile", "correct horse")
	if b.hashOf(alice) != old {
		t.Error("a password that was changed meanwhile is the old one again")
	}
}
