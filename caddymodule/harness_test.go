package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.uber.org/goleak"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

const (
	testServerName = "example.test"
	testHost       = "matrix.example.test"
	testIssuer     = "https://" + testHost
	testSecret     = "the-shared-secret"
	testPassword   = "correct horse battery"
	passedOn       = "passed on"
)

// house is a Caddy in this process with a homeserver behind it. As Caddy is one per process, tests that
// have a house cannot run side by side. The site listens on a socket, so that no port is taken and
// Caddy itself loses no connection when it reloads; but a reload that fails spoils Caddy's sockets, so
// tests of those bind it to a port.
type house struct {
	t          testing.TB
	dir        string
	setup      setup
	homeserver *homeserver
	site       *http.Client
	sitePort   string // if the site does not listen on a socket
	inside     *http.Client
}

// setup is what a house's Caddyfile says.
type setup struct {
	Dir, Global, Endpoint      string
	Bind                       string
	Issuer, Secret, Database   string
	Listen, More, Rest, Beside string
}

var caddyfileOfSetup = template.Must(template.New("").Parse(`{
	admin off
	persist_config off
	auto_https off
	storage file_system {{.Dir}}/storage
	default_bind {{.Bind}}
	log {
		output file {{.Dir}}/caddy.log {
			roll_disabled
		}
		level DEBUG
	}
	{{.Global}}
}
http://` + testHost + ` {
	matrix_auth ` + testServerName + ` {{.Issuer}} {
		matrix {
			endpoint {{.Endpoint}}
			{{.Secret}}
		}
		database {{.Database}}
		internal_listen {{.Listen}}
		{{.More}}
	}
	{{.Rest}}
	respond "` + passedOn + `"
}
{{.Beside}}
`))

// newHouse prepares a house; start starts it.
func newHouse(t testing.TB) *house {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	dir, err := os.MkdirTemp("", "ma") // a socket's path must be short
	must(t, err)
	h := &house{t: t, dir: dir, homeserver: &homeserver{devices: map[string]bool{}}}
	served := httptest.NewServer(h.homeserver)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if h.sitePort != "" {
			return d.DialContext(ctx, "tcp", "127.0.0.1:"+h.sitePort)
		}
		return d.DialContext(ctx, "unix", filepath.Join(dir, "site.sock"))
	}
	h.site = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}, Timeout: time.Minute}
	h.inside = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, MaxIdleConnsPerHost: 300}, Timeout: time.Minute}
	h.setup = setup{
		Dir: dir, Bind: "unix/" + dir + "/site.sock", Endpoint: served.URL, Issuer: testIssuer, Secret: "secret " + testSecret,
		Database: filepath.Join(dir, "data", "auth.db"), Listen: freeAddress(t),
	}
	t.Cleanup(func() {
		must(t, caddy.Stop())
		h.awaitClosed(h.setup.Database)
		h.inside.CloseIdleConnections()
		served.Close()
		must(t, os.RemoveAll(dir))
		goleak.VerifyNone(t, leaks, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
	})
	return h
}

// awaitClosed waits until nobody has a database.
func (h *house) awaitClosed(database string) {
	h.t.Helper()
	if _, err := os.Stat(database); err != nil {
		return
	}
	core, err := matrixauth.Open(context.Background(), matrixauth.OpenOptions{Database: database, LockWait: time.Minute})
	must(h.t, err)
	must(h.t, core.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freeAddress is an address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := unusedAddress()
	must(t, err)
	return address
}

// config is the JSON of the house's Caddyfile, after changes for this one time.
func (h *house) config(changes ...func(*setup)) []byte {
	h.t.Helper()
	s := h.setup
	for _, change := range changes {
		change(&s)
	}
	var text strings.Builder
	s.Dir = h.dir
	must(h.t, caddyfileOfSetup.Execute(&text, s))
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text.String()), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		h.t.Fatalf("%v\n%s", err, text.String())
	}
	return raw
}

// load has Caddy load the configuration with changes for this one time, be it the first or another one.
func (h *house) load(changes ...func(*setup)) error {
	h.t.Helper()
	return caddy.Load(h.config(changes...), true)
}

// start loads the configuration, changed for good.
func (h *house) start(changes ...func(*setup)) {
	h.t.Helper()
	for _, change := range changes {
		change(&h.setup)
	}
	must(h.t, h.load())
}

// bindPort has the site listen on a port.
func (h *house) bindPort() {
	h.t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(h.t))
	must(h.t, err)
	h.sitePort, h.setup.Bind, h.setup.Global = port, "127.0.0.1", "http_port "+port
}

// more adds options to the directive.
func more(options string) func(*setup) { return func(s *setup) { s.More += options + "\n" } }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) want(t testing.TB, status int, inBody string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, inBody) {
		t.Fatalf("got %d %s, want %d with %q", a.status, a.body, status, inBody)
	}
}

func (a answer) member(t testing.TB, name string) any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(a.body), &document); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	return document[name]
}

// send sends a request.
func send(client *http.Client, r *http.Request) (answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// send sends a request, again if the server hangs up: right after a reload the old configuration's server
// may have taken the connection, and Go does not look at what comes over it then.
func (h *house) send(client *http.Client, r *http.Request) answer {
	h.t.Helper()
	const tries = 20
	a, err := send(client, r)
	for n := 1; n < tries && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)); n++ {
		if r.GetBody != nil {
			body, failed := r.GetBody()
			must(h.t, failed)
			r.Body = body
		}
		a, err = send(client, r)
	}
	must(h.t, err)
	return a
}

