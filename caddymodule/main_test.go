package caddymodule

import (
	"fmt"
	"os"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // what the Caddyfiles of tests use
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this very binary as Caddy, and keeps Caddy out of the home directory.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddymodule")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, value := range map[string]string{"HOME": dir, "XDG_DATA_HOME": dir + "/data", "XDG_CONFIG_HOME": dir + "/config"} {
		if _, inScript := os.LookupEnv("IN_SCRIPT"); inScript {
			break // a script has directories of its own
		}
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// The Caddy of the machine that runs the tests is none of their business.
	unitDirs, packagedUser = nil, "no-such-user"
	testscript.Main(cleanUp{m, dir}, map[string]func(){"caddy": caddycmd.Main})
}

// cleanUp removes the directory when the tests are done.
type cleanUp struct {
	*testing.M
	dir string
}

func (c cleanUp) Run() int {
	code := c.M.Run()
	if err := os.RemoveAll(c.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
