package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guarded is a directory that nobody but root and its owner can have put anything into, with a database of that owner.
func guarded(t *testing.T, owner int) (database string) {
	t.Helper()
	asRoot(t)
	dir, err := os.MkdirTemp("/var/lib", "matrix-auth-test-")
	if err != nil {
		t.Skip("no directory of root's can be written:", err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	database = filepath.Join(dir, "x.db")
	must(t, os.WriteFile(database, nil, 0o600))
	for _, path := range []string{database, dir} {
		must(t, os.Chown(path, owner, owner))
	}
	return database
}

// as runs f as another user: Linux keeps the user for each thread. The thread ends with its goroutine.
func as(t *testing.T, uid int, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- errno
			return
		}
		done <- f()
	}()
	must(t, <-done)
}

// answering answers what is asked at the socket of a database, as a process of a user, and counts it.
func answering(t *testing.T, uid int, database string) *atomic.Int32 {
	t.Helper()
	var listener net.Listener
	as(t, uid, func() (err error) {
		listener, err = place.Listen(SocketPath(database))
		return err
	})
	var told atomic.Int32
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		told.Add(1)
		_, _ = io.WriteString(w, "{}")
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(listener) }()
	t.Cleanup(func() { must(t, s.Close()); <-ended })
	return &told
}

// ask sends a password to the server of a target.
func ask(t *testing.T, target Target) error {
	t.Helper()
	c, err := Dial(t.Context(), target)
	if err != nil {
		return err
	}
	_, err = c.Perform(t.Context(), "user.add", []byte(`{"password":"correct horse battery"}`))
	return errors.Join(err, c.Close())
}

// TestWhoIsBelieved tells passwords to nobody but root, the caller, who is named, and the owner of a database that
// nobody else can have put there (KEY-14).
func TestWhoIsBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		server, owner int
		// change makes something of the database or its socket worse.
		change  func(t *testing.T, database string)
		target  Target
		refused bool
	}{
		"the owner of a well-guarded database": {server: stranger, owner: stranger},
		"by hearsay":                           {server: stranger, owner: stranger, target: Target{Learned: true}, refused: true},
		"by hearsay, and named":                {server: stranger, owner: stranger, target: Target{Learned: true, Users: []int{stranger}}},
		"a database that others can exchange": {server: stranger, owner: stranger, refused: true,
			change: func(t *testing.T, database string) { must(t, os.Chmod(filepath.Dir(database), 0o777)) }},
		"another user than the owner": {server: 12345, owner: stranger, refused: true},
		// Root holds sockets for services, whose processes answer there.
		"a socket that root made for somebody": {server: 0, owner: 0, refused: true,
			change: func(t *testing.T, database string) { must(t, os.Chown(SocketPath(database), stranger, stranger)) }},
		"root": {server: 0, owner: 0},
	} {
		t.Run(name, func(t *testing.T) {
			database := guarded(t, c.owner)
			if c.server != c.owner { // who can make a socket there at all
				must(t, os.Chmod(filepath.Dir(database), 0o777))
			}
			told := answering(t, c.server, database)
			must(t, os.Chmod(filepath.Dir(database), 0o755))
			if c.change != nil {
				c.change(t, database)
			}
			c.target.Database = database
			err := ask(t, c.target)
			if c.refused && (err == nil || !strings.Contains(err.Error(), "is told nothing") || told.Load() != 0) || !c.refused && (err != nil || told.Load() != 1) {
				t.Errorf("told %d times: %v", told.Load(), err)
			}
		})
	}
}

// witness is operations that tell who asked for what.
type witness struct{}

func (witness) Perform(_ context.Context, by model.Actor, name string, params []byte) ([]byte, error) {
	return json.Marshal([]string{by.ID, name, string(params)})
}

func (witness) Copy(_ context.Context, by model.Actor, begin func(size int64) io.Writer) error {
	_, err := begin(int64(len(by.ID))).Write([]byte(by.ID))
	return err
}

// serve serves the socket of a new database.
func serve(t *testing.T, operations func() Operations) (database string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ma") // short, for sockets
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	database = filepath.Join(dir, "x.db")
	s, err := Listen(database, operations)
	must(t, err)
	ended := make(chan error)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() { must(t, errors.Join(s.Close(), <-ended)) })
	return database
}

