package caddymodule

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // Synapse's database
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestScript runs the commands as an operator does, by scripts that read as a session at a terminal.
func TestScript(t *testing.T) {
	schema, err := os.ReadFile("testdata/synapse.sql")
	must(t, err)
	homeserver := httptest.NewServer(http.HandlerFunc(agreeable))
	t.Cleanup(homeserver.Close) // scripts run when this function has returned
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("IN_SCRIPT", "1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector each program sleeps a second at its end
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", e.WorkDir+"/data")
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			e.Setenv("MATRIX_SECRET", "secret-of-the-environment")
			e.Setenv("SYNAPSE", homeserver.URL)
			for _, name := range []string{"SITE", "INTERNAL", "ADMIN"} {
				address, err := unusedAddress()
				if err != nil {
					return err
				}
				e.Setenv(name, address)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "code": code, "discreet": discreet, "expand": expand, "fetch": fetch, "synapse": synapse(string(schema))},
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

// unusedAddress returns a loopback address that nobody listens on. Its port is below those that systems hand
// out to the connections of clients, so that none of these takes it before the server does.
func unusedAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(22_000))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no port is free")
}

// secretsOfScripts are what no command may show: shared secrets, secrets of clients, passwords, and what
// tokens begin with.
var secretsOfScripts = []string{
	"secret-of-the-environment", "secret-of-the-portal", "secret-in-synapse", "another-secret", "old-admin-token", "old-client-secret",
	"token-in-synapse", "$2b$12$", "correct horse battery", "another long password", "password-in-an-address", "mct_", "mcr_",
}

// discreet PROGRAM ARGS... runs a program, which may fail, and looks for secrets in all that it writes.
func discreet(ts *testscript.TestScript, neg bool, args []string) {
	if err := ts.Exec(args[0], args[1:]...); (err == nil) == neg {
		ts.Fatalf("%v: %v\n%s%s", args, err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
	for _, stream := range []string{"stdout", "stderr"} {
		for _, secret := range secretsOfScripts {
			if strings.Contains(ts.ReadFile(stream), secret) {
				ts.Fatalf("%v shows %q on %s:\n%s", args, secret, stream, ts.ReadFile(stream))
			}
		}
	}
}

// code N PROGRAM ARGS... runs a program that exits with that code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v: %v, and not exit code %s\n%s%s", args[1:], err, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// synapse DATABASE SCRIPT runs a script of SQL on a database of Synapse's, which it makes if it is not there.
func synapse(schema string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		path, script := ts.MkAbs(args[0]), ts.ReadFile(args[1])
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			script = schema + script
		}
		db, err := sql.Open("sqlite3", path)
		ts.Check(err)
		_, err = db.Exec(script)
		ts.Check(errors.Join(err, db.Close()))
	}
}

// mayShow are the commands that exist to print a secret.
var mayShow = []string{"synapse-config", "token issue", "user recovery-link", "registration-token create", "registration-token show"}

// TestEveryCommandIsDiscreet holds that no command is missing in the script that looks for secrets (KEY-6).
func TestEveryCommandIsDiscreet(t *testing.T) {
	script, err := os.ReadFile("testdata/script/discreet.txtar")
	must(t, err)
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	var walk func(cmd *cobra.Command, path string)
	walk = func(cmd *cobra.Command, path string) {
		for _, child := range cmd.Commands() {
			name := strings.TrimSpace(path + " " + child.Name())
			if child.HasSubCommands() {
				walk(child, name)
				continue
			}
			if !slices.Contains(mayShow, name) && !strings.Contains(string(script), "discreet caddy matrix-auth "+name) {
				t.Errorf("testdata/script/discreet.txtar lacks %q", name)
			}
		}
	}
	walk(root, "")
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
