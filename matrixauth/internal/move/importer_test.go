package move_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestTake: the first run makes accounts as they are at the other server.
func TestTake(t *testing.T) {
	h := newHouse(t)
	admin := account("admin", "PHONE")
	admin.Admin = true
	admin.Sessions = append(admin.Sessions, move.Session{Tokens: []move.Token{{Hash: model.HashToken("bot"), Pair: 1}}})
	locked := account("locked", "PHONE")
	locked.Locked = true
	gone := account("gone")
	gone.Deactivated = true
	odd := account("Åsa Upper#1", "de/vice ü")
	odd.Emails = []move.Address{{Address: "Asa@Example.org"}, {Address: "asa@example.org"}, {Address: "no address"}}
	odd.Others = []move.Threepid{{Medium: "msisdn", Address: "4670"}}
	odd.Links = []move.Link{{Provider: "oidc-github", Subject: "17"}}
	odd.Terms = []move.Terms{{Version: "2"}}
	waits := account("waits")
	waits.Waiting = true
	uses := int64(3)
	from := newServer(admin, locked, gone, odd, waits)
	from.tokens = []move.RegistrationToken{{Token: "invite", Uses: &uses, Used: 1}, {Token: "not a token!"}}

	taken, findings := take(h, from)
	if taken.Users != 4 || taken.Sessions != 4 || taken.Tokens != 4 || taken.Waiting != 1 || taken.RegistrationTokens != 1 || taken.Emails != 1 {
		t.Errorf("taken %+v", taken)
	}
	if count(findings, move.AddressRefused) != 1 || count(findings, move.RegistrationTokenRefused) != 1 {
		t.Errorf("found %+v", findings.All())
	}
	for localpart, state := range map[string]string{"admin": "active", "locked": "locked", "gone": "deactivated", "Åsa Upper#1": "active"} {
		if u := user(h, localpart); u.State != state {
			t.Errorf("%s is %s, not %s", localpart, u.State, state)
		}
	}
	if !user(h, "admin").Admin || h.Count("sessions WHERE scope = ?1", model.CompatScope(true)) != 2 {
		t.Error("the tokens of an administrator, those without a device too, lost the administration")
	}
	if h.Count("registrations WHERE state = 'waiting' AND localpart = 'waits' AND existing") != 1 {
		t.Error("nobody waits for an operator")
	}
	if h.Count("registration_tokens WHERE uses = 3 AND used = 1") != 1 {
		t.Error("the registration token has not the uses that are left")
	}
	h.WantActive(tokenOf("admin", "PHONE"), "PHONE")
	if a := h.Introspect("bot"); !strings.Contains(a.Body, `"active":true`) {
		t.Errorf("the token without a device is %s", a.Body)
	}
	if n := h.Count("outbox"); n != 0 {
		t.Errorf("the homeserver is told %d things that it knows", n)
	}
}

