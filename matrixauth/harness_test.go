package matrixauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
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

// start is the time at which every house begins.
var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a whole server on a real database, with a fake homeserver below it and a fake clock. The
// outbox does not run by itself: settle and pass are its steps.
type house struct {
	t      testing.TB
	file   string
	config Config
	clock  *clock
	fake   *fake.Server
	log    *journal
	tap    *tap

	mu     sync.Mutex
	core   *Core
	server *Server
	ops    *Operator

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
	h := &house{t: t, file: filepath.Join(t.TempDir(), "auth.db"), clock: &clock{now: start}, log: &journal{}}
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
	core, err := Open(context.Background(), OpenOptions{Database: h.file, Create: true, LockWait: 10 * time.Second, Now: h.clock.Now, rehearse: true})
	h.must(err)
	// The cost of a hash is not what these tests are about.
	core.passwords = password.New(password.Config{Memory: 8, Time: 1, Concurrent: 2, Queue: 1 << 10})
	server, err := New(core, h.config, Deps{
		Logger: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		HTTP:   &http.Client{Transport: h.tap},
		ClientIP: func(r *http.Request) string {
			if ip := r.Header.Get("X-Test-IP"); ip != "" {
				return ip
			}
			return officeIP
		},
	})
	h.must(err)
	server.loadSeal(context.Background())
	core.attach(server)
	ops := server.operator(model.Operator("", "unknown"), "")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.core, h.server, h.ops = core, server, ops
}

func (h *house) current() *Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// crash forgets what was in memory only, as kill -9 does, and starts anew on the same file.
func (h *house) crash() {
	h.t.Helper()
	h.die()
	h.open()
}

// die closes the database under the server's feet: nothing that happens later reaches it.
func (h *house) die() {
	h.t.Helper()
	if err := h.core.store.Close(); err != nil {
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

const passedOn = http.StatusTeapot

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

// tap listens to the calls to the homeserver. after runs when the homeserver has answered and before
// the caller learns of it.
type tap struct {
	base  http.RoundTripper
	mu    sync.Mutex
	after func(op string)
	// refuse names the calls that the homeserver refuses for good, by operation.
	refuse string
}

func (p *tap) set(f func(op string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = f
}

func (p *tap) refuseAll(op string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = op
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	op := path.Base(r.URL.Path)
	p.mu.Lock()
	after, refuse := p.after, p.refuse
	p.mu.Unlock()
	if op == refuse {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(strings.NewReader(`{"errcode":"M_INVALID_PARAM","error":"No"}`)),
		}, errors.Join(r.Body.Close())
	}
	res, err := p.base.RoundTrip(r)
	if after != nil {
		after(op)
	}
	return res, err
}

// journal keeps what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// call is a request to make. Its zero value is GET /.
type call struct {
	method, path string
	// inside asks the listener for the homeserver and not the public site.
	inside bool
	host   string
	body   string
	header http.Header
	bearer string
	ip     string
}

// shows checks a status, and that the body holds a text.
func (a answer) shows(t testing.TB, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		t.Fatalf("got %d %s, want %d with %q", a.status, a.body, status, text)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(c call) answer {
	h.t.Helper()
	base := h.site.URL
	if c.inside {
		base = h.inside.URL
	}
	if c.method == "" {
		c.method = http.MethodGet
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.method, base+c.path, strings.NewReader(c.body))
	h.must(err)
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Host = issuerHost
	if c.host != "" {
		r.Host = c.host
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.ip != "" {
		r.Header.Set("X-Test-IP", c.ip)
	}
	res, err := h.http.Do(r)
	if err != nil {
		h.t.Errorf("%s %s: %v", c.method, c.path, err)
		return answer{header: http.Header{}}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Errorf("%s %s: %v", c.method, c.path, err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// form asks an OAuth endpoint with a form.
func form(values ...string) string {
	v := url.Values{}
	for i := 0; i < len(values); i += 2 {
		v.Add(values[i], values[i+1])
	}
	return v.Encode()
}

var formType = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// document is the body of an answer.
type document map[string]any

func (a answer) document(t testing.TB) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	return d
}

func (a answer) errcode() string {
	var d struct {
		Errcode string `json:"errcode"`
	}
	_ = json.Unmarshal([]byte(a.body), &d) // what is no document has no errcode
	return d.Errcode
}

// want checks status and errcode (none for "").
func (a answer) want(t testing.TB, status int, errcode string) {
	t.Helper()
	if a.status != status || a.errcode() != errcode {
		t.Fatalf("got %d %s, want %d %s", a.status, a.body, status, errcode)
	}
}

// signedIn is the body of a successful login or refresh.
type signedIn struct {
	UserID       string `json:"user_id"`
	AccessToken  string `json:"access_token"`
	DeviceID     string `json:"device_id"`
	RefreshToken string `json:"refresh_token"`
	ExpiresInMS  int64  `json:"expires_in_ms"`
}

const (
	loginPath     = "/_matrix/client/v3/login"
	logoutPath    = "/_matrix/client/v3/logout"
	logoutAllPath = "/_matrix/client/v3/logout/all"
	refreshPath   = "/_matrix/client/v3/refresh"
)

type object = map[string]any

// loginBody is a login by user name and password, with more members on top; a nil removes one.
func loginBody(user, clear string, more object) string {
	body := object{"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": user}, "password": clear}
	for name, value := range more {
		if value == nil {
			delete(body, name)
			continue
		}
		body[name] = value
	}
	return text(body)
}

func text(value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// tryLogin logs in with the right password.
func (h *house) tryLogin(user string, more object) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: loginPath, body: loginBody(user, alicesPassword, more)})
}

func (h *house) login(user string, more object) signedIn {
	h.t.Helper()
	return h.signedIn(h.tryLogin(user, more))
}

// loginOn logs in on a device.
func (h *house) loginOn(user, device string) signedIn {
	h.t.Helper()
	return h.login(user, object{"device_id": device})
}

func (h *house) signedIn(a answer) (s signedIn) {
	h.t.Helper()
	a.want(h.t, http.StatusOK, "")
	h.must(json.Unmarshal([]byte(a.body), &s))
	h.keep(s)
	return s
}

// keep remembers tokens that the log must not show.
func (h *house) keep(s signedIn) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	for _, token := range []string{s.AccessToken, s.RefreshToken} {
		if token != "" {
			h.secrets = append(h.secrets, token)
		}
	}
}

func (h *house) refresh(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: refreshPath, body: text(object{"refresh_token": token})})
}

