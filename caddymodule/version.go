package caddymodule

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// version is given by the linker where the build knows no version of the module: xcaddy.sh builds from a
// checkout, and passes what "git describe" says of it.
var version string

// unversioned is the version of a build that knows none.
const unversioned = "development"

const modulePath = "github.com/caddy-matrix-auth/caddy-matrix-auth"

// versions are the parts of a binary that a report of a fault must name.
type versions struct {
	Version string `json:"version"`
	Schema  int64  `json:"schema"` // the newest schema of the database that this binary can read
	SQLite  string `json:"sqlite"`
	Caddy   string `json:"caddy"`
	Go      string `json:"go"`
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Prints the versions of the module, the database's schema, SQLite, Caddy and Go", Args: cobra.NoArgs}
	cmd.RunE = caddyRun(func(cmd *cobra.Command, _ []string) error {
		v, err := readVersions(cmd.Context())
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(cmd.OutOrStdout(), v)
		}
		return say(cmd.OutOrStdout(), "matrix-auth %s, schema %d, SQLite %s, Caddy %s, %s", v.Version, v.Schema, v.SQLite, v.Caddy, v.Go)
	})
	jsonFlag(cmd)
	return cmd
}

// readVersions fails where the binary was built without cgo, so that a wrong build shows before it is installed.
func readVersions(ctx context.Context) (versions, error) {
	sqlite, err := matrixauth.SQLiteVersion(ctx)
	if err != nil {
		return versions{}, err
	}
	schema, err := matrixauth.SchemaVersion()
	if err != nil {
		return versions{}, err
	}
	simple, _ := caddy.Version()
	return versions{Version: moduleVersion(), Schema: schema, SQLite: sqlite, Caddy: simple, Go: runtime.Version()}, nil
}

// moduleVersion returns the version that this module was built at, as far as the build knows.
func moduleVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

// versionOf returns the version of the module in a build: what the linker was told, else the version that was
// required ("xcaddy build --with …@v1.2.3") or that replaced it. A folder in its place has none, and the version
// that go.mod requires then says nothing about it. info may be nil.
func versionOf(linked string, info *debug.BuildInfo) string {
	if linked != "" || info == nil {
		return cmp.Or(linked, unversioned)
	}
	found := info.Main
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			found = *dep
		}
	}
	switch {
	case found.Path != modulePath, found.Version == "(devel)":
		return unversioned
	case found.Replace == nil:
		return cmp.Or(found.Version, unversioned)
	case found.Replace.Version == "":
		return unversioned
	}
	return found.Replace.Version + " of " + found.Replace.Path
}
