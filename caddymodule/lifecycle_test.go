package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// validate does what "caddy validate" does.
func validate(t *testing.T, raw []byte) error {
	t.Helper()
	before := validating
	validating = func() bool { return true }
	defer func() { validating = before }()
	var config caddy.Config
	must(t, caddy.StrictUnmarshalJSON(raw, &config))
	return caddy.Validate(&config)
}

func TestValidate(t *testing.T) {
	t.Run("leaves nothing behind", func(t *testing.T) {
		h := newHouse(t)
		must(t, validate(t, h.config(func(s *setup) { s.Secret = "" })))
		for _, path := range []string{filepath.Dir(h.setup.Database), filepath.Join(h.dir, "site.sock")} {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is there: %v", path, err)
			}
		}
		wantFree(t, h.setup.Listen)
	})
	t.Run("default database leaves nothing behind", func(t *testing.T) {
		h := newHouse(t)
		raw := bytes.Replace(h.config(), []byte(`"database":"`+h.setup.Database+`",`), nil, 1)
		if bytes.Contains(raw, []byte(h.setup.Database)) {
			t.Fatal("the database is still configured")
		}
		t.Setenv("XDG_DATA_HOME", h.dir)
		must(t, validate(t, raw))
		if _, err := os.Stat(filepath.Join(h.dir, "caddy", "matrix_auth")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the default directory is there: %v", err)
		}
	})
	t.Run("beside a running server", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		token := h.addUser("alice")
		must(t, validate(t, h.config(more("access_token_lifetime 1m"))))
		h.wantActive(token)
		h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
	})
	t.Run("finds mistakes behind placeholders", func(t *testing.T) {
		h := newHouse(t)
		t.Setenv("TEST_ISSUER", "http://matrix.example.test")
		err := validate(t, h.config(func(s *setup) { s.Issuer, s.Secret = "{env.TEST_ISSUER}", "secret {env.TEST_NOWHERE}" }))
		wantError(t, err, "issuer", "must be https", "secret", "TEST_NOWHERE")
	})
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not speak of %q: %v", word, err)
		}
	}
}

// wantFree checks that nobody listens on an address.
func wantFree(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("%s is not free: %v", address, err)
	}
	must(t, l.Close())
}

// Caddy starts its apps in any order, so requests may come before ours has started.
func TestBeforeStart(t *testing.T) {
	app := &App{}
	must(t, app.join(Settings{Issuer: testIssuer + "/auth", Matrix: Homeserver{Homeserver: testServerName, Secret: testSecret}}))
	h := &Handler{app: app}
	for _, c := range []struct{ path, member, code string }{
		{"/_matrix/client/v3/login", "errcode", "M_UNKNOWN"},
		{"/_matrix/client/v3/refresh", "errcode", "M_UNKNOWN"},
		{"/_matrix/client/v3/sync", "errcode", "M_UNKNOWN"}, // its user may be locked
		{"/_matrix/media/v3/config", "errcode", "M_UNKNOWN"},
		{"/_synapse/admin/v1/rooms", "errcode", "M_UNKNOWN"},
		{"/_synapse/mas/query_user", "errcode", "M_UNKNOWN"},
		{"/x/_synapse/mas/query_user", "errcode", "M_UNKNOWN"},
		{"/auth/oauth2/introspect", "error", "temporarily_unavailable"},
		{"/auth/.well-known/openid-configuration", "error", "temporarily_unavailable"},
	} {
		t.Run(c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			must(t, h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, testIssuer+c.path, nil), passing))
			a := answer{w.Code, w.Header(), w.Body.String()}
			a.want(t, http.StatusServiceUnavailable, "")
			if a.header.Get("Retry-After") == "" || a.member(t, c.member) != c.code {
				t.Errorf("%s %v", a.body, a.header)
			}
		})
	}
	for _, path := range []string{"/", "/_matrix/key/v2/server", "/_matrix/federation/v1/version", "/.well-known/matrix/client", "/oauth2/introspect", "/_synapses/client/x",
		"https://other.test/auth/account/"} {
		t.Run(path+" passes", func(t *testing.T) {
			w := httptest.NewRecorder()
			must(t, h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil), passing))
			if w.Body.String() != passedOn {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

// passing is the next handler.
var passing = caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte(passedOn))
	return err
})