func (h *house) logout(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: logoutPath, bearer: token})
}

func (h *house) logoutAll(token string) answer {
	h.t.Helper()
	return h.do(call{method: http.MethodPost, path: logoutAllPath, bearer: token})
}

// introspect asks as Synapse does (SYN-3, SYN-23).
func (h *house) introspect(token string) answer {
	h.t.Helper()
	return h.do(call{
		method: http.MethodPost, path: "/oauth2/introspect", inside: true, bearer: sharedKey,
		body: form("token", token, "token_type_hint", "access_token"),
		header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "X-Mas-Supports-Device-Id": {"1"},
			"Accept": {"application/json"}, "User-Agent": {"Synapse/1.163.2"},
		},
	})
}

const inactive = `{"active":false}`

// wantActive checks that the homeserver would honour a token, and on which device.
func (h *house) wantActive(token, device string) {
	h.t.Helper()
	a := h.introspect(token)
	if d := a.document(h.t); a.status != http.StatusOK || d["active"] != true || d["device_id"] != device {
		h.t.Fatalf("got %d %s, want an active token of device %s", a.status, a.body, device)
	}
}

func (h *house) wantInactive(token string) {
	h.t.Helper()
	if a := h.introspect(token); a.status != http.StatusOK || a.body != inactive {
		h.t.Fatalf("got %d %s, want an inactive token", a.status, a.body)
	}
}

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
func (h *house) pass() { h.core.outbox.Pass(context.Background()) }

// settle moves the clock until no job waits.
func (h *house) settle() {
	h.t.Helper()
	for range 40 {
		h.pass()
		if h.waiting() == 0 {
			return
		}
		h.clock.move(10 * time.Minute)
	}
	h.t.Fatalf("%d jobs still wait:\n%s", h.waiting(), h.rows())
}

