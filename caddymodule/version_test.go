package caddymodule

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestChangesNameTheSchema: the newest section of the changes names the schema that this program writes, by which an
// owner knows whether a downgrade needs a backup.
func TestChangesNameTheSchema(t *testing.T) {
	page, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := matrixauth.SchemaVersion()
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")
	if want := fmt.Sprintf("Schema %d.", schema); len(sections) < 2 || !strings.Contains(sections[1], want) {
		t.Errorf("the newest section of CHANGELOG.md does not say %q", want)
	}
}

// TestVersionOf tells the version of every way in which the module comes into a binary.
func TestVersionOf(t *testing.T) {
	built := func(dep debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "caddy", Version: "(devel)"}, Deps: []*debug.Module{{Path: "example.com/other", Version: "v9.9.9"}, &dep}}
	}
	for name, c := range map[string]struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		"a_release":                          {"", built(debug.Module{Path: modulePath, Version: "v1.2.3"}), "v1.2.3"},
		"a_commit":                           {"", built(debug.Module{Path: modulePath, Version: "v1.2.4-0.20261126162014-88aeb0c4d3c1"}), "v1.2.4-0.20261126162014-88aeb0c4d3c1"},
		"a_checkout_by_xcaddy.sh":            {"v1.2.3-4-g88aeb0c-dirty", built(debug.Module{Path: modulePath, Version: "v0.0.0", Replace: &debug.Module{Path: "/src"}}), "v1.2.3-4-g88aeb0c-dirty"},
		"a_checkout_by_other_means":          {"", built(debug.Module{Path: modulePath, Version: "v0.0.0", Replace: &debug.Module{Path: "/src"}}), "development"},
		"a_fork":                             {"", built(debug.Module{Path: modulePath, Version: "v1.2.3", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.2.4"}}), "v1.2.4 of example.com/fork"},
		"the_module_itself":                  {"", &debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: "(devel)"}}, "development"},
		"the_module_itself_in_a_repository":  {"", &debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: "v1.2.3+dirty"}}, "v1.2.3+dirty"},
		"a_binary_without_build_information": {"", nil, "development"},
		"a_binary_without_the_module":        {"", &debug.BuildInfo{Main: debug.Module{Path: "caddy", Version: "v2.0.0"}}, "development"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := versionOf(c.linked, c.info); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
