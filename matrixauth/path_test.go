package matrixauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// pathText finds paths of ours and of Synapse in a text, with or without a slash before them.
var pathText = regexp.MustCompile(`(?:_matrix|_synapse|oauth2|account|authorize|\.well-known)/[A-Za-z0-9_.%/-]*`)

// TestEachPathStandsOnce: a path is written where it is declared, and all others read it there. What tests share, and the strict Synapse
// and its contract, say paths themselves, as they judge ours.
func TestEachPathStandsOnce(t *testing.T) {
	places := map[string][]string{}
	note := func(text, where string) {
		for _, path := range pathText.FindAllString(text, -1) {
			places[path] = append(places[path], where)
		}
	}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if name := filepath.ToSlash(file); err == nil && (name == "../tests" || name == "../.git" || strings.HasSuffix(name, "/internal/testkit") || strings.HasSuffix(name, "/homeserver/fake") || strings.HasSuffix(name, "/homeserver/contract")) {
				return filepath.SkipDir
			}
			return err
		}
		switch {
		case strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go"):
			noteLiterals(t, file, note)
		case strings.HasSuffix(file, ".html") && filepath.Base(filepath.Dir(file)) == "templates":
			text, err := os.ReadFile(file)
			if found := pathText.FindAllString(string(text), -1); len(found) > 0 {
				t.Errorf("%s has %q; a template takes a path by its name", file, found)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, where := range places {
		if len(where) > 1 {
			t.Errorf("%s stands in %s; declare it once", path, strings.Join(where, " and "))
		}
	}
	if len(places) < 10 {
		t.Errorf("only %d paths were found", len(places))
	}
}

// noteLiterals notes the string literals of a Go file but for its imports.
func noteLiterals(t *testing.T, file string, note func(text, where string)) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if _, isImport := n.(*ast.ImportSpec); isImport {
			return false
		}
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				note(text, set.Position(literal.Pos()).String())
			}
		}
		return true
	})
}

// TestEveryEndpointIsServed: what doors declare, a server answers and a server that is not open yet keeps, in the
// same shape; so is each file that a page refers to.
func TestEveryEndpointIsServed(t *testing.T) {
	h := house.New(t, func(c *matrixauth.Config) { c.Issuer = "https://" + house.IssuerHost + "/auth" })
	s := h.Wiring
	seen := map[string]string{}
	for _, b := range s.Routes {
		if b.Side == web.Internal {
			continue
		}
		if b.Name != "asset" && !slices.ContainsFunc(matrixauth.Catalogue.Endpoints, func(e web.Endpoint) bool { return e.Name == b.Name && e.Path == b.Path }) {
			t.Errorf("%s is served and not declared", b.Name)
		}
		if b.Variable != "" {
			continue // of its other methods the homeserver knows
		}
		for _, path := range s.Issuer.Paths(b.Endpoint, web.Public) {
			if other := seen[path]; other != "" {
				t.Errorf("%s is of %s and of %s", path, other, b.Name)
			}
			seen[path] = b.Name
			// A method that nobody has is refused by the route and by no other.
			a := h.Do(house.Call{Method: "PROPFIND", Path: path})
			if a.Status != 405 || !strings.Contains(a.Header.Get("Allow"), firstMethod(b)) {
				t.Errorf("%s: got %d, Allow %q", path, a.Status, a.Header.Get("Allow"))
			}
			if status, ours := house.Unready(h.Config, path); !ours || status != 503 {
				t.Errorf("%s before the start: %d, %v", path, status, ours)
			}
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d paths are served", len(seen))
	}
	if path := (edge.Issuer{Base: "/"}).PathOf(matrixauth.Catalogue.Endpoints[0]); path != house.LoginPath {
		t.Errorf("clients sign in at %s, want %s", path, house.LoginPath)
	}
}

func firstMethod(b web.Bound) string {
	for _, name := range []string{"GET", "POST"} {
		if b.Handlers[name] != nil {
			return name
		}
	}
	return "none"
}