func (h *house) waiting() int64 {
	h.t.Helper()
	state, err := h.core.outbox.State(context.Background())
	h.must(err)
	return state.Waiting
}

func (h *house) wantDevices(localpart string, want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := h.fake.Devices(localpart); !slices.Equal(got, want) {
		h.t.Fatalf("the homeserver has devices %q of %s, want %q", got, localpart, want)
	}
}

// liveDevices are the devices of a user's live sessions, sorted.
func (h *house) liveDevices(localpart string) []string {
	h.t.Helper()
	devices := []string{}
	for _, s := range act(h, ListSessions, SessionsAsked{User: localpart}).Sessions {
		if s.Kind != BrowserKind {
			devices = append(devices, s.DeviceID)
		}
	}
	slices.Sort(devices)
	return devices
}

func (h *house) wantSessions(localpart string, want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := h.liveDevices(localpart); !slices.Equal(got, want) {
		h.t.Fatalf("live sessions of %s are on %q, want %q", localpart, got, want)
	}
}

// hashes is how many password hashes were made so far.
func (h *house) hashes() uint64 { return h.core.passwords.Stats().Hashes }

// tables are all that hold rows of ours.
var tables = []string{"users", "user_emails", "passwords", "sessions", "tokens", "outbox", "browser_sessions", "clients", "authorizations", "consents", "known_networks", "known_browsers", "homeserver", "events"}

// rows is the content of every table, so that a test can tell that nothing was changed.
func (h *house) rows() string {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	var out strings.Builder
	for _, table := range tables {
		h.must(dump(&out, db, table))
	}
	return out.String()
}

// count is how many rows a table has, or those of a condition behind its name.
func (h *house) count(where string, args ...any) (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	h.must(db.QueryRow("SELECT COUNT(*) FROM "+where, args...).Scan(&n))
	return n
}

// pragma is the value of one of SQLite's.
func (h *house) pragma(name string) (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	h.must(db.QueryRow("PRAGMA " + name).Scan(&n))
	return n
}

// sql changes rows behind our back.
func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?_busy_timeout=5000")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	_, err = db.Exec(statement, args...)
	h.must(err)
}

func dump(out *strings.Builder, db *sql.DB, table string) (err error) {
	rows, err := db.Query("SELECT * FROM " + table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		out.WriteString(table)
		for i, value := range values {
			v := *(value.(*any))
			if b, ok := v.([]byte); ok {
				v = fmt.Sprintf("%x", sha256.Sum256(b))
			}
			fmt.Fprintf(out, " %s=%v", columns[i], v)
		}
		out.WriteByte('\n')
	}
	return rows.Err()
}

// issue starts a session as an operator does, for tests that need one more.
func (h *house) issue(localpart, device string) IssuedToken {
	h.t.Helper()
	issued := act(h, IssueToken, NewToken{Name: Name{User: localpart}, DeviceID: device})
	h.keep(signedIn{AccessToken: issued.Token})
	return issued
}

// view reads from the store.
func (h *house) view(f func(tx *store.Tx) error) {
	h.t.Helper()
	h.must(h.core.store.View(context.Background(), f))
}

func (h *house) userID(localpart string) (id string) {
	h.t.Helper()
	h.view(func(tx *store.Tx) error {
		u, err := tx.UserByLocalpart(localpart)
		id = u.ID
		return err
	})
	return id
}

// setAside lists the jobs that the homeserver refused for good.
func (h *house) setAside() (jobs []model.Job) {
	h.t.Helper()
	h.view(func(tx *store.Tx) (err error) {
		jobs, err = tx.JobsSetAside(100)
		return err
	})
	return jobs
}

// seedRows adds an account and its password as an import does, and has the homeserver know it.
func seedRows(localpart, hash string, seed func(fake.User)) func(*store.Tx) error {
	seed(fake.User{Localpart: localpart})
	return func(tx *store.Tx) error {
		u := model.User{ID: model.NewID(tx.Now), Localpart: localpart, CreatedAt: tx.Now}
		if err := tx.InsertUser(u); err != nil {
			return err
		}
		return tx.SetPassword(u.ID, hash)
	}
}
