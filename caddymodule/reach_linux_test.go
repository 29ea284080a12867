package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// stranger is a user who is nobody that is believed.
const stranger = 65534

// hearsay is an admin endpoint that anybody may have opened where Caddy does not run.
type hearsay struct {
	address  string
	asked    atomic.Int32
	database string
	issuer   string
	waiting  string
}

func newHearsay(t *testing.T) *hearsay {
	t.Helper()
	h := &hearsay{issuer: testIssuer}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.asked.Add(1)
		_ = json.NewEncoder(w).Encode([]instance{{ServerName: testServerName, Issuer: h.issuer, Database: h.database, Waiting: h.waiting}})
	}))
	t.Cleanup(s.Close)
	h.address = s.Listener.Addr().String()
	return h
}

// socketOf listens as a user at the socket of a database, answers every order by the same words, and counts
// the orders.
func socketOf(t *testing.T, uid int, database, answer string) *atomic.Int32 {
	t.Helper()
	var told atomic.Int32
	listening := make(chan error)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		told.Add(1)
		_, _ = fmt.Fprint(w, answer)
	})}
	go func() {
		runtime.LockOSThread() // Linux keeps the user for each thread; this one ends with its goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			listening <- errno
			return
		}
		l, err := net.Listen("unix", database+".sock")
		if err == nil {
			go func() { _ = s.Serve(l) }()
		}
		listening <- err
	}()
	must(t, <-listening)
	t.Cleanup(func() { _ = s.Close() })
	return &told
}

// reachBy runs what every command does to reach the server of a configuration, as root.
func reachBy(t *testing.T, global, options string, flags ...string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	file := filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "{\n%s\n}\nhttp://%s {\nmatrix_auth %s %s {\n%s\n}\n}\n", global, testHost, testServerName, testIssuer, options), 0o600))
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	root.AddCommand(operatorCommandOfTest())
	var out bytes.Buffer
	root.SetErr(&out)
	root.SetOut(&out)
	root.SetArgs(append([]string{"reach", "--config", file}, flags...))
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

func operatorCommandOfTest() *cobra.Command {
	cmd := &cobra.Command{Use: "reach"}
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		o, err := s.reach(cmd.Context(), cmd)
		if err != nil {
			return err
		}
		return o.Close()
	})
	return cmd
}

