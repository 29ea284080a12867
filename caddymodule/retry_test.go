package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// ticks is a clock for what is tried again: nothing is, until the test says so.
type ticks struct {
	t  testing.TB
	mu sync.Mutex
	// pending are the waits under way, and pauses all that were asked for.
	pending []chan time.Time
	pauses  []time.Duration
}

// newTicks stops the clock of all that is tried again. Call it before newHouse, so that it outlives the house.
func newTicks(t testing.TB) *ticks {
	t.Helper()
	c, before := &ticks{t: t}, after
	after = func(d time.Duration) <-chan time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		tick := make(chan time.Time, 1)
		c.pending, c.pauses = append(c.pending, tick), append(c.pauses, d)
		return tick
	}
	t.Cleanup(func() { after = before })
	return c
}

func (c *ticks) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pauses)
}

// fire ends the waits under way, and waits until again of them are asked for anew.
func (c *ticks) fire(again int) {
	c.t.Helper()
	c.mu.Lock()
	want := len(c.pauses) + again
	for _, tick := range c.pending {
		tick <- time.Time{}
	}
	c.pending = nil
	c.mu.Unlock()
	for end := time.Now().Add(time.Minute); c.asked() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%d waits were asked for, want %d", c.asked(), want)
		}
	}
}

// lines are those of Caddy's log that hold a text.
func (h *house) lines(text string) (found []string) {
	h.t.Helper()
	log, err := os.ReadFile(filepath.Join(h.dir, "caddy.log"))
	must(h.t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// post sends a JSON object to the site.
func (h *house) post(path, body string) answer {
	h.t.Helper()
	return h.send(h.site, request(h.t, http.MethodPost, "http://"+testHost+path, strings.NewReader(body)))
}

// wantWaiting holds that the owner's own pages are served, and that nothing of ours is answered by anything
// but 503 with the time to wait.
func (h *house) wantWaiting() {
	h.t.Helper()
	h.get("/").want(h.t, http.StatusOK, passedOn)
	for _, a := range []answer{
		h.get("/_matrix/client/v3/login"),
		h.post("/_matrix/client/v3/refresh", `{"refresh_token":"mcr_x"}`),
		h.post("/oauth2/token", `grant_type=refresh_token&refresh_token=x`),
		h.get("/_matrix/client/v3/account/whoami"),
		h.introspect("mct_x"),
		h.getInside("/health"),
	} {
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
			h.t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
	}
	if a := h.post("/_matrix/client/v3/refresh", `{}`); a.member(h.t, "errcode") != "M_UNKNOWN" || a.member(h.t, "retry_after_ms") == nil {
		h.t.Errorf("%s", a.body)
	}
}

// TestStartInTrouble: what a start at night may meet takes none of the owner's other sites down, and ours
// comes up by itself once it can (LIFE-1).
func TestStartInTrouble(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, h *house) (change func(*setup), mend func())
		says  string
	}{
		{"the database is another process's", func(t *testing.T, h *house) (func(*setup), func()) {
			other, err := matrixauth.Open(context.Background(), matrixauth.OpenOptions{Database: h.setup.Database, Create: true})
			must(t, err)
			return unchanged, func() { must(t, other.Close()) }
		}, "is held by"},
		{"the database's directory cannot be made", func(t *testing.T, h *house) (func(*setup), func()) {
			dir := filepath.Dir(h.setup.Database)
			must(t, os.WriteFile(dir, nil, 0o600))
			return unchanged, func() { must(t, os.Remove(dir)) }
		}, "not a directory"},
		{"the database is no database", func(t *testing.T, h *house) (func(*setup), func()) {
			must(t, os.MkdirAll(filepath.Dir(h.setup.Database), 0o700))
			must(t, os.WriteFile(h.setup.Database, []byte(strings.Repeat("x", 100)), 0o600))
			return unchanged, func() { must(t, os.Remove(h.setup.Database)) }
		}, "not an SQLite database"},
		{"the disk of the database is not mounted", func(t *testing.T, h *house) (func(*setup), func()) {
			h.start()
			must(t, caddy.Stop())
			h.awaitClosed(h.setup.Database)
			dir, elsewhere := filepath.Dir(h.setup.Database), filepath.Join(h.dir, "elsewhere")
			must(t, os.Rename(dir, elsewhere))
			must(t, os.Mkdir(dir, 0o700))
			return unchanged, func() {
				must(t, os.Remove(dir)) // so nothing was made in it
				must(t, os.Rename(elsewhere, dir))
			}
		}, "is its disk mounted?"},
		{"the database is gone, and its keys are there", func(t *testing.T, h *house) (func(*setup), func()) {
			return lose(h), func() { find(h) }
		}, "caddy matrix-auth forget"},
		{"an empty file is in the place of the database", func(t *testing.T, h *house) (func(*setup), func()) {
			change := lose(h)
			must(t, os.WriteFile(h.setup.Database, nil, 0o600))
			return change, func() { find(h) }
		}, "is empty"},
		{"the generated secret cannot be read", func(t *testing.T, h *house) (func(*setup), func()) {
			file := filepath.Join(filepath.Dir(h.setup.Database), "matrix_auth.secret")
			must(t, os.MkdirAll(file, 0o700))
			return func(s *setup) { s.Secret = "" }, func() {
				must(t, os.Remove(file))
				must(t, os.WriteFile(file, []byte(testSecret+"\n"), 0o600))
			}
		}, "secret"},
		{"a secret file is missing", func(t *testing.T, h *house) (func(*setup), func()) {
			file := filepath.Join(h.dir, "shared.secret")
			return func(s *setup) { s.Secret = "secret_file " + file }, func() { must(t, os.WriteFile(file, []byte(testSecret), 0o600)) }
		}, "shared.secret"},
		{"the secret is in a variable that is not set", func(t *testing.T, _ *house) (func(*setup), func()) {
			return func(s *setup) { s.Secret = "secret {env.TEST_COMES_LATER}" }, func() { t.Setenv("TEST_COMES_LATER", testSecret) }
		}, "TEST_COMES_LATER"},
		{"the secret file of a client is empty", func(t *testing.T, h *house) (func(*setup), func()) {
			file := filepath.Join(h.dir, "portal.secret")
			must(t, os.WriteFile(file, nil, 0o600))
			return more("client portal {\n secret_file " + file + "\n redirect_uri https://portal.example/callback\n}"),
				func() { must(t, os.WriteFile(file, []byte(strings.Repeat("s", 40)), 0o600)) }
		}, "portal.secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := newTicks(t)
			h := newHouse(t)
			change, mend := c.setup(t, h)
			h.start(change)
			if lines := h.lines("matrix_auth cannot open"); len(lines) != 1 || !strings.Contains(lines[0], c.says) || strings.Contains(lines[0], testSecret) {
				t.Errorf("the log says %q", lines)
			}
			h.wantWaiting()
			clock.fire(1)
			h.wantWaiting()
			h.wantMetric("matrix_auth_ready", 0)
			mend()
			clock.fire(0)
			h.await("/_matrix/client/v3/login", "m.login.password")
			h.addUser("alice")
			h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
			h.getInside("/health").want(t, http.StatusOK, "ok")
			h.wantMetric("matrix_auth_ready", 1)
			must(t, h.load(more("access_token_lifetime 1m"))) // and a reload takes over as ever
			h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
		})
	}
}

