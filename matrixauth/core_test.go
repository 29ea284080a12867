package matrixauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// reached calls a homeserver without a network, for which no bubble of time waits.
type reached struct{ *fake.Synapse }

func (s reached) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(r.Context())
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, asked)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// machine is a Core in a bubble, in which time passes by itself as soon as everybody waits for it.
type machine struct {
	*testing.T
	core  *matrixauth.Core
	store *store.Store
	log   testkit.Journal
}

func (m *machine) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// inBubble runs f with a Core whose database is closed afterwards.
func inBubble(t *testing.T, f func(t *testing.T, m *machine)) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{T: t}
		var err error
		m.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "auth.db"), Create: true})
		m.must(err)
		m.core, err = matrixauth.NewCore(t.Context(), matrixauth.Parts{
			Store: m.store, Passwords: password.New(password.Config{Memory: 8, Time: 1, Concurrent: 1, Queue: 1}),
		})
		m.must(err)
		f(t, m)
		m.must(m.core.Close())
	})
}

// serve makes the Server of a homeserver; it is not attached yet.
func (m *machine) serve(s *fake.Synapse) *matrixauth.Server {
	m.Helper()
	config := matrixauth.Config{ServerName: house.ServerName, Issuer: house.Issuer, Endpoint: "http://synapse.test", Secret: house.SharedKey}.WithDefaults()
	server, err := matrixauth.New(m.core, config, matrixauth.Deps{
		HTTP: &http.Client{Transport: reached{s}}, Logger: slog.New(slog.NewJSONHandler(&m.log, nil)),
		ClientIP: func(*http.Request) string { return house.OfficeIP },
	})
	m.must(err)
	return server
}

func newSynapse() *fake.Synapse {
	return fake.New(fake.Config{ServerName: house.ServerName, Secret: house.SharedKey})
}

// running begins the work in the background; it ends with the test, and at the latest when end is called.
func (m *machine) running() (end func()) {
	ctx, cancel := context.WithCancel(m.Context())
	wait := m.core.Background(ctx)
	end = func() { cancel(); wait() }
	m.Cleanup(end)
	return end
}

// addUser writes the row of an account.
func (m *machine) addUser(localpart string) (u model.User) {
	m.Helper()
	m.must(m.store.Update(m.Context(), func(tx *store.Tx) error {
		u = model.User{ID: model.NewID(tx.Now), Localpart: localpart, CreatedAt: tx.Now}
		return tx.InsertUser(u)
	}))
	return u
}

// ended writes the row of a session that has just ended, and gives its id.
func (m *machine) ended(userID string) (id string) {
	m.Helper()
	m.must(m.store.Update(m.Context(), func(tx *store.Tx) error {
		id = model.NewID(tx.Now)
		s := model.Session{ID: id, Kind: model.CompatSession, UserID: userID, Scope: model.CompatScope(false), CreatedAt: tx.Now, LastActiveAt: tx.Now}
		return errors.Join(tx.InsertSession(s), tx.EndSession(id, model.EndLogout))
	}))
	return id
}

// session reads a session; it is the zero value if there is none.
func (m *machine) session(id string) (s model.Session) {
	m.Helper()
	m.must(m.store.View(m.Context(), func(tx *store.Tx) (err error) {
		if s, err = tx.Session(id); errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	}))
	return s
}

func (m *machine) there(id string) bool { m.Helper(); return m.session(id).ID != "" }

const keepEnded = 30 * 24 * time.Hour // docs/sessions.md, "What is kept"

// TestRetentionRuns: a Core that runs removes what has had its day, soon after its start and each hour after that.
func TestRetentionRuns(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.serve(newSynapse()).Attach()
		u := m.addUser("alice")
		old := m.ended(u.ID)
		time.Sleep(30 * time.Minute)
		younger := m.ended(u.ID)
		time.Sleep(keepEnded - 29*time.Minute) // the first is over, the second in half an hour
		m.running()
		time.Sleep(matrixauth.RetentionFirst + time.Second)
		synctest.Wait()
		if m.there(old) || !m.there(younger) {
			t.Errorf("after a minute the old one is there: %v, and the younger: %v", m.there(old), m.there(younger))
		}
		time.Sleep(matrixauth.RetentionEvery - time.Minute)
		if synctest.Wait(); !m.there(younger) {
			t.Error("it was removed within the hour")
		}
		time.Sleep(2 * time.Minute)
		if synctest.Wait(); m.there(younger) {
			t.Error("an hour later the younger one is still there")
		}
		if lines := m.log.Lines(t, 0, "old rows were removed"); len(lines) != 2 || lines[0]["level"] != "INFO" || lines[0]["rows"].(float64) < 1 {
			t.Errorf("the log says %v", lines)
		}
	})
}

// TestOverdueSessionsEnd: a Core that runs ends the sessions whose time is over, and keeps their rows.
func TestOverdueSessionsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.serve(newSynapse()).Attach()
		u := m.addUser("alice")
		id := model.NewID(time.Now())
		m.must(m.store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.InsertImported(model.Session{ID: id, Kind: model.CompatSession, UserID: u.ID, Scope: model.CompatScope(false), EndsAt: tx.Now.Add(time.Hour)}, u.Localpart, nil)
		}))
		m.running()
		time.Sleep(time.Hour - time.Minute)
		if synctest.Wait(); m.session(id).Ended() {
			t.Error("it ended before its time")
		}
		time.Sleep(matrixauth.RetentionFirst + matrixauth.RetentionEvery)
		if synctest.Wait(); m.session(id).EndReason != model.EndOverdue {
			t.Errorf("an hour later it is %+v", m.session(id))
		}
	})
}