// TestHearsay believes nothing that is told at Caddy's admin address: where Caddy does not run, anybody may
// listen there (KEY-14).
func TestHearsay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	// place gives a directory of the stranger with links to what is root's beside the database.
	place := func(t *testing.T) (database string, untouched func()) {
		t.Helper()
		dir, err := os.MkdirTemp("", "ma")
		must(t, err)
		t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
		must(t, os.Chmod(dir, 0o755))
		must(t, os.Chown(dir, stranger, stranger))
		target := filepath.Join(t.TempDir(), "target")
		must(t, os.WriteFile(target, []byte("root's"), 0o600))
		for _, name := range []string{"x.db", "x.db.lock", "x.db-wal", "matrix_auth.secret"} {
			must(t, os.Symlink(target, filepath.Join(dir, name)))
		}
		return filepath.Join(dir, "x.db"), func() {
			t.Helper()
			text, err := os.ReadFile(target)
			must(t, err)
			if string(text) != "root's" {
				t.Errorf("root's file holds %q", text)
			}
		}
	}
	serves := fmt.Sprintf(`{"server_name":%q,"issuer":%q}`, testServerName, testIssuer)
	for name, test := range map[string]struct {
		uid    int
		answer string
		flags  []string
		// want is a part of the error, empty if the server is reached; orders are how many it is told.
		want   string
		orders int32
	}{
		"a_stranger":                        {stranger, serves, nil, "is told nothing", 0},
		"the_user_that_a_flag_names":        {stranger, serves, []string{"--service-user", fmt.Sprint(stranger)}, "", 1},
		"the_same_by_name":                  {stranger, serves, []string{"--service-user", "nobody"}, "", 1},
		"a_user_that_does_not_exist":        {stranger, serves, []string{"--service-user", "no-such-user"}, "--service-user", 0},
		"root":                              {0, serves, nil, "", 1},
		"another_server_of_a_believed_user": {0, `{"server_name":"other.test","issuer":"https://other.test"}`, nil, "serves other.test", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHearsay(t)
			var untouched func()
			h.database, untouched = place(t)
			told := socketOf(t, test.uid, h.database, test.answer)
			said, err := reachBy(t, "admin "+h.address, "", test.flags...)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || told.Load() != test.orders {
				t.Errorf("told %d times, said %q: %v", told.Load(), said, err)
			}
			untouched()
		})
	}
	t.Run("no_server_at_the_path", func(t *testing.T) {
		h := newHearsay(t)
		var untouched func()
		h.database, untouched = place(t)
		said, err := reachBy(t, "admin "+h.address, "")
		if err == nil || !strings.Contains(err.Error(), "there is no database at") || strings.Contains(err.Error(), h.database) || !strings.Contains(said, "it is not used") {
			t.Errorf("said %q: %v", said, err)
		}
		untouched()
	})
	for name, test := range map[string]struct {
		global  func(address string) string
		options string
		flags   []string
	}{
		"admin_off":              {func(string) string { return "admin off" }, "", nil},
		"a_configured_database":  {func(a string) string { return "admin " + a }, "database /nowhere/x.db", nil},
		"a_database_of_the_flag": {func(a string) string { return "admin " + a }, "", []string{"--database", "/nowhere/x.db"}},
	} {
		t.Run("nobody_is_asked_with_"+name, func(t *testing.T) {
			h := newHearsay(t)
			t.Setenv("CADDY_ADMIN", h.address)
			_, err := reachBy(t, test.global(h.address), test.options, test.flags...)
			if err == nil || !strings.Contains(err.Error(), "there is no database at") || h.asked.Load() != 0 {
				t.Errorf("asked %d times: %v", h.asked.Load(), err)
			}
		})
	}
	t.Run("admin_off_and_a_listener_at_the_usual_port", func(t *testing.T) {
		l, err := net.Listen("tcp", "localhost:2019")
		if err != nil {
			t.Skip("the port is taken:", err)
		}
		asked := make(chan struct{}, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				asked <- struct{}{}
				_ = c.Close()
			}
		}()
		_, err = reachBy(t, "admin off", "")
		must(t, l.Close())
		if err == nil || len(asked) != 0 {
			t.Errorf("somebody was asked: %v", err)
		}
	})
	t.Run("an_answer_that_never_ends", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("[ "), 4096)); err != nil {
					return
				}
			}
		}))
		t.Cleanup(s.Close)
		if _, err := reachBy(t, "admin "+s.Listener.Addr().String(), ""); err == nil || !strings.Contains(err.Error(), "there is no database at") {
			t.Errorf("got %v", err)
		}
	})
}

// TestHearsayOfWaiting shows whose word it is that a server waits, and not more of it than there may be.
func TestHearsayOfWaiting(t *testing.T) {
	h := newHearsay(t)
	h.database, h.waiting = "/nowhere/x.db", "mend it by this command:\x1b[2J "+strings.Repeat("x", 2*maxWaiting)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	file := filepath.Join(t.TempDir(), "Caddyfile")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "{\nadmin %s\n}\nhttp://%s {\nmatrix_auth %s %s\n}\n", h.address, testHost, testServerName, testIssuer), 0o600))
	out, _, _ := runCommand(t, "doctor", "--config", file)
	said := "what answers at Caddy's admin address " + h.address + " says that the server runs and cannot open: mend it"
	if !strings.Contains(out, said) || strings.Contains(out, "\x1b") || strings.Count(out, "x") > maxWaiting+100 {
		t.Errorf("it says %s", out)
	}
}

