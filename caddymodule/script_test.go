package caddymodule

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the commands as an operator does, by scripts that read as a session at a terminal.
func TestScript(t *testing.T) {
	synapse := httptest.NewServer(http.HandlerFunc(agreeable))
	t.Cleanup(synapse.Close) // scripts run when this function has returned
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("IN_SCRIPT", "1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector each program sleeps a second at its end
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", e.WorkDir+"/data")
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Setenv("MATRIX_SECRET", "secret-of-the-environment")
			e.Setenv("SYNAPSE", synapse.URL)
			for _, name := range []string{"SITE", "INTERNAL", "ADMIN"} {
				address, err := unusedAddress()
				if err != nil {
					return err
				}
				e.Setenv(name, address)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "expand": expand, "fetch": fetch},
	})
}

// agreeable is a homeserver that agrees to everything.
func agreeable(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/delete_device") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{}`)
}

func unusedAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await URL waits until a server answers with 200: Caddy's sites may answer before ours is ready.
func await(ts *testscript.TestScript, _ bool, args []string) {
	const deadline = time.Minute
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(args[0])
		if err != nil {
			continue
		}
		ts.Check(response.Body.Close())
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s did not answer within %s", args[0], deadline)
}

// expand FILE... replaces the script's variables in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		text, err := os.ReadFile(path)
		ts.Check(err)
		ts.Check(os.WriteFile(path, []byte(os.Expand(string(text), ts.Getenv)), 0o600))
	}
}

// fetch INTO URL [BODY] keeps the answer to a GET, or to a POST of a file, whatever its status.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequest(http.MethodGet, args[1], nil)
	if len(args) > 2 {
		request, err = http.NewRequest(http.MethodPost, args[1], strings.NewReader(ts.ReadFile(args[2])))
	}
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer mct_000000000000000000000000000000_000000")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), body, 0o600))
}