// TestTakeAgain: a later run takes along what changed there and takes away what is gone, unless it was changed here.
func TestTakeAgain(t *testing.T) {
	begin := func(t *testing.T) (*house.House, *server) {
		h := newHouse(t)
		from := newServer(account("alice", "PHONE", "LAPTOP"), account("bob", "PHONE"))
		from.change("alice", func(a *move.Account) { a.Emails = []move.Address{{Address: "alice@example.org"}} })
		take(h, from)
		return h, from
	}
	t.Run("nothing changed", func(t *testing.T) {
		h, from := begin(t)
		before := h.Rows()
		if taken, _ := take(h, from); taken != (move.Taken{Unchanged: 2}) {
			t.Errorf("taken %+v", taken)
		}
		if h.Rows() != before {
			t.Error("rows changed")
		}
	})
	t.Run("what changed there", func(t *testing.T) {
		h, from := begin(t)
		from.change("alice", func(a *move.Account) {
			a.PasswordHash, a.Admin, a.Locked = bcryptOf("new"), true, true
			a.Emails = []move.Address{{Address: "new@example.org"}}
			a.Sessions = append(a.Sessions[:1], signIn("alice", "TABLET"))
			a.Sessions[0].Tokens[0].Hash = model.HashToken("another")
			a.Sessions[0].DeviceName = "renamed"
		})
		from.change("bob", func(a *move.Account) { a.Deactivated, a.Sessions = true, nil })
		from.set(account("carol", "PHONE"))
		taken, findings := take(h, from)
		if taken.Users != 1 || taken.UsersChanged != 1 || taken.Sessions != 2 || taken.SessionsChanged != 1 || taken.SessionsEnded != 1 || taken.Kept != 0 || len(findings.All()) != 0 {
			t.Errorf("taken %+v, found %+v", taken, findings.All())
		}
		fresh := newHouse(t)
		take(fresh, from)
		if got, want := brought(h), brought(fresh); got != want {
			t.Errorf("here is\n%s\nwhere one run makes\n%s", got, want)
		}
	})
	t.Run("a deactivated account keeps no address and no link", func(t *testing.T) {
		h, from := begin(t)
		from.change("alice", func(a *move.Account) {
			a.Links, a.Others = []move.Link{{Provider: "oidc", Subject: "1"}}, []move.Threepid{{Medium: "msisdn", Address: "4670"}}
		})
		take(h, from)
		from.change("alice", func(a *move.Account) { a.Deactivated = true })
		take(h, from)
		if n := h.Count("external_links") + h.Count("other_threepids") + h.Count("user_emails"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
	t.Run("an administrator no more, whose app was refreshed here", func(t *testing.T) {
		h := newHouse(t)
		admin := account("admin", "PHONE")
		admin.Admin = true
		from := newServer(admin)
		take(h, from)
		h.SQL("UPDATE sessions SET pairs = 2")
		from.change("admin", func(a *move.Account) { a.Admin = false })
		take(h, from)
		if h.Count("sessions WHERE ended_at IS NULL AND scope = ?1", model.CompatScope(false)) != 1 || h.Count("tokens WHERE scope <> ?1", model.CompatScope(false)) != 0 {
			t.Error("the app has the right still, or is out")
		}
	})
	t.Run("an account that is gone there", func(t *testing.T) {
		h, from := begin(t)
		delete(from.accounts, "bob")
		if taken, findings := take(h, from); taken.UsersGone != 1 || user(h, "bob").State != "deactivated" || count(findings, move.AccountGone) != 1 {
			t.Errorf("taken %+v, found %+v", taken, findings.All())
		}
		if move.AccountGone.Weight != move.Warns {
			t.Error("a run from an older database deactivates people unasked")
		}
	})
	t.Run("what was used here is not forgotten as a device is seen there", func(t *testing.T) {
		h, from := begin(t)
		h.SQL("UPDATE sessions SET used_generation = 1 WHERE device_id = 'LAPTOP'")
		from.change("alice", func(a *move.Account) { a.Sessions[1].LastActiveAt = h.Clock.Now() })
		take(h, from)
		if h.Count("sessions WHERE device_id = 'LAPTOP' AND used_generation = 1") != 1 {
			t.Error("a consumed refresh token may be exchanged again")
		}
	})
	t.Run("an account that is gone there and lives here", func(t *testing.T) {
		h, from := begin(t)
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.SetPassword(h.UserID("bob"), "x") }))
		h.Clock.Move(time.Minute)
		delete(from.accounts, "bob")
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.SetPassword(h.UserID("bob"), "y") }))
		if taken, findings := take(h, from); taken.UsersGone != 0 || count(findings, move.ChangedHere) != 1 || user(h, "bob").State != "active" {
			t.Errorf("taken %+v, found %+v", taken, findings.All())
		}
	})
	t.Run("what changed on both sides stays as it is here", func(t *testing.T) {
		h, from := begin(t)
		h.Clock.Move(time.Minute)
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error { return tx.SetPassword(h.UserID("alice"), "ours") }))
		_, err := matrixauth.LockUser.Do(context.Background(), h.Ops, matrixauth.Name{User: "alice"})
		h.Must(err)
		_, err = matrixauth.EndSessions.Do(context.Background(), h.Ops, matrixauth.SessionsToEnd{User: "alice"})
		h.Must(err)
		from.change("alice", func(a *move.Account) {
			a.PasswordHash = bcryptOf("new")
			a.Sessions[1].Tokens[0].Hash = model.HashToken("another")
		})
		taken, findings := take(h, from)
		if taken.Kept != 2 || count(findings, move.ChangedHere) != 2 || taken.Sessions != 0 {
			t.Errorf("taken %+v, found %+v", taken, findings.All())
		}
		if h.Count("passwords WHERE hash = 'ours'") != 1 || user(h, "alice").State != "locked" {
			t.Error("what was changed here was overwritten")
		}
	})
	t.Run("an app that went on here, and then there, has the tokens of both", func(t *testing.T) {
		h := newHouse(t)
		a := account("alice", "PHONE")
		a.Sessions[0].Tokens = append(a.Sessions[0].Tokens, move.Token{Hash: model.HashToken("syr_alice"), Refresh: true, Pair: 1})
		from := newServer(a)
		take(h, from)
		s := h.SignedIn(h.Refresh("syr_alice"))
		h.WantActive(s.AccessToken, "PHONE")
		from.change("alice", func(a *move.Account) {
			a.Sessions = []move.Session{signIn("alice", "PHONE")}
			a.Sessions[0].Tokens = []move.Token{{Hash: model.HashToken("syt_later"), Pair: 1}, {Hash: model.HashToken("syr_later"), Refresh: true, Pair: 1}}
		})
		if taken, _ := take(h, from); taken.SessionsChanged != 1 || taken.Kept != 0 {
			t.Errorf("taken %+v", taken)
		}
		h.WantActive(s.AccessToken, "PHONE")
		h.WantActive("syt_later", "PHONE")
		h.Refresh("syr_later").WantStatus(t, 200)
		h.Refresh(s.RefreshToken).WantStatus(t, 200)
		if taken, _ := take(h, from); taken.Unchanged != 1 {
			t.Errorf("another run takes %+v", taken)
		}
	})
	t.Run("a hash that was upgraded at a sign-in follows a new password there", func(t *testing.T) {
		h, from := begin(t)
		h.Must(h.Store.Update(context.Background(), func(tx *store.Tx) error {
			return tx.UpgradePassword(h.UserID("alice"), bcryptOf("alice"), "upgraded")
		}))
		from.change("alice", func(a *move.Account) { a.PasswordHash = bcryptOf("new") })
		if taken, _ := take(h, from); taken.Passwords != 1 || h.Count("passwords WHERE hash = ?1", bcryptOf("new")) != 1 {
			t.Errorf("taken %+v", taken)
		}
	})
	t.Run("a session whose tokens have expired is left alone", func(t *testing.T) {
		h := newHouse(t)
		a := account("alice", "PHONE")
		a.Sessions[0].Tokens[0].ExpiresAt = h.Clock.Now().Add(time.Hour)
		from := newServer(a)
		take(h, from)
		h.Clock.Move(2 * time.Hour)
		from.change("alice", func(a *move.Account) { a.Sessions = nil })
		if taken, _ := take(h, from); taken.SessionsEnded != 0 {
			t.Errorf("taken %+v", taken)
		}
	})
	t.Run("who waited there", func(t *testing.T) {
		h := newHouse(t)
		a := account("alice")
		a.Waiting = true
		from := newServer(a)
		take(h, from)
		from.change("alice", func(a *move.Account) { a.Waiting = false })
		if taken, _ := take(h, from); taken.Users != 1 || h.Count("registrations WHERE state = 'waiting'") != 0 {
			t.Errorf("taken %+v", taken)
		}
	})
}