// TestPlantedSecret reads and writes no generated secret by a link (KEY-14).
func TestPlantedSecret(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	must(t, os.WriteFile(target, []byte("root's"), 0o600))
	database := filepath.Join(dir, "data", "x.db")
	must(t, os.Mkdir(filepath.Dir(database), 0o700))
	must(t, os.Symlink(target, filepath.Join(dir, "data", "matrix_auth.secret")))
	_, err := reachBy(t, "admin off", "database "+database)
	if err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("got %v", err)
	}
	text, err := os.ReadFile(target)
	must(t, err)
	if string(text) != "root's" {
		t.Errorf("the target holds %q", text)
	}
}

// TestFoundConfiguration takes no configuration of a stranger's that lies where root happens to be.
func TestFoundConfiguration(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("Caddyfile", fmt.Appendf(nil, "{\nadmin off\n}\nhttp://%s {\nmatrix_auth %s %s {\ndatabase /nowhere/x.db\n}\n}\n", testHost, testServerName, testIssuer), 0o644))
	run := func(args ...string) error {
		root := &cobra.Command{Use: "matrix-auth"}
		command.CobraFunc(root)
		root.AddCommand(operatorCommandOfTest())
		root.SetErr(new(bytes.Buffer))
		root.SetOut(new(bytes.Buffer))
		root.SetArgs(append([]string{"reach"}, args...))
		return root.ExecuteContext(t.Context())
	}
	want := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	want(run(), "there is no database at")
	must(t, os.Chown("Caddyfile", stranger, stranger))
	want(run(), "./Caddyfile belongs to another user")
	want(run("--config", "Caddyfile"), "there is no database at")
	want(run("--service-user", fmt.Sprint(stranger)), "there is no database at")
}

// TestConfigurationOfAnother reads for a configuration only what its owner may read: who has taken over the user
// that it belongs to would have root send a file of root's, as the secret, to an address of their choice (KEY-14).
func TestConfigurationOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	dir, err := os.MkdirTemp("", "ma")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	file := func(name string, uid, gid int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, errors.Join(os.WriteFile(path, []byte("what-only-some-may-read"), mode), os.Chown(path, uid, gid)))
		return path
	}
	roots, theirs, lent := file("roots", 0, 0, 0o640), file("theirs", stranger, stranger, 0o600), file("lent", 0, stranger, 0o640)
	link := filepath.Join(dir, "link")
	must(t, errors.Join(os.Symlink(roots, link), os.Lchown(link, stranger, stranger)))
	const refused = "with the rights of nobody"
	for name, test := range map[string]struct {
		secret string
		owner  int
		want   string
	}{
		"a_file_of_root's":                 {"secret_file " + roots, stranger, refused},
		"a_link_to_it":                     {"secret_file " + link, stranger, refused},
		"a_placeholder_for_it":             {"secret {file." + roots + "}", stranger, "secret"},
		"a_file_of_their_own":              {"secret_file " + theirs, stranger, "there is no database at"},
		"a_file_of_root's_for_their_group": {"secret_file " + lent, stranger, "there is no database at"},
		"root's_in_root's":                 {"secret_file " + roots, 0, "there is no database at"},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(dir, "Caddyfile")
			must(t, os.WriteFile(config, fmt.Appendf(nil, "{\nadmin off\n}\nhttp://%s {\nmatrix_auth %s %s {\ndatabase /nowhere/x.db\nmatrix {\n%s\n}\n}\n}\n",
				testHost, testServerName, testIssuer, test.secret), 0o644))
			must(t, os.Chown(config, test.owner, test.owner))
			root := &cobra.Command{Use: "matrix-auth"}
			command.CobraFunc(root)
			root.AddCommand(operatorCommandOfTest())
			root.SetErr(new(bytes.Buffer))
			root.SetOut(new(bytes.Buffer))
			root.SetArgs([]string{"reach", "--config", config})
			before, err := os.Getgroups()
			must(t, err)
			if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			after, err := os.Getgroups()
			must(t, err)
			if _, err := os.ReadFile(roots); err != nil || !slices.Equal(before, after) {
				t.Errorf("root is less than before: %v, groups %v", err, after)
			}
		})
	}
}
