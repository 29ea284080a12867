package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// neededGo is the version of Go that go.mod asks for.
func neededGo(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Tests(), "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(text))
	if found == nil {
		t.Fatal("go.mod names no version of Go")
	}
	return found[1]
}

// goThatSays writes a program "go" that is of the version local, and in the checkout of the version chosen, as if it
// had fetched that; empty for a Go that refuses to work there.
func goThatSays(t *testing.T, folder, local, chosen, toolchain string) {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh
[ "$1" = env ] || exit 9
case $2 in
GOTOOLCHAIN) echo '%[3]s' ;;
GOVERSION)
	if [ "$PWD" = / ]; then echo '%[1]s'; exit; fi
	[ -n '%[2]s' ] || { echo 'go: go.mod requires another version' >&2; exit 1; }
	echo '%[2]s' ;;
esac
`, local, chosen, toolchain)
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestXcaddyWithout runs the build on machines on which it cannot succeed: it says so before anything is downloaded,
// and what to install.
func TestXcaddyWithout(t *testing.T) {
	needed := neededGo(t)
	install := "install Go " + needed + " or newer from its own site, as Debian's package golang-go is older, and put its bin folder first in PATH\n"
	for _, c := range []struct{ name, local, chosen, toolchain, want string }{
		{"no_go", "", "", "", "xcaddy.sh: Go is missing; " + install},
		{"go_of_bookworm", "go1.19.8", "go1.19.8", "", "xcaddy.sh: GO is go1.19.8, which is too old; " + install},
		{"go_of_bookworm_that_cannot_read_go.mod", "go1.19.8", "", "", "xcaddy.sh: GO is go1.19.8, which is too old; " + install},
		{"go_of_trixie", "go1.24.4", "", "local", "xcaddy.sh: GO is go1.24.4, which is too old; have it fetch a newer one by GOTOOLCHAIN=auto in the environment of this script, or " + install},
		{"go_that_cannot_fetch", "go1.24.4", "", "auto", "xcaddy.sh: GO is go1.24.4, which is too old; it could not fetch a newer one by itself; " + install},
		{"go_without_a_word", "", "", "", "xcaddy.sh: GO is a Go without a version, which is too old; " + install},
		{"go_that_fetched", "go1.24.4", "go" + needed, "auto", ""},
		{"the_right_go", "go" + needed, "go" + needed, "local", ""},
		{"a_newer_go", "go1.99", "go1.99", "local", ""},
		{"a_later_major_version", "go2.0", "go2.0", "local", ""},
		{"a_release_candidate", "go1.99rc1", "go1.99rc1", "local", ""},
		{"a_development_version", "devel go1.99-abcdef", "devel go1.99-abcdef", "local", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			programs := t.TempDir()
			for _, name := range []string{"dirname", "gcc"} {
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(programs, name)); err != nil {
					t.Fatal(err)
				}
			}
			if c.name != "no_go" {
				goThatSays(t, programs, c.local, c.chosen, c.toolchain)
			}
			cmd := exec.Command(filepath.Join(rig.Tests(), "..", "xcaddy.sh"), "--check")
			cmd.Env = []string{"PATH=" + programs}
			out, err := cmd.CombinedOutput()
			want := strings.ReplaceAll(c.want, "GO is ", filepath.Join(programs, "go")+" is ")
			if (err == nil) != (c.want == "") || string(out) != want {
				t.Errorf("got %v\n%s\nwant %s", err, out, want)
			}
		})
	}
}

// wantCheckoutVersion holds that a binary of xcaddy.sh says of which commit of the checkout it is.
func wantCheckoutVersion(t *testing.T, binary string) {
	t.Helper()
	said, err := exec.Command(binary, "matrix-auth", "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	described, err := exec.Command("git", "-C", filepath.Join(rig.Tests(), ".."), "describe", "--tags", "--match", "v[0-9]*", "--always").Output()
	if err != nil {
		t.Fatalf("the checkout has no history: %v", err)
	}
	if want := "matrix-auth " + strings.TrimSpace(string(described)); !strings.HasPrefix(string(said), want) {
		t.Errorf("the binary says %q, and git %q", said, want)
	}
}
