package user

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// leaver is alice as she asks for something herself.
func leaver(alice model.User) model.Actor {
	return model.Holder(alice.ID, model.Source{IP: "192.0.2.7"})
}

// signIn has somebody sign in in a browser, and returns the value of its cookie.
func (b *bench) signIn(u model.User) (value string) {
	b.t.Helper()
	value = model.NewBrowserValue()
	_, err := b.config.Browsers.Start(b.t.Context(), browser.Start{Proof: model.Proof{User: u, At: b.clock.Now()}, Value: value})
	b.must(err)
	return value
}

// TestLeave: whoever leaves has what an operator's deactivation means, at once, and is named as who did it (MOD-11, ACCT-2).
func TestLeave(t *testing.T) {
	for _, erase := range []bool{false, true} {
		for way, leave := range map[string]func(b *bench, alice model.User) error{
			"by a proof": func(b *bench, alice model.User) error {
				return b.Leave(t.Context(), leaver(alice), model.Proof{User: alice, At: b.clock.Now()}, erase)
			},
			"by a browser": func(b *bench, alice model.User) error {
				return b.LeaveByBrowser(t.Context(), leaver(alice), b.signIn(alice), erase)
			},
		} {
			t.Run(fmt.Sprint(way, " erase ", erase), func(t *testing.T) {
				b := newBench(t)
				var told []model.Notice
				b.Users.config.Notify = func(_ *store.Tx, n model.Notice) error { told = []model.Notice{n}; return nil }
				alice := b.add(NewUser{Localpart: "alice", Password: "correct horse", Email: "alice@example.test"})
				b.login(alice, "D", model.ScopeAPI)
				b.must(leave(b, alice))
				if there := b.there("alice"); !there.Deactivated || there.Erased != erase || len(there.Devices) != 0 {
					t.Errorf("before the answer the homeserver has %+v", there)
				}
				b.wantLive(alice, 0, 0)
				if !b.row(alice.ID).Deactivated() || len(b.emails(alice.ID)) != 0 {
					t.Error("it is active, or has addresses")
				}
				if len(told) != 1 || told[0].Kind != model.NoticeDeactivated || len(told[0].Addresses) != 1 {
					t.Errorf("told %+v", told)
				}
				for _, e := range b.events(alice) {
					if e.Action == model.ActionDeactivateUser && (e.By.Kind != model.ActorUser || e.By.ID != alice.ID || e.By.Source.IP != "192.0.2.7" || e.Details["erase"] != erase) {
						t.Errorf("the event is %+v", e)
					}
				}
				b.work()
			})
		}
	}
}

// TestLeaveRefused: the account is judged in the transaction, not by what the caller knew of it.
func TestLeaveRefused(t *testing.T) {
	later := func(b *bench, f func(tx *store.Tx, u *model.User) error) func(model.User) {
		return func(alice model.User) {
			b.clock.Move(time.Second)
			b.change(&alice, f)
		}
	}
	for name, test := range map[string]struct {
		before             func(b *bench) func(model.User)
		byProof, byBrowser model.Code
	}{
		"locked since": {func(b *bench) func(model.User) {
			return later(b, func(tx *store.Tx, u *model.User) error { return b.Lock(tx, by, u) })
		}, model.UserLocked, model.UserLocked},
		"another password since": {func(b *bench) func(model.User) {
			return later(b, func(tx *store.Tx, u *model.User) error { return b.SetPassword(tx, by, *u, "hash", Ends{}) })
		}, model.LoginRequired, model.NotSignedIn},
		"all sessions ended since": {func(b *bench) func(model.User) {
			return later(b, func(tx *store.Tx, u *model.User) error {
				_, err := b.EndEverything(tx, by, u.ID, model.EndByOperator)
				return err
			})
		}, "", model.NotSignedIn},
		"the proof is old": {func(b *bench) func(model.User) {
			return func(model.User) { b.clock.Move(bound.ProofLife + time.Second) }
		}, "", model.LoginRequired}, // how old a proof may be is the concern of who keeps it
		"the homeserver is read-only": {func(b *bench) func(model.User) {
			return func(model.User) { b.Users.config.ReadOnly = true }
		}, model.TemporarilyDown, model.TemporarilyDown},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{"proof", "browser"} {
				b := newBench(t)
				alice := b.alice()
				value, proof, want := b.signIn(alice), model.Proof{User: alice, At: b.clock.Now()}, test.byProof
				test.before(b)(alice)
				var err error
				if way == "proof" {
					err = b.Leave(t.Context(), leaver(alice), proof, true)
				} else {
					want, err = test.byBrowser, b.LeaveByBrowser(t.Context(), leaver(alice), value, true)
				}
				if want == "" {
					b.must(err)
					continue
				}
				wantCode(t, err, want)
				if b.row(alice.ID).Deactivated() {
					t.Errorf("by a %s: it is deactivated", way)
				}
			}
		})
	}
	b := newBench(t)
	alice, bob := b.alice(), b.add(NewUser{Localpart: "bob"})
	proof := model.Proof{User: alice, At: b.clock.Now()}
	wantCode(t, b.LeaveByBrowser(t.Context(), leaver(alice), b.signIn(bob), false), model.NotSignedIn) // another signed in in it meanwhile
	wantCode(t, b.LeaveByBrowser(t.Context(), leaver(alice), "", false), model.NotSignedIn)
	wantCode(t, b.Leave(t.Context(), leaver(alice), model.Proof{User: model.User{ID: "gone"}}, false), model.NotSignedIn)
	if err := b.Leave(over(t), leaver(alice), proof, false); err == nil {
		t.Error("left by a context that has ended")
	}
	b.must(b.Leave(t.Context(), leaver(alice), proof, false))
	events := len(b.events(alice))
	wantCode(t, b.Leave(t.Context(), leaver(alice), proof, true), model.UserDeactivated) // once is enough, and erase is not added
	if len(b.events(alice)) != events || b.row(bob.ID).Deactivated() {
		t.Error("a second time did something")
	}
	b.must(b.Leave(t.Context(), leaver(bob), model.Proof{User: bob, At: b.clock.Now()}, false)) // who never had a password
}

