package tests

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// demo runs the script of "make demo" in a folder and on ports of its own.
type demo struct {
	t   *testing.T
	env []string
}

func newDemo(t *testing.T) *demo {
	dir := t.TempDir()
	port := func() string { return strconv.Itoa(rig.FreePort(t)) }
	d := &demo{t, append(os.Environ(), "DEMO_DIR="+dir, "DEMO_HTTPS_PORT="+port(), "DEMO_SYNAPSE_PORT="+port(), "DEMO_INTERNAL_PORT="+port())}
	t.Cleanup(func() {
		if out, err := d.run("stop"); err != nil {
			t.Errorf("stop: %v\n%s", err, out)
		}
	})
	return d
}

func (d *demo) run(verb string, env ...string) (string, error) {
	cmd := exec.Command(filepath.Join(rig.Tests(), "demo.sh"), verb)
	cmd.Env = append(append([]string{}, d.env...), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestDemo runs the demo as the README says: it prints a login that works, a second start reuses all
// of it, and a port that is taken is a sentence.
func TestDemo(t *testing.T) {
	d := newDemo(t)
	out, err := d.run("start")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	login := regexp.MustCompile(`(?s)curl --cacert .*?'\n`).FindString(out)
	answer, err := exec.Command("sh", "-c", login).Output()
	if err != nil || !strings.Contains(string(answer), `"access_token":"mct_`) {
		t.Fatalf("the printed login %q gave %v: %s", login, err, answer)
	}
	again, err := d.run("start")
	if err != nil || strings.Contains(again, "starting") || strings.Contains(again, "building") {
		t.Fatalf("the second start did not reuse the first: %v\n%s", err, again)
	}
	if out, err := d.run("stop"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	out, err = d.run("start", "DEMO_SYNAPSE_PORT="+port)
	if want := fmt.Sprintf("port %s is in use", port); err == nil || !strings.Contains(out, want) {
		t.Fatalf("got %v\n%s", err, out)
	}
}