// TestTakeDeactivatedHere: who was deactivated here before a first run stays so, though the other server has the account.
func TestTakeDeactivatedHere(t *testing.T) {
	h := newHouse(t)
	h.Add("alice")
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "alice"}})
	take(h, newServer(account("alice", "PHONE")))
	if user(h, "alice").State != "deactivated" || h.Count("sessions WHERE ended_at IS NULL") != 0 {
		t.Error("an account lives again that an operator here deactivated")
	}
}

// TestTakenAdministrator: who may administer no more loses that right with the tokens that they brought along, and no app.
func TestTakenAdministrator(t *testing.T) {
	h := newHouse(t)
	admin := account("admin", "PHONE")
	admin.Admin = true
	admin.Sessions = append(admin.Sessions, move.Session{Tokens: []move.Token{{Hash: model.HashToken("bot"), Pair: 1}}})
	take(h, newServer(admin))
	house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "admin"}})
	if h.Count("sessions WHERE ended_at IS NULL AND device_id = 'PHONE' AND scope = ?1", model.CompatScope(false)) != 1 || h.Count("tokens WHERE scope <> ?1", model.CompatScope(false)) != 0 {
		t.Error("the app has the right still, or is out")
	}
	if h.Count("sessions WHERE ended_at IS NULL AND device_id = ''") != 0 {
		t.Error("a token that is for nothing but administration lives")
	}
}

// TestDemotedThere: who may administer no more there may not here, by whatever token, also one of ours since.
func TestDemotedThere(t *testing.T) {
	h := newHouse(t)
	admin := account("admin", "PHONE")
	admin.Admin = true
	refresh := "syr_admin_PHONE"
	admin.Sessions[0].Tokens = append(admin.Sessions[0].Tokens, move.Token{Hash: model.HashToken(refresh), Refresh: true, Pair: 1})
	from := newServer(admin)
	take(h, from)
	h.Refresh(refresh).WantStatus(t, 200)
	from.change("admin", func(a *move.Account) { a.Admin = false })
	take(h, from)
	if n := h.Count("sessions WHERE scope <> ?1", model.CompatScope(false)) + h.Count("tokens WHERE scope NOT IN ('', ?1)", model.CompatScope(false)); n != 0 || h.Count("sessions WHERE ended_at IS NULL") != 1 {
		t.Errorf("%d rows may administer", n)
	}
}