func unchanged(*setup) {}

// lose takes the database, and the generated secret beside it, away from a server that was used, and leaves its keys. find
// puts them back.
func lose(h *house) func(*setup) {
	h.t.Helper()
	h.setup.Secret = ""
	must(h.t, os.MkdirAll(filepath.Dir(h.setup.Database), 0o700))
	must(h.t, os.WriteFile(secretBeside(h), []byte(testSecret+"\n"), 0o600))
	h.start()
	h.addUser("zoe")
	must(h.t, caddy.Stop())
	h.awaitClosed(h.setup.Database)
	for _, file := range []string{h.setup.Database, secretBeside(h)} {
		must(h.t, os.Rename(file, file+".lost"))
	}
	must(h.t, os.Remove(h.setup.Database+".lock"))
	return unchanged
}

func find(h *house) {
	h.t.Helper()
	for _, file := range []string{h.setup.Database, secretBeside(h)} {
		must(h.t, os.Rename(file+".lost", file))
	}
}

func secretBeside(h *house) string {
	return filepath.Join(filepath.Dir(h.setup.Database), "matrix_auth.secret")
}

// TestClosed: a server that waits for its database makes nothing in its place, says once a minute what to do, reloads and
// stops as ever, and leaves the database to whichever of two servers is first when it is back.
func TestClosed(t *testing.T) {
	clock := newTicks(t)
	h := newHouse(t)
	lose(h)
	before := tree(t, filepath.Dir(h.setup.Database))
	wantNothingMade := func(when string) {
		t.Helper()
		if after := tree(t, filepath.Dir(h.setup.Database)); !slices.Equal(before, after) {
			t.Errorf("%s there is %v, before there was %v", when, after, before)
		}
	}
	h.start()
	h.wantWaiting()
	h.get("/account/").want(t, http.StatusServiceUnavailable, "")
	h.get("/_matrix/federation/v1/version").want(t, http.StatusOK, passedOn) // what the gateway need not check goes on
	for range 4 + 2*12 {
		clock.fire(1)
	}
	wantNothingMade("after two minutes")
	lines := append(h.lines("matrix_auth cannot open"), h.lines("matrix_auth still cannot open")...)
	if len(lines) != 3 {
		t.Errorf("in two minutes the log says %q", lines)
	}
	for _, line := range lines {
		for _, word := range []string{h.setup.Database, matrixauth.KeyFile(h.setup.Database), "caddy matrix-auth restore FILE", "caddy matrix-auth forget"} {
			if !strings.Contains(line, word) {
				t.Errorf("the line lacks %q: %s", word, line)
			}
		}
	}
	if longest := slices.Max(clock.pauses); longest != 5*time.Second {
		t.Errorf("it looks every %s", longest)
	}
	must(t, h.load(func(s *setup) { s.Rest = `respond /new "new page"` }))
	h.await("/new", "new page")
	h.wantWaiting()
	wantNothingMade("after a reload")
	must(t, caddy.Stop())
	wantNothingMade("after the stop")

	h.start()
	h.wantWaiting()
	find(h)
	other, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: h.setup.Database, Create: true})
	must(t, err)
	clock.fire(1)
	h.wantWaiting()
	must(t, other.Close())
	clock.fire(0)
	h.await("/_matrix/client/v3/login", "m.login.password")
	h.login("zoe", testPassword).want(t, http.StatusOK, "access_token")
}