// TestLeaveOwnPassword: who has just changed the password in this browser has proved who they are.
func TestLeaveOwnPassword(t *testing.T) {
	b := newBench(t)
	alice := b.alice()
	value, asked := b.signIn(alice), b.clock.Now()
	b.clock.Move(time.Second) // the hashes take their time
	value, err := b.ChangePassword(t.Context(), leaver(alice), PasswordChange{
		Proof: model.Proof{User: alice, At: asked}, Old: "correct horse", New: "xylophone tango 77 orbit", Value: value,
	})
	b.must(err)
	b.must(b.LeaveByBrowser(t.Context(), leaver(alice), value, false))
}

// TestLeaveAtOnce: whatever else happens to an account while somebody leaves, afterwards it is deactivated with nothing left,
// or it was refused and nothing happened (MOD-11).
func TestLeaveAtOnce(t *testing.T) {
	for name, other := range map[string]func(b *bench, alice model.User, refresh string) error{
		"a refresh": func(b *bench, _ model.User, refresh string) error {
			_, err := b.config.Sessions.Refresh(t.Context(), session.Refresh{Kind: model.OAuthSession, Token: refresh, ClientID: "app"})
			return err
		},
		"a login of an app": func(b *bench, alice model.User, _ string) error {
			_, _, err := b.config.Sessions.Start(t.Context(), session.Start{Kind: model.OAuthSession, User: alice, DeviceID: "NEW", Scope: model.ScopeAPI, ClientID: "app"})
			return err
		},
		"a login in a browser": func(b *bench, alice model.User, _ string) error {
			_, err := b.config.Browsers.Start(t.Context(), browser.Start{Proof: model.Proof{User: alice, At: b.clock.Now()}, Value: model.NewBrowserValue()})
			return err
		},
		"a password": func(b *bench, alice model.User, _ string) error {
			return b.store.Update(t.Context(), func(tx *store.Tx) error {
				now, err := tx.User(alice.ID)
				if err != nil {
					return err
				}
				return b.SetPassword(tx, by, now, "hash", Ends{})
			})
		},
		"an address": func(b *bench, alice model.User, _ string) error {
			return b.store.Update(t.Context(), func(tx *store.Tx) error {
				now, err := tx.User(alice.ID)
				if err != nil {
					return err
				}
				return b.AddEmail(tx, by, now, "new@example.test")
			})
		},
		"a lock": func(b *bench, alice model.User, _ string) error {
			return b.store.Update(t.Context(), func(tx *store.Tx) error {
				now, err := tx.User(alice.ID)
				if err != nil {
					return err
				}
				return b.Lock(tx, by, &now)
			})
		},
		"a lock and an unlock": func(b *bench, alice model.User, _ string) error {
			for _, set := range []func(*store.Tx, model.Actor, *model.User) error{b.Lock, b.Unlock} {
				err := b.store.Update(t.Context(), func(tx *store.Tx) error {
					now, err := tx.User(alice.ID)
					if err != nil {
						return err
					}
					return set(tx, by, &now)
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
		"the same in another tab": func(b *bench, alice model.User, _ string) error {
			return b.Leave(t.Context(), leaver(alice), model.Proof{User: alice, At: b.clock.Now()}, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				b := newBench(t)
				alice := b.add(NewUser{Localpart: "alice", Password: "correct horse", Email: "alice@example.test"})
				_, tokens, err := b.config.Sessions.Start(t.Context(), session.Start{Kind: model.OAuthSession, User: alice, DeviceID: "D", Scope: model.ScopeAPI, Refreshable: true, ClientID: "app"})
				b.must(err)
				value := b.signIn(alice)
				var wait sync.WaitGroup
				wait.Go(func() { _ = other(b, alice, tokens.Refresh) }) // done before, or refused after
				left := b.LeaveByBrowser(t.Context(), leaver(alice), value, false)
				wait.Wait()
				b.work()
				if left != nil && !b.row(alice.ID).Deactivated() {
					if c := model.AsError(left).Code; c != model.UserLocked && c != model.NotSignedIn || b.there("alice").Deactivated {
						t.Errorf("refused: %v; the homeserver has %+v", left, b.there("alice"))
					}
					continue
				}
				b.wantLive(alice, 0, 0)
				if there := b.there("alice"); !there.Deactivated || len(there.Devices) != 0 || len(b.emails(alice.ID)) != 0 {
					t.Errorf("left are %q and at the homeserver %+v", b.emails(alice.ID), there)
				}
			}
		})
	}
}

// TestInApp: what was confirmed in an app is done if it still holds in the transaction (LEG-46): the password is the one of the
// proof, the app is signed in, and the account may act.
func TestInApp(t *testing.T) {
	for deed, do := range map[string]func(b *bench, by model.Actor, p model.Proof, sessionID string) error{
		"change the password": func(b *bench, by model.Actor, p model.Proof, sessionID string) error {
			return b.ChangePasswordInApp(t.Context(), by, AppPasswordChange{Proof: p, Old: "correct horse", New: "another long password", SessionID: sessionID, Others: true})
		},
		"delete a device": func(b *bench, by model.Actor, p model.Proof, sessionID string) error {
			return b.EndDevices(t.Context(), by, p, sessionID, []string{"E"})
		},
		"leave": func(b *bench, by model.Actor, p model.Proof, sessionID string) error {
			return b.LeaveByApp(t.Context(), by, p, sessionID, false)
		},
	} {
		for name, c := range map[string]struct {
			meanwhile func(b *bench, alice model.User, sessionID string)
			want      model.Code
		}{
			"nothing": {func(*bench, model.User, string) {}, ""},
			"another password": {func(b *bench, alice model.User, _ string) {
				b.clock.Move(time.Second)
				b.update(func(tx *store.Tx) error { return b.SetPassword(tx, leaver(alice), alice, "$hash", Ends{}) })
			}, model.LoginRequired},
			"signed out": {func(b *bench, alice model.User, sessionID string) {
				b.must(b.config.Sessions.EndOwn(t.Context(), leaver(alice), sessionID))
			}, model.UnknownToken},
			"locked": {func(b *bench, alice model.User, _ string) {
				b.change(&alice, func(tx *store.Tx, u *model.User) error { return b.Lock(tx, leaver(alice), u) })
			}, model.UserLocked},
			"left": {func(b *bench, alice model.User, _ string) {
				b.must(b.Leave(t.Context(), leaver(alice), model.Proof{User: alice, At: b.clock.Now()}, false))
			}, model.UserDeactivated},
		} {
			t.Run(deed+" after "+name, func(t *testing.T) {
				b := newBench(t)
				alice := b.add(NewUser{Localpart: "alice", Password: "correct horse"})
				app, _ := b.login(alice, "D", model.ScopeAPI)
				b.login(alice, "E", model.ScopeAPI)
				proof := model.Proof{User: alice, At: b.clock.Now()}
				c.meanwhile(b, alice, app.ID)
				if err := do(b, leaver(alice), proof, app.ID); model.AsError(err) != nil && model.AsError(err).Code != c.want || (err == nil) != (c.want == "") {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		}
	}
}
