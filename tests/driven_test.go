package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// driven is a client in a process of its own, which a test leads step by step: drive.mjs and nio_drive.py.
type driven struct {
	t       *testing.T
	name    string
	cmd     *exec.Cmd
	input   io.WriteCloser
	answers chan drivenAnswer
	said    *bytes.Buffer // what it wrote to standard error, complete once answers is closed and the process has ended
}

type drivenAnswer struct {
	Value   json.RawMessage
	Failure string
}

// driveSDK starts matrix-js-sdk with Rust crypto in a browser. It comes by way of a proxy, which tells that the browser is
// at an address; empty for no proxy.
func driveSDK(t *testing.T, h *rig.Homeserver, address string) *driven {
	t.Helper()
	args := []string{rig.Script(t, "sdk_drive.mjs"), h.URL}
	if address != "" {
		site, err := url.Parse(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(site)
				r.Out.Header.Set("X-Forwarded-For", address)
			},
			ErrorLog: log.New(io.Discard, "", 0), // of a server that is stopped
		})
		t.Cleanup(proxy.Close)
		args = append(args, "MAP "+site.Host+" "+proxy.Listener.Addr().String())
	}
	return drive(t, "matrix-js-sdk", rig.Node(t), args...)
}

// driveNio starts a bot on matrix-nio whose keys are in a folder.
func driveNio(t *testing.T, h *rig.Homeserver) *driven {
	t.Helper()
	return drive(t, "matrix-nio", rig.Cache(t, "nio", "bin", "python"), filepath.Join(rig.Tests(), "clients", "nio_drive.py"), h.URL, t.TempDir())
}

func drive(t *testing.T, name, program string, args ...string) *driven {
	t.Helper()
	// The script takes its browser to a site of every client, as all scripts do; this one has a site of its own.
	site := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(site.Close)
	d := &driven{t: t, name: name, cmd: exec.Command(program, args...), answers: make(chan drivenAnswer), said: &bytes.Buffer{}}
	d.cmd.Env = append(os.Environ(), "CLIENT_SITE="+site.Listener.Addr().String())
	// A browser that the script has started holds the pipes open when the script is killed.
	d.cmd.Stderr, d.cmd.WaitDelay = d.said, 5*time.Second
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.input = in
	go d.listen(out)
	t.Cleanup(d.end)
	return d
}

// listen hands on each answer; a library may talk between them.
func (d *driven) listen(out io.Reader) {
	defer close(d.answers)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var answer drivenAnswer
		if json.Unmarshal(lines.Bytes(), &answer) == nil && (answer.Value != nil || answer.Failure != "") {
			d.answers <- answer
		}
	}
}

// end closes the input, upon which the client ends by itself.
func (d *driven) end() {
	closing := d.input.Close()
	late := time.AfterFunc(rig.Deadline, func() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	for range d.answers { // none is expected any more
	}
	if err := errors.Join(closing, d.cmd.Wait()); err != nil {
		d.t.Errorf("%s: %v\n%s", d.name, err, d.said)
	}
}

// try has the client do something, and returns what came of it, or why it failed.
func (d *driven) try(name string, args ...any) (value json.RawMessage, failure string) {
	d.t.Helper()
	if args == nil {
		args = []any{}
	}
	line, err := json.Marshal(map[string]any{"name": name, "args": args})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.input.Write(append(line, '\n')); err != nil {
		d.t.Fatalf("%s: %s: %v", d.name, name, err)
	}
	began := time.Now()
	select {
	case answer, open := <-d.answers:
		if !open {
			d.t.Fatalf("%s: %s: the client ended", d.name, name)
		}
		d.t.Logf("%s: %s: after %s", d.name, name, time.Since(began).Round(time.Millisecond))
		return answer.Value, answer.Failure
	case <-time.After(rig.Deadline):
		d.t.Fatalf("%s: %s: no answer within %s", d.name, name, rig.Deadline)
	}
	return nil, ""
}

// do is try for what must succeed.
func (d *driven) do(name string, args ...any) json.RawMessage {
	d.t.Helper()
	value, failure := d.try(name, args...)
	if failure != "" {
		d.t.Fatalf("%s: %s: %s", d.name, name, failure)
	}
	return value
}

// asked is do with the answer as a value.
func asked[T any](d *driven, name string, args ...any) (value T) {
	d.t.Helper()
	if err := json.Unmarshal(d.do(name, args...), &value); err != nil {
		d.t.Fatalf("%s: %s: %v", d.name, name, err)
	}
	return value
}

// in is the client for a test within the one that started it.
func (d *driven) in(t *testing.T) *driven {
	within := *d
	within.t = t
	return &within
}
