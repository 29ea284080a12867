package matrixauth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverName = "example.test"
	issuerHost = "matrix.example.test"
	issuer     = "https://" + issuerHost + "/"
	sharedKey  = "a-shared-secret"
	// alicesPassword is the one of every account that the tests add with a password.
	alicesPassword = "correct horse battery"
	officeIP       = "192.0.2.1"
)

// house is a whole server on a real database, with a fake homeserver below it and a fake clock. The
// outbox does not run by itself: settle and pass are its steps.
type house struct {
	t      testing.TB
	file   string
	config Config
	clock  *testkit.Clock
	fake   *fake.Server
	log    *testkit.Journal
	tap    *tap

	mu     sync.Mutex
	core   *Core
	server *Server
	ops    *Operator

	// What the Core consists of, and what can be made of that.
	store          *store.Store
	outbox         *outbox.Outbox
	registry       *session.Registry
	reconcileQueue *reconcile.Queue
	refusals       *gateway.Refusals
	passwords      *password.Hasher
	lines          *edge.Lines
	browsers       *browser.Browsers
	logger         *slog.Logger

	site, inside *httptest.Server
	http         *http.Client
	// passed counts the requests that went on to the next handler, and behind answers them if it is set.
	passed atomic.Int64
	behind atomic.Pointer[http.HandlerFunc]
	// secrets must not show in the log.
	secretsMu sync.Mutex
	secrets   []string
}

type change func(*Config)

func newHouse(t testing.TB, changes ...change) *house {
	t.Helper()
	h := &house{t: t, file: filepath.Join(t.TempDir(), "auth.db"), clock: testkit.NewClock(), log: &testkit.Journal{}}
	h.fake = fake.Start(t, fake.Config{ServerName: serverName, Secret: sharedKey})
	h.tap = &tap{base: h.fake.HTTP().Transport}
	h.config = Config{ServerName: serverName, Issuer: strings.TrimSuffix(issuer, "/"), Endpoint: h.fake.URL.String(), Secret: sharedKey}
	for _, f := range changes {
		f(&h.config)
	}
	h.config = h.config.WithDefaults()
	h.secrets = []string{sharedKey, alicesPassword}
	h.open()
	h.site = httptest.NewServer(http.HandlerFunc(h.serve))
	h.inside = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.current().Internal().ServeHTTP(w, r) }))
	h.fake.AskAt(h.inside.URL)
	h.http = &http.Client{
		Transport: &http.Transport{},
		// Where an answer leads is what tests look at.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(h.close)
	return h
}

// limits sets the limits of password attempts.
func limits(network, account Rate) change {
	return func(c *Config) { c.LoginsPerNetwork, c.LoginsPerAccount = network, account }
}

// unlimited is for tests that are not about limits.
var unlimited = func(c *Config) {
	limits(many, many)(c)
	c.RefreshesPerSession = many
}

var many = Rate{Burst: 1 << 20, PerMinute: 1 << 20}

func (h *house) open() {
	h.t.Helper()
	ctx := context.Background()
	var err error
	h.store, err = store.Open(ctx, store.Options{Path: h.file, Create: true, LockWait: 10 * time.Second, Now: h.clock.Now, Rehearse: true})
	h.must(err)
	h.lines = edge.NewLines(h.clock.Now)
	h.outbox, h.reconcileQueue, h.refusals, h.browsers = outbox.New(h.store), reconcile.NewQueue(h.clock.Now), gateway.NewRefusals(h.clock.Now), browser.New(h.store)
	h.registry, err = session.NewRegistry(ctx, h.store)
	h.must(err)
	// The cost of a hash is not what these tests are about.
	h.passwords = password.New(password.Config{Memory: 8, Time: 1, Concurrent: 2, Queue: 1 << 10})
	h.logger = slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	core, err := NewCore(ctx, Parts{Store: h.store, Outbox: h.outbox, Registry: h.registry, ReconcileQueue: h.reconcileQueue, Refusals: h.refusals, Passwords: h.passwords, Lines: h.lines})
	h.must(err)
	server, err := New(core, h.config, Deps{
		Logger: h.logger,
		HTTP:   &http.Client{Transport: h.tap},
		ClientIP: func(r *http.Request) string {
			if ip := r.Header.Get("X-Test-IP"); ip != "" {
				return ip
			}
			return officeIP
		},
	})
	h.must(err)
	server.Attach()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core, h.server, h.ops = core, server, server.Operator()
}

func (h *house) current() *Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// domain is what the server's doors act through.
func (h *house) domain() Domain { return h.current().Domain() }

// crash forgets what was in memory only, as kill -9 does, and starts anew on the same file.
func (h *house) crash() {
	h.t.Helper()
	h.die()
	h.open()
}

// die closes the database under the server's feet: nothing that happens later reaches it.
func (h *house) die() {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *house) close() {
	h.site.Close()
	h.inside.Close()
	h.http.CloseIdleConnections()
	if err := h.core.Close(); err != nil {
		h.t.Error(err)
	}
	h.fake.Stop()
	text := h.log.String()
	for _, secret := range h.secrets {
		if strings.Contains(text, secret) {
			h.t.Errorf("the log holds a secret: %q", secret)
		}
	}
	if strings.Contains(text, "a request panicked") {
		h.t.Errorf("a request panicked:\n%s", text)
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// serve is the public site; what is not ours is answered by a status that nothing of ours uses.
func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	if err := h.current().ServeHTTP(w, r, next{h}); err != nil {
		h.t.Errorf("next failed: %v", err)
	}
}

type next struct{ h *house }

func (n next) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	n.h.passed.Add(1)
	if behind := n.h.behind.Load(); behind != nil {
		(*behind)(w, r)
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	w.WriteHeader(passedOn)
	_, err = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	return err
}

// answering has a handler answer the requests that go on.
func (h *house) answering(f http.HandlerFunc) { h.behind.Store(&f) }

// act has an operator's action done.
func act[P, R any](h *house, a Operation[P, R], p P) R {
	h.t.Helper()
	r, err := a.Do(context.Background(), h.ops, p)
	h.must(err)
	return r
}

// add adds accounts with the password of the tests, and has the homeserver know them.
func (h *house) add(localparts ...string) {
	h.t.Helper()
	for _, localpart := range localparts {
		act(h, AddUser, NewUser{Localpart: localpart, Password: alicesPassword})
	}
	h.pass()
}

// pass does the jobs that are due.
func (h *house) pass() { h.outbox.Pass(context.Background()) }

// settle moves the clock until no job waits.
func (h *house) settle() {
	h.t.Helper()
	for range 40 {
		h.pass()
		if h.waiting() == 0 {
			return
		}
		h.clock.Move(10 * time.Minute)
	}
	h.t.Fatalf("%d jobs still wait:\n%s", h.waiting(), h.rows())
}

func (h *house) waiting() int64 {
	h.t.Helper()
	state, err := h.outbox.State(context.Background())
	h.must(err)
	return state.Waiting
}

// hashes is how many password hashes were made so far.
func (h *house) hashes() uint64 { return h.passwords.Stats().Hashes }

// wantSentence checks that an action was refused by a sentence with all of the words, and changed nothing.
func (h *house) wantSentence(err error, words ...string) {
	h.t.Helper()
	if err == nil {
		h.t.Fatalf("it was done; want a refusal with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			h.t.Errorf("got %q, want it to say %q", err, word)
		}
	}
}
