package matrixauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/control"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// stranger is a user who is nobody that is believed.
const stranger = 65534

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
}

// theirDir is a directory of the stranger below one that everybody may pass. Its path is short, for sockets.
func theirDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ma")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, stranger, stranger))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// listenAs listens on a socket as another user: Linux keeps the user for each thread, and tells peers that
// of the one which began to listen. The thread ends with its goroutine.
func listenAs(t *testing.T, uid int, path string) net.Listener {
	t.Helper()
	type result struct {
		net.Listener
		error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- result{nil, errno}
			return
		}
		l, err := place.Listen(path)
		done <- result{l, err}
	}()
	r := <-done
	if r.error != nil {
		t.Fatal(r.error)
	}
	t.Cleanup(func() { _ = r.Listener.Close() })
	return r.Listener
}

// impostor answers orders in the place of a server, and counts those that it was told.
func impostor(t *testing.T, l net.Listener) *atomic.Int32 {
	t.Helper()
	var told atomic.Int32
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		told.Add(1)
		_, _ = fmt.Fprint(w, `{"matrix_id":"@alice:example.test"}`)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return &told
}

// TestWhoAnswers tells passwords to nobody but a server of a user who is believed (KEY-14).
func TestWhoAnswers(t *testing.T) {
	asRoot(t)
	setPassword := func(target Target) error {
		o, err := ReachServer(t.Context(), target)
		if err != nil {
			return err
		}
		_, err = AddUser.Do(t.Context(), o, NewUser{Localpart: "alice", Password: "correct horse battery"})
		return errors.Join(err, o.Close())
	}
	for name, test := range map[string]struct {
		uid    int
		target Target
		want   string // empty if the server is believed
	}{
		"a stranger, by hearsay":             {stranger, Target{Learned: true}, "is told nothing"},
		"a stranger, at the configured path": {stranger, Target{}, "is told nothing"},
		"a stranger, beside another user":    {stranger, Target{Learned: true, Users: []int{12345}}, "--service-user"},
		"a user who is named":                {stranger, Target{Learned: true, Users: []int{stranger}}, ""},
		"root, by hearsay":                   {0, Target{Learned: true}, ""},
		"the caller, at the configured path": {os.Geteuid(), Target{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.target.Database = filepath.Join(theirDir(t), "x.db")
			told := impostor(t, listenAs(t, test.uid, control.SocketPath(test.target.Database)))
			err := setPassword(test.target)
			if test.want == "" {
				if err != nil || told.Load() != 1 {
					t.Fatalf("told %d times: %v", told.Load(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || told.Load() != 0 {
				t.Fatalf("told %d times: %v", told.Load(), err)
			}
			// Nor does the command go around the server.
			if _, err := Reach(t.Context(), test.target, Config{}, Deps{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
	t.Run("the socket is exchanged after the first look", func(t *testing.T) {
		path := filepath.Join(theirDir(t), "x.db")
		trusted := listenAs(t, 0, control.SocketPath(path))
		told := impostor(t, trusted)
		o, err := ReachServer(t.Context(), Target{Database: path, Learned: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := trusted.Close(); err != nil {
			t.Fatal(err)
		}
		theirs := impostor(t, listenAs(t, stranger, control.SocketPath(path)))
		_, err = AddUser.Do(t.Context(), o, NewUser{Localpart: "alice", Password: "correct horse battery"})
		if err == nil || told.Load()+theirs.Load() != 0 {
			t.Fatalf("told %d times: %v", theirs.Load(), err)
		}
	})
	t.Run("a link to the socket of another program", func(t *testing.T) {
		path, other := filepath.Join(theirDir(t), "x.db"), filepath.Join(t.TempDir(), "s")
		told := impostor(t, listenAs(t, 0, other))
		if err := os.Symlink(other, control.SocketPath(path)); err != nil {
			t.Fatal(err)
		}
		for _, learned := range []bool{true, false} {
			if err := setPassword(Target{Database: path, Learned: learned}); err == nil || !strings.Contains(err.Error(), "symbolic link") || told.Load() != 0 {
				t.Fatalf("told %d times: %v", told.Load(), err)
			}
		}
	})
	t.Run("at a path that is too long for an address", func(t *testing.T) {
		path := filepath.Join(theirDir(t), strings.Repeat("x", place.MaxSocketPath), "x.db")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.Chown(filepath.Dir(path), stranger, stranger)); err != nil {
			t.Fatal(err)
		}
		told := impostor(t, listenAs(t, stranger, control.SocketPath(path)))
		if err := setPassword(Target{Database: path, Learned: true}); err == nil || !strings.Contains(err.Error(), "is told nothing") || told.Load() != 0 {
			t.Fatalf("told %d times: %v", told.Load(), err)
		}
		if err := setPassword(Target{Database: path, Learned: true, Users: []int{stranger}}); err != nil || told.Load() != 1 {
			t.Fatalf("told %d times: %v", told.Load(), err)
		}
	})
	t.Run("a path from hearsay is never opened", func(t *testing.T) {
		dir := theirDir(t)
		path, target := filepath.Join(dir, "x.db"), filepath.Join(t.TempDir(), "target")
		for _, suffix := range []string{"", ".lock", "-wal"} {
			if err := errors.Join(os.WriteFile(target+suffix, []byte("the target"), 0o600), os.Symlink(target+suffix, path+suffix)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Reach(t.Context(), Target{Database: path, Learned: true}, Config{}, Deps{}); !errors.Is(err, ErrNoServer) {
			t.Fatalf("got %v", err)
		}
		for _, suffix := range []string{"", ".lock", "-wal"} {
			if text, err := os.ReadFile(target + suffix); err != nil || string(text) != "the target" {
				t.Errorf("%s holds %q, %v", suffix, text, err)
			}
		}
	})
}

// childDatabase names the database for the process that TestRootGoesOnAsTheOwner starts of itself.
const childDatabase = "MATRIX_AUTH_TEST_DATABASE"

// childCreates has that process make the database.
const childCreates = "MATRIX_AUTH_TEST_CREATE"

// TestRootGoesOnAsTheOwner has a process of root open the database of another user: it gives up root before
// it opens anything, so what it makes does not lock the owner out, and no link leads it to what is root's.
func TestRootGoesOnAsTheOwner(t *testing.T) {
	asRoot(t)
	if path := os.Getenv(childDatabase); path != "" {
		openAsChild(t, path)
		return
	}
	run := func(t *testing.T, path string, more ...string) (string, error) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestRootGoesOnAsTheOwner$", "-test.v")
		cmd.Env = append(append(os.Environ(), childDatabase+"="+path), more...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	// database makes one of the stranger.
	database := func(t *testing.T) (path string) {
		t.Helper()
		path = filepath.Join(theirDir(t), "x.db")
		core, err := Open(t.Context(), OpenOptions{Database: path, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := core.Close(); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{path, path + ".lock"} {
			if err := os.Chown(file, stranger, stranger); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	wantTheirs := func(t *testing.T, path string) {
		t.Helper()
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(filepath.WalkDir(filepath.Dir(path), func(file string, e fs.DirEntry, err error) error {
			must(err)
			info, err := e.Info()
			must(err)
			if owner, _ := place.Owner(info); owner != stranger {
				t.Errorf("%s belongs to %d", file, owner)
			}
			return nil
		}))
	}
	t.Run("what it makes is the owner's", func(t *testing.T) {
		path := database(t)
		if err := os.Remove(path + ".lock"); err != nil {
			t.Fatal(err)
		}
		out, err := run(t, path)
		if err != nil || !strings.Contains(out, fmt.Sprintf("acting as %s, uid %d %d", place.UserName(stranger), stranger, stranger)) {
			t.Fatalf("%v\n%s", err, out)
		}
		wantTheirs(t, path)
	})
	t.Run("a database that it makes, with what lies beside it, is the directory's owner's", func(t *testing.T) {
		path := filepath.Join(theirDir(t), "x.db")
		if out, err := run(t, path); err == nil {
			t.Fatalf("one was made that nobody asked for\n%s", out)
		}
		if out, err := run(t, path, childCreates+"=1"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, file := range []string{path, SealFile(path), KeyFile(path)} {
			if _, err := os.Lstat(file); err != nil {
				t.Error(err)
			}
		}
		wantTheirs(t, path)
	})
	for _, suffix := range []string{".lock", "-wal", "-shm"} {
		t.Run("a link planted as "+suffix, func(t *testing.T) {
			path, target := database(t), filepath.Join(t.TempDir(), "target")
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(target, []byte("the target"), 0o600), os.Symlink(target, path+suffix)); err != nil {
				t.Fatal(err)
			}
			if out, err := run(t, path); err == nil || !strings.Contains(out, "symbolic link") {
				t.Fatalf("%v\n%s", err, out)
			}
			if text, err := os.ReadFile(target); err != nil || string(text) != "the target" {
				t.Errorf("the target holds %q, %v", text, err)
			}
		})
	}
	t.Run("a database of root's in the owner's directory", func(t *testing.T) {
		path := database(t)
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, path); err == nil || !strings.Contains(out, "chown "+place.UserName(stranger)) {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	t.Run("a link in the place of the database", func(t *testing.T) {
		path := database(t)
		other := database(t)
		if err := errors.Join(os.Remove(path), os.Symlink(other, path)); err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, path); err == nil || !strings.Contains(out, "symbolic link") && !strings.Contains(out, "belongs to") {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}

func openAsChild(t *testing.T, path string) {
	config := Config{ServerName: "example.test", Issuer: "https://matrix.example.test", Secret: "the-shared-secret"}.WithDefaults()
	o, err := Reach(context.Background(), Target{Database: path, Create: os.Getenv(childCreates) != ""}, config, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("acting as %s, uid %d %d", o.ActingAs(), os.Getuid(), os.Geteuid())
	page, err := ListUsers.Do(context.Background(), o, UserQuery{})
	if err := errors.Join(err, o.Close()); err != nil || len(page.Users) != 0 {
		t.Fatal(page.Users, err)
	}
	if err := syscall.Setuid(0); err == nil {
		t.Error("the process became root again")
	}
}
