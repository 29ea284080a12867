// Package rig runs the real parts of a homeserver for tests: Synapse from its virtual environment and
// Caddy with the module, on free ports of the loopback, with their files in the test's directory.
package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Deadline bounds every wait for a real process. It is generous, as nothing is measured by it.
const Deadline = 90 * time.Second

// Await polls until ready gives nil, and fails the test at the deadline with the last reason.
func Await(t testing.TB, what string, ready func() error) {
	t.Helper()
	if err := await(ready, nil); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func await(ready func() error, gone <-chan struct{}) error {
	end := time.Now().Add(Deadline)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %w", Deadline, err)
		}
		select {
		case <-gone:
			return fmt.Errorf("the process ended: %w", err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// process is a program that runs beside the test.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// starter starts programs from one thread that lives as long as the test binary: the kernel ends
// them when that thread ends, so that nothing is left even after a panic or a time-out.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// launch starts a program whose output goes to a log file.
func launch(dir, log string, env []string, name string, args ...string) (*process, error) {
	return launchAs(0, dir, log, env, name, args...)
}

// launchAs is launch for a program that runs as another user, by their id; zero is whoever runs the tests.
func launchAs(user int, dir, log string, env []string, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// end sends a signal and waits for the end.
func (p *process) end(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(Deadline):
		return errors.Join(fmt.Errorf("process %d did not end on %s", p.cmd.Process.Pid, signal), p.cmd.Process.Kill())
	}
}

// showLog prints the end of a log if the test failed.
func showLog(t testing.TB, path string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Logf("%s: %v", path, err)
			return
		}
		const tail = 6000
		if len(text) > tail {
			text = text[len(text)-tail:]
		}
		t.Logf("%s:\n%s", filepath.Base(path), text)
	})
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// FreePort returns a loopback port that nobody listens on, and never the same twice in a process.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 100 {
		// Below the ports that systems hand out to the connections of clients, so that none of those takes it
		// before the server does.
		port := 10_000 + rand.N(22_000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // it is in use
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port was found")
	return 0
}

// Tests is the directory of the tests.
var Tests = sync.OnceValue(func() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("the source of the rig is not known")
	}
	return filepath.Dir(filepath.Dir(file))
})

// Cache is a path below the directory into which setup.sh installs. A test fails if it is missing.
func Cache(t testing.TB, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Tests(), ".cache"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing; run tests/setup.sh", strings.TrimPrefix(path, Tests()+"/"))
	}
	return path
}

// Node is the Node.js of the tests.
func Node(t testing.TB) string {
	t.Helper()
	return Cache(t, "node", "node_modules", ".bin", "node")
}

// Script puts the scripts of the directory clients beside the Node packages, where their imports are
// found, and gives the path of one.
func Script(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(Cache(t, "node"), "script-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(Tests(), "clients"))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}
