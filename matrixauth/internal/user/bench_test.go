package user

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// cheap is a hasher that costs a test next to nothing.
var cheap = password.Config{Memory: 8, Time: 1, Concurrent: 1}

// bench is a store with a homeserver, and the accounts of both.
type bench struct {
	*Users
	t       *testing.T
	clock   *testkit.Clock
	store   *store.Store
	synapse *fake.Server
	log     *testkit.Journal
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, clock: testkit.NewClock(), synapse: fake.Start(t, fake.Config{Keys: true}), log: &testkit.Journal{}}
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Rehearse: true, NoSync: true, Path: filepath.Join(t.TempDir(), "test.db"), Create: true, Now: b.clock.Now})
	b.must(err)
	t.Cleanup(func() { b.must(b.store.Close()) })
	registry, err := session.NewRegistry(t.Context(), b.store)
	b.must(err)
	logger, jobs := slog.New(slog.NewJSONHandler(b.log, nil)), outbox.New(b.store)
	sessions := session.New(session.Config{
		Store: b.store, Outbox: jobs, Registry: registry, Homeserver: b.synapse.Client(), AccessLife: 5 * time.Minute, ServerName: "example.test",
		Limiter: limit.New(b.clock.Now), Refreshes: limit.Rate{Burst: 60, PerMinute: 60}, Logger: logger,
	})
	b.Users = New(Config{
		Store: b.store, Outbox: jobs, Sessions: sessions, Browsers: browser.New(b.store, nil), Passwords: password.New(cheap), Policy: password.NewPolicy(password.PolicyConfig{MinScore: password.DefaultMinScore}),
		Homeserver: b.synapse.Client(), ServerName: "example.test", Logger: logger,
	})
	jobs.Configure(outbox.Config{Handlers: append(b.Handlers(), sessions.Handlers()...), ServerName: "example.test", Logger: logger})
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) update(f func(tx *store.Tx) error) {
	b.t.Helper()
	b.must(b.store.Update(b.t.Context(), f))
}

// change changes an account in a transaction, as operators' actions do: read there, as it may run twice.
func (b *bench) change(u *model.User, f func(tx *store.Tx, u *model.User) error) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		found, err := tx.User(u.ID)
		if err == nil {
			err = f(tx, &found)
		}
		*u = found
		return err
	})
}

// work does the jobs that are due, and wants none to be left.
func (b *bench) work() {
	b.t.Helper()
	b.config.Outbox.Pass(b.t.Context())
	state, err := b.config.Outbox.State(b.t.Context())
	b.must(err)
	if state.Waiting != 0 || state.SetAside != 0 {
		b.t.Fatalf("the outbox is %+v", state)
	}
}

// add adds an account, of which the homeserver learns.
func (b *bench) add(n NewUser) model.User {
	b.t.Helper()
	created, err := b.Create(b.t.Context(), model.Operator("0", "root"), n)
	b.must(err)
	b.work()
	return created
}

func (b *bench) alice() model.User {
	b.t.Helper()
	return b.add(NewUser{Localpart: "alice", Password: "correct horse"})
}

// row is the account as the store has it.
func (b *bench) row(id string) (u model.User) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) { u, err = tx.User(id); return err }))
	return u
}

// emails lists the addresses of an account.
func (b *bench) emails(id string) (all []string) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) error {
		emails, err := tx.Emails(id)
		for _, e := range emails {
			all = append(all, e.Address)
		}
		return err
	}))
	return all
}

// there is the account as the homeserver has it.
func (b *bench) there(localpart string) fake.User {
	b.t.Helper()
	u, ok := b.synapse.User(localpart)
	if !ok {
		b.t.Fatalf("the homeserver does not have %s", localpart)
	}
	return u
}

// login starts a session of an app and one of a browser.
func (b *bench) login(u model.User, device, scope string) (app model.Session, inBrowser model.BrowserSession) {
	b.t.Helper()
	app, _, err := b.config.Sessions.Start(b.t.Context(), session.Start{Kind: model.OAuthSession, User: u, DeviceID: device, Scope: scope, Refreshable: true, ClientID: "app"})
	b.must(err)
	inBrowser, err = b.config.Browsers.Start(b.t.Context(), browser.Start{Proof: model.Proof{User: u, At: b.clock.Now()}, Value: model.NewBrowserValue()})
	b.must(err)
	return app, inBrowser
}

// live counts the live sessions of an account, in apps and browsers.
func (b *bench) live(u model.User) (apps, browsers int) {
	b.t.Helper()
	a, err := b.config.Sessions.Live(b.t.Context(), u.ID)
	b.must(err)
	in, err := b.config.Browsers.List(b.t.Context(), u.ID)
	b.must(err)
	return len(a), len(in)
}

func (b *bench) wantLive(u model.User, apps, browsers int) {
	b.t.Helper()
	if a, in := b.live(u); a != apps || in != browsers {
		b.t.Errorf("%d sessions of apps and %d of browsers live, want %d and %d", a, in, apps, browsers)
	}
}

// actions lists the actions of the events about an account, the newest first.
func (b *bench) actions(u model.User) (names []string) {
	b.t.Helper()
	for _, e := range b.events(u) {
		names = append(names, string(e.Action))
	}
	return names
}

func (b *bench) events(u model.User) (events []model.Event) {
	b.t.Helper()
	b.must(b.store.View(b.t.Context(), func(tx *store.Tx) (err error) {
		events, err = tx.Events(store.EventFilter{UserID: u.ID, Limit: 100})
		return err
	}))
	return events
}

// wantEvent wants the newest event about an account.
func (b *bench) wantEvent(u model.User, action model.Action, details map[string]any) {
	b.t.Helper()
	e := b.events(u)[0]
	if e.Action != action {
		b.t.Errorf("the newest event is %+v, want %s", e, action)
	}
	for name, want := range details {
		if got := e.Details[name]; got != want {
			b.t.Errorf("%s of %s is %v, want %v", name, action, got, want)
		}
	}
}

func wantCode(t *testing.T, err error, code model.Code, parts ...string) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("got the error %v, want %s", err, code)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func wantTexts(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// by is who asks in these tests.
var by = model.Operator("0", "root")

// down has the homeserver answer as a proxy does that does not reach it.
func (b *bench) down() { b.synapse.Fail(http.StatusBadGateway, "") }

// over is a context that has ended, by which nothing can be read or written.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