// TestUsesAreWritten: a Core that runs writes first uses of tokens within a second (REF-4), and activity within a
// minute, and what is left when it ends.
func TestUsesAreWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		s := newSynapse()
		s.Seed(fake.User{Localpart: "alice"})
		server := m.serve(s)
		server.Attach()
		sessions := server.Sessions()
		signIn := func(device string) (model.Session, session.Tokens) {
			started, tokens, err := sessions.Start(t.Context(), session.Start{
				Kind: model.CompatSession, User: m.user("alice"), DeviceID: device, Scope: model.CompatScope(false), Refreshable: true,
			})
			m.must(err)
			return started, tokens
		}
		m.addUser("alice")
		phone, tokens := signIn("PHONE")
		desk, others := signIn("DESK")
		end := m.running()
		usedAt := func(access string) time.Time {
			found, err := m.store.Token(model.HashToken(access))
			m.must(err)
			return found.UsedAt
		}
		time.Sleep(10 * time.Second)
		at := time.Now()
		_, err := sessions.Access(tokens.Access)
		m.must(err)
		if !usedAt(tokens.Access).IsZero() {
			t.Error("the use is written already")
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if got := usedAt(tokens.Access); !got.Equal(at) {
			t.Errorf("after a second it was used at %v, want %v", got, at)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.session(phone.ID).LastActiveAt; !got.Equal(at) {
			t.Errorf("after a minute it was active at %v, want %v", got, at)
		}
		if got := m.session(desk.ID).LastActiveAt; !got.Equal(desk.LastActiveAt) {
			t.Errorf("nobody used it, and it was active at %v", got)
		}
		at = time.Now()
		_, err = sessions.Access(others.Access)
		m.must(err)
		end()
		if used, active := usedAt(others.Access), m.session(desk.ID).LastActiveAt; !used.Equal(at) || !active.Equal(at) {
			t.Errorf("after the end it was used at %v and active at %v, want %v", used, active, at)
		}
	})
}

// user reads an account.
func (m *machine) user(localpart string) (u model.User) {
	m.Helper()
	m.must(m.store.View(m.Context(), func(tx *store.Tx) (err error) {
		u, err = tx.UserByLocalpart(localpart)
		return err
	}))
	return u
}

// TestOmittedLinesAreTold: a Core that runs tells how many requests had no line.
func TestOmittedLinesAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		server := m.serve(newSynapse())
		server.Attach()
		m.running()
		for range 310 { // docs/logs.md: 300 at once
			r := httptest.NewRequest(http.MethodGet, "https://"+house.IssuerHost+house.LoginPath, nil)
			m.must(server.ServeHTTP(httptest.NewRecorder(), r, nil))
		}
		time.Sleep(80 * time.Second)
		synctest.Wait()
		if lines := m.log.Lines(t, 0, "more requests had no line"); len(lines) != 1 || lines[0]["requests"] != 10.0 || lines[0]["network"] != house.OfficeIP {
			t.Errorf("the log says %v", lines)
		}
	})
}

// TestReloadHandsOver: jobs, the questions to the homeserver and commands go by the configuration that was there first
// until that stops, and by the next one from then on; a reload may fail until its last moment, and must have done
// nothing then. Without any nothing is done.
func TestReloadHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		first, second := newSynapse(), newSynapse()
		for _, s := range []*fake.Synapse{first, second} {
			s.Seed(fake.User{Localpart: "alice"})
		}
		u := m.addUser("alice")
		m.running()
		before, after := m.serve(first), m.serve(second)
		// told tells which of the two homeservers a job and a question reach within a time.
		told := func() (job, question [2]bool) {
			m.Helper()
			first.ForgetCalls()
			second.ForgetCalls()
			m.must(m.store.Update(t.Context(), func(tx *store.Tx) error {
				return session.DeleteDeviceJob.Enqueue(before.Jobs(), tx, u.ID, session.DeleteDevice{DeviceID: "GONE"})
			}))
			matrixauth.TokenRefused(before, model.Token{UserID: u.ID, DeviceID: "GONE"})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			for i, s := range []*fake.Synapse{first, second} {
				job[i], question[i] = len(s.Calls("delete_device")) > 0, len(s.Calls("query_user")) > 0
			}
			return job, question
		}
		want := func(when string, first, second bool) {
			m.Helper()
			if job, question := told(); job != [2]bool{first, second} || question != job {
				t.Errorf("%s: a job was told to %v, a question was asked of %v, want %v", when, job, question, [2]bool{first, second})
			}
		}
		want("before any", false, false)
		before.Attach()
		want("with the first", true, false)
		after.Attach()
		want("while the first still runs", true, false)
		before.Detach()
		want("once the first has stopped", false, true)
		failed := m.serve(first)
		failed.Attach()
		failed.Detach()
		want("after a reload that failed", false, true)
		after.Detach()
		want("after all", false, false)
		before.Attach()
		want("with the first again", true, false)
	})
}