// TestTakeBeside: a store that is not empty keeps what it has.
func TestTakeBeside(t *testing.T) {
	h := newHouse(t)
	h.Add("alice", "bob")
	app := h.LoginOn("alice", "PHONE")
	a := account("alice", "PHONE", "LAPTOP")
	a.Admin = true
	other := account("carol", "X")
	other.Sessions[0].Tokens[0].Hash = model.HashToken(app.AccessToken)
	taken, findings := take(h, newServer(a, other))
	if taken.Users != 1 || taken.Sessions != 1 || count(findings, move.AccountExists) != 1 || count(findings, move.DeviceHere) != 1 || count(findings, move.TokenTaken) != 1 {
		t.Errorf("taken %+v, found %+v", taken, findings.All())
	}
	h.WantActive(app.AccessToken, "PHONE")
	locked := account("bob")
	locked.Locked = true
	take(h, newServer(a, other, locked))
	if user(h, "bob").State != "locked" {
		t.Error("a lock there is not followed")
	}
	if user(h, "alice").Admin {
		t.Error("an account that was here has other rights, or is gone")
	}
	if h.TryLogin("alice", nil).Status != 200 {
		t.Error("the password of an account that was here does not open it any more")
	}
	if taken, _ := take(h, newServer(a, other, locked)); taken.Unchanged != 3 {
		t.Errorf("a second run takes %+v", taken)
	}
}

// TestTakeDry: a dry run says what would be done and changes nothing.
func TestTakeDry(t *testing.T) {
	h := newHouse(t)
	before := h.Rows()
	var findings move.Findings
	from := newServer(account("alice", "PHONE"))
	from.tokens = []move.RegistrationToken{{Token: "invite"}}
	taken, err := move.Run(context.Background(), from, operate.MoveTarget{Caller: h.Ops}, move.Options{DryRun: true}, &findings)
	h.Must(err)
	if taken.Users != 1 || taken.RegistrationTokens != 1 {
		t.Errorf("taken %+v", taken)
	}
	if h.Rows() != before {
		t.Error("rows changed")
	}
}

// TestOlderDatabase: a copy of before is told, as passwords and sessions would go back with it.
func TestOlderDatabase(t *testing.T) {
	h := newHouse(t)
	from := newServer(account("alice"))
	for _, c := range []struct{ position, found int64 }{{0, 0}, {100, 0}, {100, 0}, {200, 0}, {150, 1}} {
		from.change("alice", func(a *move.Account) { a.CreatedAt = a.CreatedAt.Add(time.Second) })
		var findings move.Findings
		_, err := move.Run(context.Background(), from, operate.MoveTarget{Caller: h.Ops}, move.Options{Position: c.position}, &findings)
		h.Must(err)
		if got := count(&findings, move.DatabaseOlder); got != c.found {
			t.Errorf("at %d: found %d times", c.position, got)
		}
	}
}

// TestTakePepper: a pepper that is right in a later run is taken along with the hashes that it belongs to.
func TestTakePepper(t *testing.T) {
	h := newHouse(t)
	target := operate.MoveTarget{Caller: h.Ops}
	from := newServer(account("alice"), account("bob"))
	run := func(pepper string) move.Taken {
		h.Must(target.TakePepper(context.Background(), pepper))
		var findings move.Findings
		taken, err := move.Run(context.Background(), move.WithPepper(from, password.Mark(pepper)), target, move.Options{}, &findings)
		h.Must(err)
		return taken
	}
	h.KeepSecret("the right pepper")
	run("the wrong pepper")
	if taken := run("the right pepper"); taken.Passwords != 2 {
		t.Errorf("taken %+v", taken)
	}
	if taken := run("the right pepper"); taken.Unchanged != 2 {
		t.Errorf("taken %+v", taken)
	}
}

// TestTakeInterrupted: who interrupts a run, be it at the last account, is told that it did not come to its end.
func TestTakeInterrupted(t *testing.T) {
	h := newHouse(t)
	from := newServer(account("alice"), account("bob"))
	ctx, cancel := context.WithCancel(t.Context())
	var findings move.Findings
	taken, err := move.Run(ctx, from, operate.MoveTarget{Caller: h.Ops}, move.Options{Tell: func(n int64) {
		if n == 2 {
			cancel()
		}
	}}, &findings)
	if !errors.Is(err, context.Canceled) || taken.Users != 0 {
		t.Errorf("taken %+v, %v", taken, err)
	}
	if taken, _ := take(h, from); taken.Users != 2 {
		t.Errorf("another run takes %+v", taken)
	}
}