// TestTroubleIsLoggedSeldom: who waits for days fills no disk.
func TestTroubleIsLoggedSeldom(t *testing.T) {
	clock := newTicks(t)
	h := newHouse(t)
	must(t, os.WriteFile(filepath.Dir(h.setup.Database), nil, 0o600))
	h.start()
	tries := 2*usualPace.loggedEvery + 1
	for range tries {
		clock.fire(1)
	}
	if first, later := h.lines("matrix_auth cannot open"), h.lines("matrix_auth still cannot open"); len(first) != 1 || len(later) != 2 {
		t.Errorf("%d and %d lines", len(first), len(later))
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
	if got := clock.pauses[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("it waits %v", got)
	}
	must(t, os.Remove(filepath.Dir(h.setup.Database)))
}

// TestStopInTrouble: whoever gives up leaves nothing behind. The house looks for what is left running.
func TestStopInTrouble(t *testing.T) {
	newTicks(t)
	h := newHouse(t)
	taken, err := net.Listen("tcp", h.setup.Listen)
	must(t, err)
	defer taken.Close()
	must(t, os.WriteFile(filepath.Dir(h.setup.Database), nil, 0o600))
	h.start()
	must(t, caddy.Stop())
	must(t, os.Remove(filepath.Dir(h.setup.Database)))
}

// TestListenInTrouble: an address for the homeserver that is taken, or not there yet, takes nothing down.
func TestListenInTrouble(t *testing.T) {
	clock := newTicks(t)
	h := newHouse(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := taken.Addr().String()
	const nowhere = "192.0.2.1:8080" // TEST-NET-1 is on no machine
	h.start(func(s *setup) { s.Listen += " " + address + " " + nowhere })
	inside := strings.Fields(h.setup.Listen)[0]
	health := func() (found []string) {
		t.Helper()
		a := h.send(h.inside, request(t, http.MethodGet, "http://"+inside+"/health", nil))
		a.want(t, http.StatusOK, `"status":"ok"`)
		var document struct {
			NotListening []string `json:"not_listening"`
		}
		must(t, json.Unmarshal([]byte(a.body), &document))
		return document.NotListening
	}
	h.addUser("alice")
	h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
	if got := health(); !slices.Equal(got, []string{address, nowhere}) {
		t.Errorf("health names %v", got)
	}
	if lines := h.lines("cannot ask us at one address"); len(lines) != 2 || !strings.Contains(lines[0], address+" is in use by another program, to which Synapse tells our secret meanwhile") {
		t.Errorf("the log says %q", lines)
	}
	h.wantMetric("matrix_auth_internal_listen_up "+address, 0)
	h.wantMetric("matrix_auth_internal_listen_up "+inside, 1)
	found, err := matrixauth.Examine.Do(context.Background(), h.operator(), matrixauth.Examination{})
	must(t, err)
	bad := slices.DeleteFunc(found.Findings, func(f matrixauth.Finding) bool { return f.OK || f.Check != listenCheck })
	if len(bad) != 2 || !strings.Contains(bad[0].What, "in use") || bad[0].Change == "" {
		t.Errorf("the doctor finds %+v", bad)
	}

	clock.fire(2)
	before := refusedBinds.Load()
	clock.fire(2)
	if got := refusedBinds.Load() - before; got != 2 {
		t.Errorf("%d binds were counted as refused", got)
	}
	h.wantMetric("matrix_auth_internal_listen_refused_total", float64(before+2))
	must(t, h.load(more("access_token_lifetime 1m"))) // a reload for something else is not held up
	err = h.load(func(s *setup) { s.Listen += " 192.0.2.1:8081" })
	wantError(t, err, "192.0.2.1:8081")

	must(t, taken.Close())
	clock.fire(1)
	h.awaitInside("http://" + address + "/health")
	if got := health(); !slices.Equal(got, []string{nowhere}) {
		t.Errorf("health names %v", got)
	}
	h.wantMetric("matrix_auth_internal_listen_up "+address, 1)
}

// awaitInside waits until a listener for the homeserver answers.
func (h *house) awaitInside(target string) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		a, err := send(h.inside, request(h.t, http.MethodGet, target, nil))
		if err == nil && a.status == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s: %v %d", target, err, a.status)
		}
	}
}

