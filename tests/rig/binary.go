package rig

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// builds are the binaries of this run by their tags.
var builds = map[string]func() (string, error){
	"":          sync.OnceValues(func() (string, error) { return build("") }),
	"faulthook": sync.OnceValues(func() (string, error) { return build("faulthook") }),
}

// Binary builds Caddy with the module once and gives its path. The tag "faulthook" arms the places at
// which a test may make it die.
func Binary(t testing.TB, tag string) string {
	t.Helper()
	path, err := builds[tag]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(tag string) (string, error) {
	// Checkouts may share the cache, and each must meet the binary of its own code.
	checkout := fnv.New32a()
	_, _ = checkout.Write([]byte(Tests())) // a hash takes everything
	path := filepath.Join(Tests(), ".cache", "bin", fmt.Sprintf("caddy%s-%08x", tag, checkout.Sum32()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	// Built beside and renamed, so that another run of the tests never finds half a file.
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := compile(Tests(), tag, fresh); err != nil {
		return "", err
	}
	return path, os.Rename(fresh, path)
}

// compile builds the Caddy of a directory of tests.
func compile(tests, tag, path string) error {
	// With xcaddy's flags, so that what is compiled serves the demo's build too.
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-w -s", "-tags", "nobadger,nomysql,nopgx,"+tag, "-o", path, "./cmd/caddy")
	cmd.Dir, cmd.Env = tests, append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	return nil
}

// BinaryOf builds the Caddy of another commit, in a worktree that goes with the test, and returns its path.
func BinaryOf(t testing.TB, commit string) string {
	t.Helper()
	tree, program := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "caddy")
	git := func(args ...string) error {
		cmd := exec.Command("git", args...)
		cmd.Dir = Tests()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w\n%s", args, err, out)
		}
		return nil
	}
	if err := git("worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := git("worktree", "remove", "--force", tree); err != nil {
			t.Error(err)
		}
	})
	if err := compile(filepath.Join(tree, "tests"), "", program); err != nil {
		t.Fatal(err)
	}
	return program
}
