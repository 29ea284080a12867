package tests

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// demo runs the script of "make demo" in a folder and on ports of its own.
type demo struct {
	t   *testing.T
	dir string
	env []string
}

func newDemo(t *testing.T) *demo {
	dir := t.TempDir()
	port := func() string { return strconv.Itoa(rig.FreePort(t)) }
	d := &demo{t, dir, append(os.Environ(), "DEMO_DIR="+dir, "DEMO_HTTPS_PORT="+port(), "DEMO_SYNAPSE_PORT="+port(), "DEMO_INTERNAL_PORT="+port())}
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
	wantCheckoutVersion(t, filepath.Join(d.dir, "caddy"))
	login := regexp.MustCompile(`(?s)curl --cacert .*?'\n`).FindString(out)
	answer, err := exec.Command("sh", "-c", login).Output()
	if err != nil || !strings.Contains(string(answer), `"access_token":"mct_`) {
		t.Fatalf("the printed login %q gave %v: %s", login, err, answer)
	}
	t.Run("the_doctor_is_content", func(t *testing.T) { d.testDoctor(t, out) })
	t.Run("people_register_and_mail_is_a_file", func(t *testing.T) { d.testMail(t, out) })
	again, err := d.run("start")
	if err != nil || strings.Contains(again, "starting") || strings.Contains(again, "building") {
		t.Fatalf("the second start did not reuse the first: %v\n%s", err, again)
	}
	if out, err := d.run("stop"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("a_port_in_use_is_a_sentence", d.testPorts)
}

// testMail opens the page for registering that the demo prints, and has a mail sent.
func (d *demo) testMail(t *testing.T, printed string) {
	page := regexp.MustCompile(`Register +(https://\S+) .*trusts (\S+),`).FindStringSubmatch(printed)
	if page == nil {
		t.Fatalf("it prints no page for registering:\n%s", printed)
	}
	if out, err := exec.Command("curl", "-fsS", "--cacert", page[2], page[1]).Output(); err != nil || !strings.Contains(string(out), "Create an account") {
		t.Errorf("%s: %v\n%s", page[1], err, out)
	}
	if out, err := exec.Command(filepath.Join(d.dir, "caddy"), "matrix-auth", "mail", "test", "somebody@example.org", "--config", filepath.Join(d.dir, "Caddyfile")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "mail", "*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %q", err, files)
	}
	if text, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(text), "To: <somebody@example.org>") && !strings.Contains(string(text), "To: somebody@example.org") {
		t.Errorf("%v\n%s", err, text)
	}
}

// testDoctor runs the doctor as the demo prints it, in the environment of whoever reads that.
func (d *demo) testDoctor(t *testing.T, printed string) {
	doctor := regexp.MustCompile(`Doctor: +(.*)\n`).FindStringSubmatch(printed)
	if doctor == nil {
		t.Fatalf("it prints no doctor:\n%s", printed)
	}
	out, err := exec.Command("sh", "-c", doctor[1]+" --json").Output()
	var found []finding
	if err != nil || json.Unmarshal(out, &found) != nil {
		t.Fatalf("%s gave %v:\n%s", doctor[1], err, out)
	}
	for _, id := range []string{"well-known", "public-routes", "synapses-call-to-us", "homeserver.yaml", "accounts-and-devices"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.ID == id && f.OK }) {
			t.Errorf("it does not say that %s is well:\n%s", id, out)
		}
	}
	// Without the authority it names the flag, and nothing but the certificates.
	out, err = exec.Command("sh", "-c", regexp.MustCompile(`--ca-file \S+`).ReplaceAllString(doctor[1], "")+" --json").Output()
	if err == nil || json.Unmarshal(out, &found) != nil {
		t.Fatalf("without the authority: %v\n%s", err, out)
	}
	for _, f := range found {
		if !f.OK && (f.ID != "certificate/unknown-authority" || !strings.Contains(f.Change, "--ca-file")) {
			t.Errorf("without the authority it says %+v", f)
		}
	}
}

func (d *demo) testPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"DEMO_SYNAPSE_PORT", "DEMO_HTTPS_PORT", "DEMO_INTERNAL_PORT"} {
		out, err := d.run("start", name+"="+port)
		want := fmt.Sprintf("port %s is in use by another program; stop it, or choose another one: %s=", port, name)
		if err == nil || !strings.Contains(out, want) || strings.Contains(out, "starting") {
			t.Errorf("got %v\n%s\nwant %s", err, out, want)
		}
	}
}

// TestDemoWithout runs the demo on machines that lack something: it says so before it does anything
// that takes time, and gives the one command that helps.
func TestDemoWithout(t *testing.T) {
	all := []string{"bash", "env", "dirname", "cat", "tr", "grep", "curl", "setsid", "gcc", "python3", "go"}
	for _, c := range []struct {
		name    string
		missing []string
		want    string
	}{
		{"a_compiler", []string{"gcc"}, "demo: some programs are missing; on Debian: sudo apt-get install gcc libc6-dev\n"},
		{"curl", []string{"curl"}, "demo: some programs are missing; on Debian: sudo apt-get install curl\n"},
		{"python", []string{"python3"}, "demo: some programs are missing; on Debian: sudo apt-get install python3 python3-venv\n"},
		{"venv", []string{"venv"}, "demo: some programs are missing; on Debian: sudo apt-get install python3 python3-venv\n"},
		{"anything", []string{"curl", "gcc", "python3"}, "demo: some programs are missing; on Debian: sudo apt-get install curl gcc libc6-dev python3 python3-venv\n"},
		{"go", []string{"go"}, "xcaddy.sh: Go is missing; install Go 1.26.0 or newer from its own site, as Debian's package golang-go is older, and put its bin folder first in PATH\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			programs := t.TempDir()
			for _, name := range all {
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(c.missing, name) {
					continue
				}
				if name == "python3" { // what is found first may be a script that needs more programs
					out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output()
					if err != nil {
						t.Fatal(err)
					}
					path = strings.TrimSpace(string(out))
				}
				// No links: Python looks for its library beside itself.
				script := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", path)
				if name == "python3" && slices.Contains(c.missing, "venv") {
					script = "#!/bin/sh\necho 'No module named ensurepip' >&2\nexit 1\n"
				}
				err = os.WriteFile(filepath.Join(programs, name), []byte(script), 0o700)
				if err != nil {
					t.Fatal(err)
				}
			}
			d := newDemo(t)
			out, err := d.run("start", "PATH="+programs, "CC=")
			if err == nil || out != c.want {
				t.Errorf("got %v\n%s\nwant %s", err, out, c.want)
			}
		})
	}
}