// TestTakeForeign: nothing of another server name comes in, whoever asks.
func TestTakeForeign(t *testing.T) {
	h := newHouse(t)
	_, err := operate.TakeAccounts.Do(context.Background(), h.Ops, move.Batch{Accounts: []move.Account{{Name: "@alice:other.example", Localpart: "alice"}}})
	if !errors.Is(err, model.InvalidParam) {
		t.Errorf("%v", err)
	}
}

// TestTakeProperty: whatever changes there, and wherever runs are killed, the last run ends where one run into an empty
// store does.
func TestTakeProperty(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		h, from := newHouse(t), newServer()
		target := operate.MoveTarget{Caller: h.Ops}
		for range 4 {
			for range 1 + rnd.IntN(300) {
				randomChange(rnd, from)
			}
			var findings move.Findings
			_, err := move.Run(context.Background(), from, &dying{target, rnd.IntN(3)}, move.Options{}, &findings)
			if err != nil && !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			h.Clock.Move(time.Minute)
		}
		take(h, from)
		fresh := newHouse(t)
		take(fresh, from)
		if got, want := brought(h), brought(fresh); got != want {
			t.Fatalf("seed %d: here is\n%s\nwhere one run makes\n%s", seed, got, want)
		}
		if taken, _ := take(h, from); taken != (move.Taken{Unchanged: int64(len(from.accounts))}) {
			t.Fatalf("seed %d: another run takes %+v", seed, taken)
		}
	}
}

// randomChange changes something at the other server. Accounts do not go, as a name that is gone stays reserved here.
func randomChange(rnd *rand.Rand, from *server) {
	localpart := name(rnd.IntN(450))
	if _, there := from.accounts[localpart]; !there {
		from.set(account(localpart))
	}
	from.change(localpart, func(a *move.Account) {
		a.Sessions = slices.Clone(a.Sessions)
		switch rnd.IntN(9) {
		case 0:
			a.PasswordHash = bcryptOf(string(rune('a' + rnd.IntN(26))))
		case 1:
			a.Admin = !a.Admin
		case 2:
			a.Locked = !a.Locked
		case 3:
			a.Emails = []move.Address{{Address: localpart + string(rune('a'+rnd.IntN(3))) + "@example.org"}}
		case 4:
			a.Links = []move.Link{{Provider: "oidc", Subject: localpart}}
			a.Others = []move.Threepid{{Medium: "msisdn", Address: string(rune('1' + rnd.IntN(9)))}}
		case 5, 6:
			device := string(rune('A' + rnd.IntN(4)))
			a.Sessions = slices.DeleteFunc(a.Sessions, func(s move.Session) bool { return s.DeviceID == device })
			if rnd.IntN(3) > 0 {
				a.Sessions = append(a.Sessions, randomSession(rnd, localpart, device))
			}
		case 7:
			for i := range a.Sessions {
				a.Sessions[i].DeviceName = string(rune('a' + rnd.IntN(26)))
			}
		case 8:
			a.Sessions = slices.DeleteFunc(a.Sessions, func(s move.Session) bool { return s.DeviceID == "" })
			a.Sessions = append(a.Sessions, move.Session{Tokens: []move.Token{{Hash: randomHash(rnd), Pair: 1}}})
		}
	})
}

// randomSession makes one with a token, or with refresh tokens of which the first is consumed.
func randomSession(rnd *rand.Rand, localpart, device string) move.Session {
	s := signIn(localpart, device)
	if rnd.IntN(2) == 0 {
		s.Tokens[0].Hash = randomHash(rnd)
		return s
	}
	first, second := randomHash(rnd), randomHash(rnd)
	s.Tokens = []move.Token{
		{Hash: randomHash(rnd), Pair: 1, Used: true}, {Hash: first, Refresh: true, Pair: 1},
		{Hash: randomHash(rnd), Pair: 2, Generation: 1, Parent: first}, {Hash: second, Refresh: true, Pair: 2, Generation: 1, Parent: first},
	}
	s.EndsAt = time.Unix(4_000_000_000, 0).UTC()
	return s
}

func randomHash(rnd *rand.Rand) (hash model.TokenHash) {
	for i := range hash {
		hash[i] = byte(rnd.Uint32())
	}
	return hash
}