// TestReloadInTrouble: while one thing is gone without, a reload that goes without the same is not refused, one
// that brings a trouble of its own is, and one that mends it is in force at once.
func TestReloadInTrouble(t *testing.T) {
	newTicks(t)
	h := newHouse(t)
	h.bindPort()
	blocked := filepath.Join(h.dir, "blocked")
	must(t, os.WriteFile(blocked, nil, 0o600))
	bad, good := filepath.Join(blocked, "auth.db"), h.setup.Database
	h.start(func(s *setup) { s.Database = bad })
	h.wantWaiting()
	must(t, h.load(func(s *setup) { s.Rest = `respond /new "new page"` }))
	h.await("/new", "new page")
	h.wantWaiting()
	wantError(t, h.load(func(s *setup) { s.Database = filepath.Join(blocked, "other.db") }), "other.db")
	h.await("/new", "new page")
	h.start(func(s *setup) { s.Database = good })
	h.await("/_matrix/client/v3/login", "m.login.password")
	wantError(t, h.load(func(s *setup) { s.Database = bad }), bad)
	h.addUser("alice")
	h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
}

// TestPagesInTrouble: an operator's template that was broken since the last reload costs a restart the
// operator's own pages, and nobody their sign-in.
func TestPagesInTrouble(t *testing.T) {
	h := newHouse(t)
	templates := filepath.Join(h.dir, "templates")
	h.start(more("templates " + templates + "\nbranding {\n logo " + h.dir + "/logo.svg\n}"))
	h.addUser("alice")
	h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
	h.get("/account/login").want(t, http.StatusOK, "<form")
	found, err := matrixauth.Examine.Do(context.Background(), h.operator(), matrixauth.Examination{})
	must(t, err)
	bad := slices.DeleteFunc(found.Findings, func(f matrixauth.Finding) bool { return f.OK || f.Check != "pages" })
	if len(bad) != 2 {
		t.Errorf("the doctor finds %+v", bad)
	}
	must(t, h.load(more("access_token_lifetime 1m")))
	h.bindPort() // a reload that fails spoils Caddy's sockets
	must(t, h.load())
	// What is tolerated is the option, not the folder: the reload that would mend it must not be refused either.
	must(t, os.MkdirAll(templates, 0o700))
	must(t, os.WriteFile(filepath.Join(h.dir, "logo.svg"), []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), 0o600))
	must(t, h.load(more("access_token_lifetime 2m")))
	must(t, os.RemoveAll(templates))
	wantError(t, h.load(more("access_token_lifetime 3m")), "templates", "no such file")
}

