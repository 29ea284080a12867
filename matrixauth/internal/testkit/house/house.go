package house

import (
	"context"
	"errors"
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

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

const (
	// ServerName is the homeserver's.
	ServerName = "example.test"
	// IssuerHost is the host of the public site.
	IssuerHost = "matrix.example.test"
	// Issuer is the issuer as documents have it, with a slash at its end.
	Issuer = "https://" + IssuerHost + "/"
	// SharedKey is the secret that is shared with the homeserver.
	SharedKey = "a-shared-secret"
	// AlicesPassword is the one of every account that the tests add with a password.
	AlicesPassword = "correct horse battery"
	// OfficeIP is where requests come from, unless they say otherwise.
	OfficeIP = "192.0.2.1"
)

// House is a whole server on a real database, with a fake homeserver below it and a fake clock. The
// outbox does not run by itself: settle and pass are its steps.
type House struct {
	T      testing.TB
	File   string
	Config matrixauth.Config
	Clock  *testkit.Clock
	Fake   *fake.Server
	Log    *testkit.Journal
	Tap    *Tap
	// Mails has what was sent, over crashes too.
	Mails *Mailbox

	mu     sync.Mutex
	Core   *matrixauth.Core
	Server *matrixauth.Server
	// Wiring is what Server consists of.
	Wiring matrixauth.Wiring
	Ops    *matrixauth.Operator

	// What the Core consists of, and what can be made of that.
	Store          *store.Store
	Outbox         *outbox.Outbox
	Registry       *session.Registry
	ReconcileQueue *reconcile.Queue
	Refusals       *gateway.Refusals
	Passwords      *password.Hasher
	Lines          *edge.Lines
	Browsers       *browser.Browsers
	Logger         *slog.Logger

	Site, inside *httptest.Server
	Client       *http.Client
	// Passed counts the requests that went on to the next handler, and behind answers them if it is set.
	Passed atomic.Int64
	behind atomic.Pointer[http.HandlerFunc]
	// secrets must not show in the log.
	secretsMu sync.Mutex
	secrets   []string
}

// Change changes the configuration of a server before it is made.
type Change func(*matrixauth.Config)

// New starts a server with a fake homeserver, and closes both at the end of the test. The test fails if the log then holds
// a secret or tells of a panic.
func New(t testing.TB, changes ...Change) *House {
	t.Helper()
	h := &House{T: t, File: filepath.Join(t.TempDir(), "auth.db"), Clock: testkit.NewClock(), Log: &testkit.Journal{}, Mails: &Mailbox{}}
	h.Fake = fake.Start(t, fake.Config{ServerName: ServerName, Secret: SharedKey})
	h.Tap = &Tap{base: h.Fake.HTTP().Transport}
	h.Config = matrixauth.Config{ServerName: ServerName, Issuer: strings.TrimSuffix(Issuer, "/"), Endpoint: h.Fake.URL.String(), Secret: SharedKey}
	for _, f := range changes {
		f(&h.Config)
	}
	h.Config = h.Config.WithDefaults()
	h.secrets = []string{SharedKey, AlicesPassword}
	h.Open()
	h.Site = httptest.NewServer(http.HandlerFunc(h.Serve))
	h.inside = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Current().Internal().ServeHTTP(w, r) }))
	h.Fake.AskAt(h.inside.URL)
	h.Client = &http.Client{
		Transport: &http.Transport{},
		// Where an answer leads is what tests look at.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(h.close)
	return h
}

// Limits sets the limits of password attempts.
func Limits(network, account matrixauth.Rate) Change {
	return func(c *matrixauth.Config) { c.LoginsPerNetwork, c.LoginsPerAccount = network, account }
}

// Unlimited is for tests that are not about limits.
var Unlimited = func(c *matrixauth.Config) {
	Limits(NoLimit, NoLimit)(c)
	c.RefreshesPerSession = NoLimit
}

// NoLimit is a rate that no test reaches.
var NoLimit = matrixauth.Rate{Burst: 1 << 20, PerMinute: 1 << 20}