func TestFailedReload(t *testing.T) {
	h := newHouse(t)
	h.bindPort()
	h.start()
	token := h.addUser("alice")
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer occupied.Close()
	garbage := filepath.Join(h.dir, "garbage.db")
	must(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600))
	_, port, err := net.SplitHostPort(h.setup.Listen)
	must(t, err)
	other := filepath.Join(h.dir, "other", "auth.db")
	beside := func(site string) func(*setup) { return func(s *setup) { s.Beside = site } }

	for _, c := range []struct {
		name   string
		config []byte
		words  []string
	}{
		{"database is a directory", h.config(func(s *setup) { s.Database = h.dir }), []string{h.dir}},
		{"database is another file", h.config(func(s *setup) { s.Database = garbage }), []string{garbage}},
		{"database in a place that cannot be", h.config(func(s *setup) { s.Database = garbage + "/auth.db" }), []string{garbage}},
		{"internal port in use", h.config(func(s *setup) { s.Listen = occupied.Addr().String() }),
			[]string{occupied.Addr().String() + " is in use by another program", "internal_listen"}},
		{"second internal port in use", h.config(func(s *setup) { s.Listen += " " + occupied.Addr().String(); s.Database = other }),
			[]string{occupied.Addr().String()}},
		{"internal address overlaps with our own", h.config(func(s *setup) { s.Listen = ":" + port }),
			[]string{"overlaps with " + h.setup.Listen}},
		{"port of a site in use", h.config(func(s *setup) { s.Database = other }, beside("http://"+occupied.Addr().String()+" {\n bind 127.0.0.1\n}")),
			[]string{"address already in use"}},
		{"mistake of another module", replaced(t, h.config(func(s *setup) { s.Database = other }),
			`{"body":"`+passedOn+`","handler":"static_response"}`, `{"handler":"encode","encodings":{"nothing":{}}}`), []string{"nothing"}},
		{"two sites with different settings", replaced(t, h.config(beside("http://other.test {\n matrix_auth\n}")),
			`{"handler":"matrix_auth"}`, `{"handler":"matrix_auth","issuer":"https://other.test"}`), []string{"different settings"}},
		{"another site has limits of its own", replaced(t, h.config(beside("http://other.test {\n matrix_auth\n}")),
			`{"handler":"matrix_auth"}`, `{"handler":"matrix_auth","login_limit":{"network":{"burst":1,"per_minute":1}}}`), []string{"different settings"}},
		{"no site has settings", []byte(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":["unix/` + h.dir + `/site.sock"],` +
			`"routes":[{"handle":[{"handler":"matrix_auth"}]}]}}}}}`), []string{"matrix_auth example.com https://matrix.example.com"}},
		{"no handler", []byte(`{"admin":{"disabled":true},"apps":{"matrix_auth":{}}}`), []string{"matrix_auth example.com https://matrix.example.com"}},
		{"secret file is gone", h.config(func(s *setup) { s.Secret = "secret_file {env.TEST_NOWHERE}" }), []string{"secret_file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := h.watch(t, token)
			for range 4 { // Caddy starts the apps in another order each time
				wantError(t, caddy.Load(c.config, true), c.words...)
			}
			stop()
			h.wantActive(token)
			h.getInside("/health").want(t, http.StatusOK, "ok")
			h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
			page, err := matrixauth.ListUsers.Do(context.Background(), h.operator(), matrixauth.UserQuery{})
			must(t, err)
			if len(page.Users) != 1 {
				t.Errorf("users: %v", page.Users)
			}
			h.awaitClosed(other)
		})
	}
}

