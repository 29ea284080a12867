package tests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// runChecks runs a Node script that prints the outcome of each of its checks, and reports every check as
// a test of its own.
func runChecks(t *testing.T, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*clientTime)
	defer cancel()
	// The site of every client to which a browser is sent.
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>client</title><link rel="icon" href="data:,"><h1>client</h1>`)
	}))
	defer site.Close()
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, rig.Node(t), append([]string{rig.Script(t, script)}, args...)...)
	// A browser that the script has started holds the pipes open when the script is killed.
	cmd.Stderr, cmd.WaitDelay = &problems, 5*time.Second
	cmd.Env = append(os.Environ(), "CLIENT_SITE="+site.Listener.Addr().String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	checks, failed := 0, false
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one struct {
			Name, Failure string
			MS            int
		}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil || one.Name == "" {
			problems.Write(append(lines.Bytes(), '\n'))
			continue
		}
		checks++
		t.Run(one.Name, func(t *testing.T) {
			if one.Failure != "" {
				failed = true
				t.Errorf("after %d ms: %s", one.MS, one.Failure)
			}
		})
	}
	if err := cmd.Wait(); err != nil && !failed || checks == 0 {
		t.Errorf("%s made %d checks: %v\n%s", script, checks, err, problems.String())
	}
}
