package tests

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestStartInTrouble starts a real Caddy while another process has the database and the port for Synapse: the
// owner's other pages are served, an app is told to wait and nothing else, and it goes on with its session once
// both are free, with nobody doing anything (LIFE-1).
func TestStartInTrouble(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	app := h.Login("alice", password, map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
	access, refresh := app.Text("access_token"), app.Text("refresh_token")
	h.Write(h.Text(`respond /other "the other page"`))
	h.Caddy.Stop()

	taken, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(h.Internal, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	// The other program answers, and knows nothing of tokens.
	program := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = program.Serve(taken) }() // it ends when the program is closed
	lock, err := os.OpenFile(h.Database()+".lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	h.CaddyConfig.Ready = "/other"
	h.Caddy.Start()

	wait := func(what string, a rig.Answer) {
		t.Helper()
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Text("errcode") != "M_UNKNOWN" {
			t.Errorf("%s: %d %v %v", what, a.Status, a.Header, a.Body)
		}
	}
	tryRefresh := func() rig.Answer {
		return h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh})
	}
	wait("refresh", tryRefresh())
	wait("whoami", h.Call(http.MethodGet, "/v3/account/whoami", access, nil))
	wait("login", h.Login("alice", password, nil))
	response, err := http.PostForm(h.URL+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if response.Body.Close(); err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), `"temporarily_unavailable"`) {
		t.Errorf("the OAuth refresh: %d %s %v", response.StatusCode, text, err)
	}
	// Synapse, asked past us, gets no answer about the token either and must not refuse it.
	if a, err := rig.Call(h.Synapse.URL, http.MethodGet, "/v3/account/whoami", access, nil); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("Synapse says %d %v %v", a.Status, a.Body, err)
	}
	if found, _ := scrape(t, h.Caddy); found.value(t, "matrix_auth_ready", "") != 0 || found.value(t, "matrix_auth_internal_listen_up", "") != 0 {
		t.Error("the metrics do not tell")
	}

	// Sites may be served before ours has given up its first wait for the database, and nobody tells of it until then.
	rig.Await(t, "the doctor to find what it waits for", func() error {
		if found, _ := examine(t, h.Caddy); found["server"].ID != "server/waiting" || !strings.Contains(found["server"].What, "is held by") {
			return fmt.Errorf("it finds %+v", found["server"])
		}
		return nil
	})

	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "a login once the database is free", func() error { return rig.Answers(h.URL + "/_matrix/client/v3/login") })
	a := tryRefresh().Must(t, http.StatusOK)
	access, refresh = a.Text("access_token"), a.Text("refresh_token")
	found, _ := examine(t, h.Caddy)
	if f := found["internal listener"]; f.ID != "internal-listener/closed" || !strings.Contains(f.What, "in use by another program") {
		t.Errorf("the doctor finds %+v", f)
	}
	if a := h.Call(http.MethodGet, "/v3/account/whoami", access, nil); a.Status != http.StatusServiceUnavailable {
		t.Errorf("while Synapse cannot ask: %d %v", a.Status, a.Body)
	}

	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "Synapse's answer once the port is free", func() error {
		a, err := rig.Call(h.URL, http.MethodGet, "/v3/account/whoami", access, nil)
		if err == nil && a.Status != http.StatusOK {
			if a.Status < http.StatusInternalServerError {
				t.Fatalf("the session was refused: %d %v", a.Status, a.Body)
			}
			err = fmt.Errorf("status %d", a.Status)
		}
		return err
	})
	tryRefresh().Must(t, http.StatusOK)

	t.Run("a reload is refused what a start is granted", func(t *testing.T) {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		right := h.Text("")
		internal := strings.TrimSuffix(strings.TrimPrefix(h.Internal, "http://"), "/")
		h.Write(strings.Replace(right, "internal_listen "+internal, "internal_listen "+internal+" "+other.Addr().String(), 1))
		if err := h.Reload(); err == nil || !strings.Contains(err.Error(), other.Addr().String()+" is in use by another program") {
			t.Errorf("the reload ended with %v", err)
		}
		h.Login("alice", password, nil).Must(t, http.StatusOK)
		h.Write(right)
	})
}

// TestValidate has the real "caddy validate" find what needs no port, and name the line, without a trace.
func TestValidate(t *testing.T) {
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: "http://127.0.0.1:1", Secret: "shared"})
	right := c.Text("")
	if err := os.WriteFile(filepath.Join(c.Dir, "a-file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	database := "database " + c.Database()
	for _, tc := range []struct{ name, text, says string }{
		{"a relative database", strings.Replace(right, database, "database matrix_auth.db", 1), "relative"},
		{"a database that cannot be made", strings.Replace(right, database, "database "+c.Dir+"/a-file/matrix_auth.db", 1), "a-file"},
		{"a database that is none", strings.Replace(right, database, "database "+c.Dir+"/a-file", 1), "not an SQLite database"},
		{"a secret file that cannot be read", strings.Replace(right, "secret {env.MATRIX_SECRET}", "secret_file "+c.Dir+"/nowhere", 1), "nowhere"},
		{"only bare ones", "http://127.0.0.1:1 {\n\tmatrix_auth\n}\n", "no matrix_auth of this configuration has settings"},
		{"an unknown option", strings.Replace(right, database, "databse x", 1), "databse"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.Write(tc.text)
			before := filesOf(t, c.Dir)
			out, err := c.Run("", "validate", "--config", c.File())
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "Caddyfile:") {
				t.Errorf("%s %v", out, err)
			}
			if after := filesOf(t, c.Dir); !slices.Equal(before, after) {
				t.Errorf("it left %v behind, before there was %v", after, before)
			}
		})
	}
	t.Run("nothing wrong", func(t *testing.T) {
		c.Write(right)
		if _, err := c.Run("", "validate", "--config", c.File()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(c.Database()); err == nil {
			t.Error("it made the database")
		}
	})
}

// filesOf lists a directory, but for what Caddy itself keeps in its own ones.
func filesOf(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (path == filepath.Join(dir, "config") || path == filepath.Join(dir, "data")) {
			return fs.SkipDir
		}
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