// watch introspects a token without pause until the function that it gives is called: the token must be
// active all the time, as the homeserver remembers otherwise.
func (h *house) watch(t *testing.T, token string) (stop func()) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			a, err := send(h.inside, introspection(t, "http://"+h.setup.Listen, token))
			if err != nil || !strings.Contains(a.body, `"active":true`) {
				t.Errorf("%v %d %s", err, a.status, a.body)
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// replaced changes a configuration as JSON.
func replaced(t *testing.T, raw []byte, old, with string) []byte {
	t.Helper()
	if bytes.Count(raw, []byte(old)) != 1 {
		t.Fatalf("%s is not there once: %s", old, raw)
	}
	return bytes.Replace(raw, []byte(old), []byte(with), 1)
}

func TestReload(t *testing.T) {
	t.Run("a token is known all the time", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		token := h.addUser("alice")
		stop := h.watch(t, token)
		for _, lifetime := range []string{"1m", "2m", "3m", "4m"} {
			must(t, h.load(more("access_token_lifetime "+lifetime)))
		}
		stop()
		h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
	})
	t.Run("nobody is sent away for a reload", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		end, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-end:
					return
				default:
				}
				// One that finds the old site closed as it comes is none that was sent away.
				if a, err := send(h.site, request(t, http.MethodGet, "http://"+testHost+"/_matrix/client/v3/login", nil)); err == nil && a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
					return
				}
			}
		}()
		for i := range 12 { // Caddy starts the apps in another order each time
			must(t, h.load(more(fmt.Sprintf("access_token_lifetime %dm", i+1))))
		}
		close(end)
		<-ended
	})
	t.Run("a question under way is answered from the database where it began", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		token := h.addUser("alice")
		body, rest := io.Pipe()
		r := introspectionBody(t, "http://"+h.setup.Listen, body)
		r.Header.Set("Expect", "100-continue") // so that nothing of the body is taken before it is read
		answered := make(chan answer, 1)
		go func() {
			defer close(answered)
			if a, err := send(h.inside, r); err == nil {
				answered <- a
			}
		}()
		write := func(text string) {
			_, err := rest.Write([]byte(text))
			must(t, err)
		}
		write("token=")
		before, other := h.setup.Database, filepath.Join(h.dir, "other", "auth.db")
		h.start(func(s *setup) { s.Database = other })
		h.wantForgotten(token)
		write(token)
		must(t, rest.Close())
		(<-answered).want(t, http.StatusOK, `"active":true`)
		h.awaitClosed(before)
	})
	t.Run("the listener for the homeserver moves, and ends", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		token := h.addUser("alice")
		first, second := h.setup.Listen, freeAddress(t)
		h.start(func(s *setup) { s.Listen = second })
		wantFree(t, first)
		h.wantActive(token)
		h.start(func(s *setup) { s.Listen = "off" })
		wantFree(t, second)
		h.send(h.site, introspection(t, "http://"+testHost, token)).want(t, http.StatusOK, `"active":true`)
	})
	t.Run("another site joins and leaves, and serves the Matrix API alone", func(t *testing.T) {
		h := newHouse(t)
		h.start()
		h.addUser("alice")
		for range 2 {
			must(t, h.load(func(s *setup) { s.Beside = "http://other.test {\n matrix_auth\n respond \"" + passedOn + "\"\n}" }))
			h.await("http://other.test/_matrix/client/v3/login", "m.login.password")
			h.await("http://other.test/.well-known/openid-configuration", passedOn)
			h.await("/.well-known/openid-configuration", testIssuer)
			must(t, h.load())
			h.await("http://other.test/_matrix/client/v3/login", "")
			h.login("alice", testPassword).want(t, http.StatusOK, "access_token")
		}
	})
}

// A secret that nobody gave is made once, beside the database and for its owner's eyes alone.
func TestGeneratedSecret(t *testing.T) {
	h := newHouse(t)
	file := filepath.Join(filepath.Dir(h.setup.Database), "matrix_auth.secret")
	h.start(func(s *setup) { s.Secret = "" })
	made, err := os.ReadFile(file)
	must(t, err)
	if len(strings.TrimSpace(string(made))) < 32 {
		t.Errorf("the secret is %q", made)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %s", info.Mode())
	}
	must(t, h.load(more("access_token_lifetime 1m")))
	must(t, caddy.Stop())
	h.awaitClosed(h.setup.Database)
	must(t, h.load())
	if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, made) {
		t.Errorf("after a reload and a restart it is %q, %v", kept, err)
	}
	r := introspection(t, "http://"+h.setup.Listen, "x")
	h.send(h.inside, r).want(t, http.StatusUnauthorized, "")
	r = introspection(t, "http://"+h.setup.Listen, "x")
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(made)))
	h.send(h.inside, r).want(t, http.StatusOK, `"active":false`)
}