// Open opens the database and makes the server anew, by the configuration as it is then.
func (h *House) Open() {
	h.T.Helper()
	ctx := context.Background()
	var err error
	h.Must(placeEmpty(h.File))
	h.Store, err = store.Open(ctx, store.Options{Path: h.File, Create: true, LockWait: 10 * time.Second, Now: h.Clock.Now, Rehearse: true, NoSync: true})
	h.Must(err)
	h.Lines = edge.NewLines(h.Clock.Now)
	h.Outbox, h.ReconcileQueue, h.Refusals, h.Browsers = outbox.New(h.Store), reconcile.NewQueue(h.Clock.Now), gateway.NewRefusals(h.Clock.Now), browser.New(h.Store, nil)
	h.Registry, err = session.NewRegistry(ctx, h.Store)
	h.Must(err)
	// The cost of a hash is not what these tests are about.
	h.Passwords = password.New(password.Config{Memory: 8, Time: 1, Concurrent: 2, Queue: 1 << 10})
	h.Logger = slog.New(slog.NewJSONHandler(h.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var wiring matrixauth.Wiring
	core, err := matrixauth.NewCore(ctx, matrixauth.Parts{Store: h.Store, Outbox: h.Outbox, Registry: h.Registry, ReconcileQueue: h.ReconcileQueue, Refusals: h.Refusals, Passwords: h.Passwords, Lines: h.Lines, Mailer: h.Mails, Wired: func(w matrixauth.Wiring) { wiring = w }})
	h.Must(err)
	server, err := matrixauth.New(core, h.Config, matrixauth.Deps{
		Logger: h.Logger,
		HTTP:   &http.Client{Transport: h.Tap},
		ClientIP: func(r *http.Request) string {
			if ip := r.Header.Get("X-Test-IP"); ip != "" {
				return ip
			}
			return OfficeIP
		},
	})
	h.Must(err)
	wiring.Attach()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Core, h.Server, h.Wiring, h.Ops = core, server, wiring, wiring.Operator
}

// Current returns the server that answers requests. It may be called from any goroutine.
func (h *House) Current() *matrixauth.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Server
}

// Crash forgets what was in memory only, as kill -9 does, and starts anew on the same file.
func (h *House) Crash() {
	h.T.Helper()
	h.Die()
	h.Open()
}

// Die closes the database under the server's feet: nothing that happens later reaches it.
func (h *House) Die() {
	h.T.Helper()
	if err := h.Store.Close(); err != nil {
		h.T.Error(err)
	}
}

func (h *House) close() {
	h.Site.Close()
	h.inside.Close()
	h.Client.CloseIdleConnections()
	if err := h.Core.Close(); err != nil {
		h.T.Error(err)
	}
	h.Fake.Stop()
	text := h.Log.String()
	for _, secret := range h.secrets {
		if strings.Contains(text, secret) {
			h.T.Errorf("the log holds a secret: %q", secret)
		}
	}
	if strings.Contains(text, "a request panicked") {
		h.T.Errorf("a request panicked:\n%s", text)
	}
}

// Must ends the test with an error, if it is one.
func (h *House) Must(err error) {
	h.T.Helper()
	if err != nil {
		h.T.Fatal(err)
	}
}

// Serve is the public site; what is not ours is answered by a status that nothing of ours uses.
func (h *House) Serve(w http.ResponseWriter, r *http.Request) {
	if err := h.Current().ServeHTTP(w, r, Next{h}); err != nil {
		h.T.Errorf("next failed: %v", err)
	}
}

// Next answers what is not ours, as the House says.
type Next struct{ House *House }

// ServeHTTP counts the request, and says what it was unless Answering was told something else.
func (n Next) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	n.House.Passed.Add(1)
	if behind := n.House.behind.Load(); behind != nil {
		(*behind)(w, r)
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	w.WriteHeader(PassedOn)
	_, err = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	return err
}

// Answering has a handler answer the requests that go on.
func (h *House) Answering(f http.HandlerFunc) { h.behind.Store(&f) }

// Act has an operator's action done.
func Act[P, R any](h *House, a matrixauth.Operation[P, R], p P) R {
	h.T.Helper()
	r, err := a.Do(context.Background(), h.Ops, p)
	h.Must(err)
	return r
}

// Add adds accounts with the password of the tests, and has the homeserver know them.
func (h *House) Add(localparts ...string) {
	h.T.Helper()
	for _, localpart := range localparts {
		Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: localpart, Password: AlicesPassword})
	}
	h.Pass()
}

// Pass does the jobs that are due.
func (h *House) Pass() { h.Outbox.Pass(context.Background()) }

// Settle moves the clock until no job waits.
func (h *House) Settle() {
	h.T.Helper()
	for range 40 {
		h.Pass()
		if h.Waiting() == 0 {
			return
		}
		h.Clock.Move(10 * time.Minute)
	}
	h.T.Fatalf("%d jobs still wait:\n%s", h.Waiting(), h.Rows())
}

// Waiting returns how many jobs wait, due or not.
func (h *House) Waiting() int64 {
	h.T.Helper()
	state, err := h.Outbox.State(context.Background())
	h.Must(err)
	return state.Waiting
}

// Hashes is how many password hashes were made so far.
func (h *House) Hashes() uint64 { return h.Passwords.Stats().Hashes }

// WantSentence checks that an action was refused by a sentence with all of the words, and changed nothing.
func (h *House) WantSentence(err error, words ...string) {
	h.T.Helper()
	if err == nil {
		h.T.Fatalf("it was done; want a refusal with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			h.T.Errorf("got %q, want it to say %q", err, word)
		}
	}
}

// IsRefused reports whether an operation was refused for a reason that the operator can mend, as opposed to a failure.
func IsRefused(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind() != model.Internal && e.Kind() != model.Unavailable
}
