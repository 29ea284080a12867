package matrixauth

import (
	"go/ast"
	"strconv"
	"strings"
	"testing"
)

// TestRandomness: only the outbox may draw numbers that can be guessed, for the delays of jobs; and what compares
// secrets takes the same time for each, in the places that are known (KEY-5).
func TestRandomness(t *testing.T) {
	compares := map[string]bool{}
	for _, root := range []string{".", "../caddymodule"} {
		walkGo(t, root, func(path string, file *ast.File) {
			if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testkit/") {
				return
			}
			for _, spec := range file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "math/rand") && file.Name.Name != "outbox" {
					t.Errorf("%s imports %s", path, name)
				}
				if name == "crypto/subtle" {
					compares[file.Name.Name] = true
				}
			}
		})
	}
	for _, of := range []string{"client", "grant", "oauth", "password"} {
		if !compares[of] {
			t.Errorf("package %s compares secrets in another way", of)
		}
	}
}