// TestPasswordListInTrouble: a list of refused passwords that cannot be read when Caddy starts costs nobody their sign-in, and
// the built-in list stands in for it.
func TestPasswordListInTrouble(t *testing.T) {
	h := newHouse(t)
	list := filepath.Join(h.dir, "refused.txt")
	must(t, os.WriteFile(list, []byte("not\nin order\n"), 0o600))
	options := "passwords {\n blocklist " + list + "\n}"
	h.start(more(options))
	h.addUser("alice")
	h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
	set := func(password string) error {
		_, err := matrixauth.SetPassword.Do(t.Context(), h.operator(), matrixauth.NameAndPassword{Name: matrixauth.Name{User: "alice"}, Password: password})
		return err
	}
	wantError(t, set("trustno1"), "guessed first")
	must(t, set("in order to be brief"))
	found, err := matrixauth.Examine.Do(t.Context(), h.operator(), matrixauth.Examination{})
	must(t, err)
	if !slices.ContainsFunc(found.Findings, func(f matrixauth.Finding) bool {
		return !f.OK && f.Check == "passwords" && strings.Contains(f.What, "line 2")
	}) {
		t.Errorf("the doctor finds %+v", found.Findings)
	}
	must(t, os.WriteFile(list, []byte("in order to be brief\nnot\n"), 0o600))
	must(t, h.load(more("access_token_lifetime 1m")))
	wantError(t, set("In Order to be Brief"), "guessed first")
}

// TestSiteTakesOurPort: one of the owner's sites needs the port that is ours by default. Sites come first.
func TestSiteTakesOurPort(t *testing.T) {
	for _, listen := range []string{":", "127.0.0.1:"} {
		t.Run("a site at "+listen, func(t *testing.T) {
			clock := newTicks(t)
			h := newHouse(t)
			_, port, err := net.SplitHostPort(h.setup.Listen)
			must(t, err)
			beside := func(s *setup) {
				s.Beside = "http://:" + port + " {\n bind " + strings.TrimSuffix(listen, ":") + "\n respond \"the other site\"\n}"
			}
			if listen == ":" {
				beside = func(s *setup) { s.Beside = "http://:" + port + " {\n bind 0.0.0.0\n respond \"the other site\"\n}" }
			}
			wantError(t, validate(t, h.config(beside)), "internal_listen", h.setup.Listen, "is the port of a site")
			for range 4 { // Caddy starts the apps in another order each time
				must(t, h.load(beside))
				clock.fire(0)
				h.getInside("/").want(t, http.StatusOK, "the other site")
				h.get("/_matrix/client/v3/login").want(t, http.StatusOK, "m.login.password")
				must(t, caddy.Stop())
			}
			awaitFree(t, h.setup.Listen) // Caddy closes its sites a little later
			must(t, h.load())
			wantError(t, h.load(beside), "is the port of a site")
			h.getInside("/health").want(t, http.StatusOK, "ok")
		})
	}
}

