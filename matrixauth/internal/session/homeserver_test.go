package session

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// source is where the requests of these tests come from.
var source = model.Source{IP: "192.0.2.7", UserAgent: "Test/1"}

// served is a bench whose sessions have a homeserver, which knows the user.
type served struct {
	*bench
	synapse *fake.Server
	log     *testkit.Journal
}

// newServed makes a bench with a homeserver. change, which may be nil, changes the configuration.
func newServed(t *testing.T, change func(*Config)) *served {
	s := &served{bench: newBench(t), synapse: fake.Start(t, fake.Config{}), log: &testkit.Journal{}}
	s.synapse.Seed(fake.User{Localpart: s.user.Localpart})
	s.configure(change)
	return s
}

func (s *served) configure(change func(*Config)) {
	c := s.sessions.config
	c.Homeserver, c.ServerName = s.synapse.Client(), "example.test"
	c.Logger = slog.New(slog.NewJSONHandler(s.log, nil))
	if change != nil {
		change(&c)
	}
	s.sessions = New(c)
	c.Outbox.Configure(outbox.Config{Handlers: s.sessions.Handlers(), ServerName: c.ServerName, Logger: c.Logger})
}

// work does the jobs that are due.
func (s *served) work() { s.sessions.config.Outbox.Pass(context.Background()) }

// login starts a session on a device; an empty device has one made.
func (s *served) login(device string) (model.Session, Tokens) {
	s.t.Helper()
	session, tokens, err := s.sessions.Start(context.Background(), s.asked(device))
	s.must(err)
	return session, tokens
}

func (s *served) asked(device string) Start {
	return Start{Kind: model.CompatSession, User: s.user, DeviceID: device, Scope: model.ScopeAPI, Refreshable: true, Source: source}
}

// withoutDevice starts a session that has no device.
func (s *served) withoutDevice() model.Session {
	s.t.Helper()
	p := s.asked("")
	p.NoDevice = true
	session, _, err := s.sessions.Start(context.Background(), p)
	s.must(err)
	return session
}

func (s *served) wantDevices(ids ...string) {
	s.t.Helper()
	if got := s.synapse.Devices(s.user.Localpart); !slices.Equal(got, ids) {
		s.t.Fatalf("the homeserver has the devices %q, want %q", got, ids)
	}
}

func (s *served) wantJobs(waiting int64) {
	s.t.Helper()
	state, err := s.sessions.config.Outbox.State(context.Background())
	s.must(err)
	if state.Waiting != waiting || state.SetAside != 0 {
		s.t.Fatalf("%d jobs wait and %d are set aside, want %d that wait", state.Waiting, state.SetAside, waiting)
	}
}

// row is the row of a session.
func (b *bench) row(id string) (session model.Session) {
	b.t.Helper()
	b.must(b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		session, err = tx.Session(id)
		return err
	}))
	return session
}

func (b *bench) wantEnded(id string, reason model.EndReason) {
	b.t.Helper()
	if got := b.row(id); !got.Ended() || got.EndReason != reason {
		b.t.Fatalf("the session ended at %v for %q, want %q", got.EndedAt, got.EndReason, reason)
	}
}

// sessionsOf lists the live sessions of the user.
func (b *bench) sessionsOf(userID string) []model.Session {
	b.t.Helper()
	live, err := b.sessions.Live(context.Background(), userID)
	b.must(err)
	return live
}

// lastEvent is the newest event of the user.
func (b *bench) lastEvent() model.Event {
	b.t.Helper()
	var events []model.Event
	b.must(b.store.View(context.Background(), func(tx *store.Tx) (err error) {
		events, err = tx.Events(store.EventFilter{UserID: b.user.ID, Limit: 1})
		return err
	}))
	if len(events) == 0 {
		b.t.Fatal("there is no event")
	}
	return events[0]
}

// secondUser makes a user beside the one of the bench.
func (b *bench) secondUser(localpart string) (user model.User) {
	b.t.Helper()
	user = model.User{ID: model.NewID(b.clock.Now()), Localpart: localpart, CreatedAt: b.clock.Now()}
	b.update(func(tx *store.Tx) error { return tx.InsertUser(user) })
	return user
}

// breakStore makes every read and write fail from now on.
func (b *bench) breakStore() {
	b.t.Helper()
	b.must(b.store.Close())
	b.t.Cleanup(b.open) // the bench closes it again
}

func wantCode(t *testing.T, err error, code model.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got the error %v, want %s", err, code)
	}
}

// wantUnjudged wants an error that is no word about a token: nobody may lose a session to a store that cannot be read.
func wantUnjudged(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error, want that of a store that cannot be read")
	}
	if kind := model.AsError(err).Kind(); kind != model.Internal && kind != model.Unavailable {
		t.Fatalf("got the error %v, want that of a store that cannot be read", err)
	}
}

func (s *served) down() { s.synapse.Fail(http.StatusBadGateway, "") }