// TestSocket is for the owner of the database alone, whatever the umask: who can open it can do all that the commands
// can. What is done is done in the name of whoever asks (KEY-14).
func TestSocket(t *testing.T) {
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	database := serve(t, func() Operations { return witness{} })
	t.Run("its mode", func(t *testing.T) {
		info, err := os.Lstat(SocketPath(database))
		must(t, err)
		if info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("its mode is %v", info.Mode())
		}
	})
	t.Run("a stranger", func(t *testing.T) {
		asRoot(t)
		as(t, stranger, func() error {
			conn, err := net.Dial("unix", SocketPath(database))
			if err == nil {
				_ = conn.Close()
			}
			if !errors.Is(err, os.ErrPermission) {
				t.Errorf("got %v", err)
			}
			return nil
		})
	})
	perform := func(t *testing.T) string {
		t.Helper()
		c, err := Dial(t.Context(), Target{Database: database})
		must(t, err)
		defer func() { must(t, c.Close()) }()
		got, err := c.Perform(t.Context(), "user.add", []byte(`{}`))
		must(t, err)
		return string(got)
	}
	t.Run("who asks", func(t *testing.T) {
		if got, want := perform(t), `["`+strconv.Itoa(os.Geteuid())+`","user.add","{}"]`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		var copied strings.Builder
		c, err := Dial(t.Context(), Target{Database: database})
		must(t, err)
		must(t, errors.Join(c.Copy(t.Context(), &copied), c.Close()))
		if copied.String() != strconv.Itoa(os.Geteuid()) {
			t.Errorf("the copy was made for %q", copied.String())
		}
	})
	t.Run("another user who may, as the owner lets them", func(t *testing.T) {
		asRoot(t)
		must(t, os.Chmod(SocketPath(database), 0o666))
		as(t, stranger, func() error {
			conn, err := net.Dial("unix", SocketPath(database))
			if err != nil {
				return err
			}
			defer conn.Close()
			r, err := http.NewRequest(http.MethodPost, "http://server/user.add", strings.NewReader("{}"))
			if err != nil {
				return err
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
			response, err := client.Do(r)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			if want := `["` + strconv.Itoa(stranger) + `","user.add","{}"]`; string(got) != want {
				t.Errorf("got %s, want %s", got, want)
			}
			return err
		})
	})
}

// TestSocketWithoutOperations refuses in a way that says to try again.
func TestSocketWithoutOperations(t *testing.T) {
	database := serve(t, func() Operations { return nil })
	err := ask(t, Target{Database: database})
	var refused *model.Error
	if !errors.As(err, &refused) || refused.Code != model.TemporarilyDown {
		t.Errorf("got %v", err)
	}
}

// TestSocketOfKilledServer takes the place of what a server left that was killed.
func TestSocketOfKilledServer(t *testing.T) {
	database := filepath.Join(t.TempDir(), "x.db")
	must(t, os.WriteFile(SocketPath(database), nil, 0o600))
	s, err := Listen(database, func() Operations { return nil })
	must(t, err)
	ended := make(chan error)
	go func() { ended <- s.Serve() }()
	c, err := Dial(t.Context(), Target{Database: database})
	must(t, errors.Join(err, c.Close(), s.Close(), <-ended))
	if _, err := Dial(t.Context(), Target{Database: database}); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v", err)
	}
}

// TestPrivate takes a directory for temporary files only if it is the owner's of the database, and closed to others
// (KEY-14).
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	database, of := filepath.Join(dir, "x.db"), filepath.Join(dir, "socket")
	must(t, os.WriteFile(database, nil, 0o600))
	must(t, os.Mkdir(of, 0o700))
	must(t, private(of, database))
	refused := func(why string) {
		t.Helper()
		if err := private(of, database); err == nil || !strings.Contains(err.Error(), "not a private directory") {
			t.Errorf("%s: %v", why, err)
		}
	}
	for _, mode := range []os.FileMode{0o701, 0o710, 0o720, 0o704, 0o777} {
		must(t, os.Chmod(of, mode))
		refused(mode.String())
	}
	must(t, os.Chmod(of, 0o700))
	must(t, os.Rename(of, of+".d"))
	must(t, os.Symlink(of+".d", of))
	refused("a link")
	must(t, os.Remove(of))
	must(t, os.WriteFile(of, nil, 0o600))
	refused("a file")
	must(t, os.Remove(of))
	if err := private(of, database); err == nil {
		t.Error("what is not there is taken")
	}
	if os.Geteuid() == 0 {
		must(t, os.Mkdir(of, 0o700))
		must(t, os.Chown(of, stranger, stranger))
		refused("a stranger's")
	}
}