// awaitFree waits until nobody listens on an address.
func awaitFree(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		l, err := net.Listen("tcp", address)
		if err == nil {
			must(t, l.Close())
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestValidateFinds says what "caddy validate" finds beyond the text of the configuration, without a trace.
func TestValidateFinds(t *testing.T) {
	h := newHouse(t)
	blocked := filepath.Join(h.dir, "blocked")
	must(t, os.WriteFile(blocked, []byte(strings.Repeat("x", 100)), 0o600))
	t.Setenv("TEST_DATABASE", filepath.Join(blocked, "auth.db"))
	for _, c := range []struct {
		name   string
		config func() []byte
		words  []string
	}{
		{"a relative database behind a placeholder", func() []byte {
			t.Setenv("TEST_RELATIVE", "auth.db")
			return h.config(func(s *setup) { s.Database = "{env.TEST_RELATIVE}" })
		}, []string{"database", "relative"}},
		{"a database in a file", func() []byte { return h.config(func(s *setup) { s.Database = "{env.TEST_DATABASE}" }) }, []string{blocked}},
		{"a database that is none", func() []byte {
			t.Setenv("TEST_NONE", blocked)
			return h.config(func(s *setup) { s.Database = "{env.TEST_NONE}" })
		}, []string{"not an SQLite database"}},
		{"a secret file behind a placeholder", func() []byte {
			return h.config(func(s *setup) { s.Secret = "secret_file {env.TEST_DATABASE}.secret" })
		}, []string{"secret_file"}},
		{"only bare ones", func() []byte {
			return []byte(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["unix/` + h.dir + `/a.sock"],"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"matrix_auth"}]}]}]}]},` +
				`"b":{"listen":["unix/` + h.dir + `/b.sock"],"routes":[{"handle":[{"handler":"matrix_auth"}]}]}}}}}`)
		}, []string{"matrix_auth example.com https://matrix.example.com"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := tree(t, h.dir)
			wantError(t, validate(t, c.config()), c.words...)
			if after := tree(t, h.dir); !slices.Equal(before, after) {
				t.Errorf("it left %v, before there was %v", after, before)
			}
		})
	}
	t.Run("bare ones before and behind the one with settings are well", func(t *testing.T) {
		for _, name := range []string{"a.test", "zz.test"} {
			must(t, validate(t, h.config(func(s *setup) { s.Beside = "http://" + name + " {\n handle /x* {\n matrix_auth\n }\n}" })))
		}
	})
}

// tree lists a directory.
func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) != "caddy.log" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return paths
}

// wantMetric reads a metric of the running configuration, by its name and the values of its labels.
func (h *house) wantMetric(name string, want float64) {
	h.t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	must(h.t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			full := family.GetName()
			for _, label := range m.GetLabel() {
				full += " " + label.GetValue()
			}
			if full != name {
				continue
			}
			if got := m.GetGauge().GetValue() + m.GetCounter().GetValue(); got != want {
				h.t.Errorf("%s is %v, want %v", name, got, want)
			}
			return
		}
	}
	h.t.Errorf("%s is not there", name)
}

// TestToleratedIsReplacedAtOnce: a reload that looks while something is tried again sees that it is gone without.
func TestToleratedIsReplacedAtOnce(t *testing.T) {
	var faults toleratedFaults
	app, full := new(App), &obstacle{[]string{"database x"}, errors.New("the disk is full")}
	faults.swap(app, nil, full)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			faults.swap(app, full, full)
		}
	}()
	for missed := false; ; {
		select {
		case <-done:
			if missed {
				t.Error("for a moment it was not tolerated")
			}
			if faults.swap(app, full, nil); faults.has("database x") {
				t.Error("it is gone, and tolerated")
			}
			return
		default:
			missed = missed || !faults.has("database x")
		}
	}
}