func request(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, target, body)
	must(t, err)
	return r
}

// get asks the site, under the issuer's host unless the target names another.
func (h *house) get(target string) answer {
	h.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = "http://" + testHost + target
	}
	return h.send(h.site, request(h.t, http.MethodGet, target, nil))
}

// await asks the site until the body has a text, or is empty if none is wanted: for a moment after a
// reload Caddy's old server may answer yet.
func (h *house) await(target, text string) {
	h.t.Helper()
	const deadline = time.Minute
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if a := h.get(target); strings.Contains(a.body, text) && (text != "" || a.body == "") {
			return
		}
	}
	h.t.Fatalf("%s did not answer with %q within %s", target, text, deadline)
}

// getInside asks the listener for the homeserver.
func (h *house) getInside(path string) answer {
	h.t.Helper()
	return h.send(h.inside, request(h.t, http.MethodGet, "http://"+h.setup.Listen+path, nil))
}

// introspection asks about a token as Synapse does, at a base address.
func introspection(t testing.TB, base, token string) *http.Request {
	t.Helper()
	return introspectionBody(t, base, strings.NewReader(url.Values{"token": {token}}.Encode()))
}

func introspectionBody(t testing.TB, base string, body io.Reader) *http.Request {
	t.Helper()
	r := request(t, http.MethodPost, base+"/oauth2/introspect", body)
	r.Header.Set("Authorization", "Bearer "+testSecret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (h *house) introspect(token string) answer {
	h.t.Helper()
	return h.send(h.inside, introspection(h.t, "http://"+h.setup.Listen, token))
}

func (h *house) wantActive(token string) {
	h.t.Helper()
	h.introspect(token).want(h.t, http.StatusOK, `"active":true`)
}

// wantForgotten wants that the database does not know a token of ours, and says that it may have forgotten it.
func (h *house) wantForgotten(token string) {
	h.t.Helper()
	h.introspect(token).want(h.t, http.StatusServiceUnavailable, "")
}

func (h *house) login(user, password string) answer {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{
		"type": "m.login.password", "identifier": map[string]string{"type": "m.id.user", "user": user}, "password": password,
	})
	must(h.t, err)
	return h.send(h.site, request(h.t, http.MethodPost, "http://"+testHost+"/_matrix/client/v3/login", bytes.NewReader(body)))
}

// operator reaches the running server through its socket.
func (h *house) operator() *matrixauth.Operator {
	h.t.Helper()
	o, err := matrixauth.Reach(context.Background(), matrixauth.Target{Database: h.setup.Database}, matrixauth.Config{}, matrixauth.Deps{})
	must(h.t, err)
	if !o.Live() {
		h.t.Fatal("the server was not reached")
	}
	h.t.Cleanup(func() { must(h.t, o.Close()) })
	return o
}

// addUser adds an account, and issues a token for it.
func (h *house) addUser(localpart string) (token string) {
	h.t.Helper()
	o := h.operator()
	_, err := matrixauth.AddUser.Do(context.Background(), o, matrixauth.NewUser{Localpart: localpart, Password: testPassword})
	must(h.t, err)
	issued, err := matrixauth.IssueToken.Do(context.Background(), o, matrixauth.NewToken{Name: matrixauth.Name{User: localpart}})
	must(h.t, err)
	return issued.Token
}

// homeserver answers what a login needs, as Synapse does.
type homeserver struct {
	mu      sync.Mutex
	devices map[string]bool
}

func (s *homeserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_synapse/admin/v1/server_version" {
		answerJSON(w, http.StatusOK, map[string]string{"server_version": "1.163.2"})
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+testSecret {
		answerJSON(w, http.StatusForbidden, map[string]string{"errcode": "M_UNKNOWN", "error": "This endpoint must only be called by MAS"})
		return
	}
	var body struct {
		Localpart string `json:"localpart"`
		DeviceID  string `json:"device_id"`
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			answerJSON(w, http.StatusBadRequest, map[string]string{"errcode": "M_NOT_JSON", "error": err.Error()})
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	device := body.Localpart + "/" + body.DeviceID
	switch strings.TrimPrefix(r.URL.Path, "/_synapse/mas/") {
	case "is_localpart_available", "update_device_display_name":
		answerJSON(w, http.StatusOK, struct{}{})
	case "provision_user":
		answerJSON(w, http.StatusCreated, struct{}{})
	case "upsert_device":
		s.devices[device] = true
		answerJSON(w, http.StatusCreated, struct{}{})
	case "delete_device":
		delete(s.devices, device)
		w.WriteHeader(http.StatusNoContent)
	case "query_user":
		answerJSON(w, http.StatusOK, map[string]any{
			"user_id": "@" + r.URL.Query().Get("localpart") + ":" + testServerName, "display_name": nil, "avatar_url": nil,
			"is_suspended": false, "is_deactivated": false,
		})
	default:
		answerJSON(w, http.StatusNotFound, map[string]string{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})
	}
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller has gone if this fails
}
