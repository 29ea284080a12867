package browser

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

type bench struct {
	t        *testing.T
	clock    *testkit.Clock
	store    *store.Store
	browsers *Browsers
	alice    model.User
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, clock: testkit.NewClock()}
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Rehearse: true, NoSync: true, Path: filepath.Join(t.TempDir(), "test.db"), Create: true, Now: b.clock.Now})
	b.must(err)
	t.Cleanup(func() { b.must(b.store.Close()) })
	b.browsers = New(b.store, nil)
	b.alice = model.User{ID: "alice", Localpart: "alice", CreatedAt: b.clock.Now()}
	b.must(b.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(b.alice) }))
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// proof is that alice has just proved who she is.
func (b *bench) proof(methods ...model.Method) model.Proof {
	return model.Proof{User: b.alice, Methods: methods, At: b.clock.Now()}
}

func (b *bench) start(value, replaced string) model.BrowserSession {
	b.t.Helper()
	s, err := b.browsers.Start(b.t.Context(), Start{Proof: b.proof(model.MethodPassword), Value: value, Replaced: replaced, Source: model.Source{IP: "192.0.2.1"}})
	b.must(err)
	return s
}

// want checks what a cookie stands for; an empty code means that alice is signed in.
func (b *bench) want(value string, code model.Code) {
	b.t.Helper()
	_, user, err := b.browsers.Current(b.t.Context(), value, model.Source{IP: "192.0.2.2"})
	if code == "" && (err != nil || user.ID != "alice") || code != "" && (err == nil || model.AsError(err).Code != code) {
		b.t.Fatalf("%q: got %v, %v, want %q", value, user, err, code)
	}
}

func TestBrowserSession(t *testing.T) {
	t.Run("stands for its user until it is ended", func(t *testing.T) {
		b := newBench(t)
		s := b.start("value", "")
		b.want("value", "")
		b.want("", model.NotSignedIn)
		b.want("another", model.NotSignedIn)
		b.must(b.browsers.SignOut(t.Context(), model.Holder(s.UserID, model.Source{}), s.ID))
		b.want("value", model.NotSignedIn)
	})
	t.Run("a new sign-in in the same browser ends the one before", func(t *testing.T) { // SESS-2
		b := newBench(t)
		b.start("first", "")
		b.start("second", "first")
		b.want("first", model.NotSignedIn)
		b.want("second", "")
	})
	t.Run("ends after thirty idle days and not before", func(t *testing.T) { // SESS-4
		b := newBench(t)
		b.start("value", "")
		b.clock.Move(bound.BrowserIdle - time.Second)
		b.want("value", "")
		b.clock.Move(bound.BrowserIdle - time.Second)
		b.want("value", "")
		b.clock.Move(bound.BrowserIdle)
		b.want("value", model.NotSignedIn)
	})
	t.Run("ends after ninety days of use", func(t *testing.T) {
		b := newBench(t)
		b.start("value", "")
		for range 89 {
			b.clock.Move(24 * time.Hour)
			b.want("value", "")
		}
		b.clock.Move(24 * time.Hour)
		b.want("value", model.NotSignedIn)
	})
	t.Run("keeps when and how its person proved who they are", func(t *testing.T) { // OIDC-13
		b := newBench(t)
		wantProof := func(at time.Time, methods ...model.Method) {
			t.Helper()
			s, _, err := b.browsers.Current(t.Context(), "value", model.Source{})
			if err != nil || !s.AuthenticatedAt.Equal(at) || !slices.Equal(s.Methods, methods) {
				t.Errorf("proved at %v by %q, %v; want %v by %q", s.AuthenticatedAt, s.Methods, err, at, methods)
			}
		}
		first := b.proof(model.MethodPassword)
		b.clock.Move(time.Second) // the password was checked in between
		s, err := b.browsers.Start(t.Context(), Start{Proof: first, Value: "value"})
		b.must(err)
		wantProof(first.At, model.MethodPassword)
		b.clock.Move(time.Minute)
		again := b.proof(model.MethodPassword, "otp")
		b.must(b.browsers.Prove(t.Context(), s.ID, again))
		wantProof(again.At, again.Methods...)
		// One that was slower to be checked is no newer one.
		b.must(b.browsers.Prove(t.Context(), s.ID, first))
		wantProof(again.At, again.Methods...)
	})
	t.Run("takes no proof of somebody else, nor one that comes when it is over", func(t *testing.T) { // SESS-5
		b := newBench(t)
		s := b.start("value", "")
		stranger := b.proof(model.MethodPassword)
		stranger.User.ID = "somebody"
		for name, prove := range map[string]func() error{
			"somebody else's": func() error { return b.browsers.Prove(t.Context(), s.ID, stranger) },
			"of no session":   func() error { return b.browsers.Prove(t.Context(), "nowhere", b.proof(model.MethodPassword)) },
		} {
			if err := prove(); !errors.Is(err, model.NotSignedIn) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.must(b.browsers.EndOwn(t.Context(), model.Holder(b.alice.ID, model.Source{}), s.ID))
		if err := b.browsers.Prove(t.Context(), s.ID, b.proof(model.MethodPassword)); !errors.Is(err, model.NotSignedIn) {
			t.Errorf("after the sign-out: %v", err)
		}
	})
	t.Run("is blocked by a lock and goes on after it", func(t *testing.T) { // MOD-7
		b := newBench(t)
		b.start("value", "")
		lock := func(at time.Time) {
			b.alice.LockedAt = at
			b.must(b.store.Update(t.Context(), func(tx *store.Tx) error { return tx.UpdateUser(b.alice) }))
		}
		lock(b.clock.Now())
		b.want("value", model.UserLocked)
		lock(time.Time{})
		b.want("value", "")
	})
	t.Run("all of a user end together", func(t *testing.T) {
		b := newBench(t)
		b.start("one", "")
		b.start("two", "")
		b.must(b.store.Update(t.Context(), func(tx *store.Tx) error {
			n, err := b.browsers.EndAll(tx, model.TheServer(), "alice", model.EndDeactivated)
			if n != 2 {
				t.Errorf("%d ended", n)
			}
			return err
		}))
		b.want("one", model.NotSignedIn)
		b.want("two", model.NotSignedIn)
	})
	t.Run("activity is noted once a minute", func(t *testing.T) {
		b := newBench(t)
		b.start("value", "")
		before := b.store.Statements()
		b.want("value", "")
		b.want("value", "")
		if n := b.store.Statements() - before; n != 4 {
			t.Errorf("%d statements for two looks", n)
		}
		b.clock.Move(time.Minute)
		b.want("value", "")
		b.must(b.store.View(t.Context(), func(tx *store.Tx) error {
			live, err := b.browsers.Live(tx, "alice")
			if len(live) != 1 || live[0].LastIP != "192.0.2.2" || !live[0].LastActiveAt.Equal(b.clock.Now()) {
				t.Errorf("%+v", live)
			}
			return err
		}))
	})
}
