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
	// With xcaddy's flags, so that what is compiled serves the demo's build too.
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-w -s", "-tags", "nobadger,nomysql,nopgx,"+tag, "-o", fresh, "./cmd/caddy")
	cmd.Dir, cmd.Env = Tests(), append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
}
