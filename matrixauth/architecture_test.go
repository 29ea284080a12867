package matrixauth

import (
	"encoding/json"
	"errors"
	"go/ast"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

const module = "github.com/caddy-matrix-auth/caddy-matrix-auth/"

// mayImport is the picture of docs/architecture.md: what each package may import of ours.
var mayImport = map[string][]string{
	"caddymodule": {"matrixauth"},
	"matrixauth": {"internal/backup", "internal/bound", "internal/account", "internal/browser", "internal/client", "internal/compat", "internal/control", "internal/doctor", "internal/edge", "internal/gateway", "internal/grant",
		"internal/homeserver", "internal/limit", "internal/mail", "internal/metrics", "internal/model", "internal/notify", "internal/oauth", "internal/operate", "internal/outbox", "internal/page", "internal/password", "internal/place", "internal/reconcile", "internal/registration", "internal/seal", "internal/session", "internal/signin", "internal/store", "internal/synapseconfig", "internal/tokenkey", "internal/user", "internal/verification", "internal/web",
		"internal/move", "internal/recovery", "internal/synapsedb"},
	// Where requests come in.
	"internal/edge": {"internal/gateway", "internal/limit", "internal/model", "internal/outbox", "internal/store", "internal/web"},
	// What tells operators how it goes.
	"internal/doctor":  {"internal/account", "internal/backup", "internal/compat", "internal/edge", "internal/homeserver", "internal/mail", "internal/model", "internal/notify", "internal/oauth", "internal/operate", "internal/outbox", "internal/page", "internal/place", "internal/seal", "internal/store", "internal/synapseconfig", "internal/tokenkey", "internal/web"},
	"internal/metrics": {"internal/limit", "internal/mail", "internal/model", "internal/oauth", "internal/store"},
	// Doors. They never import one another, and reach rows only through the domain.
	"internal/compat":  {"internal/bound", "internal/model", "internal/session", "internal/signin", "internal/user", "internal/web"},
	"internal/oauth":   {"internal/bound", "internal/client", "internal/grant", "internal/limit", "internal/model", "internal/page", "internal/session", "internal/signin", "internal/web"},
	"internal/account": {"internal/bound", "internal/browser", "internal/client", "internal/grant", "internal/model", "internal/page", "internal/password", "internal/recovery", "internal/registration", "internal/session", "internal/signin", "internal/user", "internal/web"},
	"internal/gateway": {"internal/bound", "internal/limit", "internal/model", "internal/session", "internal/web"},
	// What operators have done, and the way to it.
	"internal/control": {"internal/model", "internal/place"},
	"internal/operate": {"internal/browser", "internal/client", "internal/grant", "internal/homeserver", "internal/model", "internal/move", "internal/notify", "internal/outbox", "internal/reconcile", "internal/recovery", "internal/registration", "internal/session", "internal/store", "internal/tokenkey", "internal/user", "internal/web"},
	// The domain.
	"internal/recovery":  {"internal/bound", "internal/limit", "internal/model", "internal/notify", "internal/outbox", "internal/page", "internal/seal", "internal/session", "internal/store", "internal/user"},
	"internal/move":      {"internal/bound", "internal/model", "internal/registration", "internal/session", "internal/store", "internal/user"},
	"internal/reconcile": {"internal/homeserver", "internal/model", "internal/outbox", "internal/session", "internal/store", "internal/user"},

	"internal/registration": {"internal/bound", "internal/limit", "internal/model", "internal/notify", "internal/outbox", "internal/page", "internal/seal", "internal/store", "internal/user", "internal/verification"},

	"internal/grant":        {"internal/bound", "internal/client", "internal/model", "internal/session", "internal/store"},
	"internal/client":       {"internal/bound", "internal/model", "internal/store"},
	"internal/browser":      {"internal/bound", "internal/model", "internal/store"},
	"internal/signin":       {"internal/bound", "internal/browser", "internal/grant", "internal/limit", "internal/model", "internal/page", "internal/store", "internal/user"},
	"internal/user":         {"internal/bound", "internal/browser", "internal/homeserver", "internal/limit", "internal/model", "internal/notify", "internal/outbox", "internal/password", "internal/seal", "internal/session", "internal/store", "internal/verification"},
	"internal/session":      {"internal/bound", "internal/fault", "internal/homeserver", "internal/limit", "internal/model", "internal/outbox", "internal/store", "internal/tokenkey"},
	"internal/verification": {"internal/bound", "internal/model", "internal/notify", "internal/outbox", "internal/page", "internal/seal", "internal/store"},
	"internal/outbox":       {"internal/bound", "internal/model", "internal/store"},
	"internal/seal":         {"internal/place", "internal/store"},
	"internal/tokenkey":     {"internal/fault", "internal/model", "internal/place", "internal/store"},
	"internal/backup":       {"internal/place", "internal/store"},
	"internal/store":        {"internal/bound", "internal/fault", "internal/model", "internal/place"},
	"internal/model":        {"internal/bound"},
	"internal/notify":       {"internal/bound", "internal/limit", "internal/mail", "internal/model", "internal/outbox", "internal/page", "internal/store"},
	// Tools at the side.
	"internal/bound":         {},
	"internal/web":           {"internal/bound", "internal/model"},
	"internal/limit":         {"internal/bound", "internal/model"},
	"internal/page":          {"internal/bound", "internal/model", "internal/password", "internal/web"},
	"internal/homeserver":    {"internal/bound"},
	"internal/mail":          {},
	"internal/password":      {"internal/bound"},
	"internal/fault":         {},
	"internal/place":         {},
	"internal/synapseconfig": {"internal/bound"},
	"internal/synapsedb":     {"internal/bound", "internal/model", "internal/move", "internal/place"},
}

// oneImporter are the packages of others that exactly one of ours may know. Of several prefixes of a path the
// longest counts.
var oneImporter = map[string]string{
	"github.com/caddyserver/caddy/":        "caddymodule",
	"github.com/mattn/go-sqlite3":          "internal/store",
	"github.com/pressly/goose/":            "internal/store",
	"database/sql":                         "internal/store",
	"github.com/jackc/pgx/":                "internal/synapsedb",
	"golang.org/x/crypto/":                 "internal/password",
	"golang.org/x/crypto/chacha20poly1305": "internal/seal",
	"github.com/trustelem/zxcvbn":          "internal/password",
	"go.yaml.in/yaml/v3":                   "internal/synapseconfig",
	"github.com/klauspost/compress":        "internal/gateway",
	"github.com/wneessen/go-mail":          "internal/mail",
}

// alsoImports are the packages of others that a second one of ours may know.
var alsoImports = map[string][]string{
	"internal/synapsedb": {"github.com/mattn/go-sqlite3", "database/sql/driver"}, // it reads a database that is not ours
}

// forTests are the packages that only tests may import, these and what is below them. They are no part of the
// picture and may import what they like.
var forTests = []string{"internal/testkit", "internal/homeserver/fake", "internal/homeserver/contract", "internal/store/conformance"}

func isForTests(name string) bool {
	return slices.ContainsFunc(forTests, func(root string) bool { return name == root || strings.HasPrefix(name, root+"/") })
}

// TestImportDirection holds the picture. It looks at what packages import outside of their tests.
func TestImportDirection(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		judgeImports(t, inPicture(p.ImportPath), p.Imports)
	}
}

// inPicture is the short name of a package of ours; empty for one of others.
func inPicture(path string) string {
	short, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	if inner, ok := strings.CutPrefix(short, "matrixauth/"); ok {
		return inner
	}
	return short
}

func judgeImports(t *testing.T, name string, imports []string) {
	if isForTests(name) {
		return
	}
	allowed, known := mayImport[name]
	if !known {
		t.Errorf("%s is not in the picture; add it there and to docs/architecture.md", name)
		return
	}
	for _, path := range imports {
		if path == "testing" || isForTests(inPicture(path)) {
			t.Errorf("%s imports %s, which only tests may", name, path)
		}
		if ours := inPicture(path); ours != "" && !slices.Contains(allowed, ours) {
			t.Errorf("%s imports %s, which the picture does not allow", name, ours)
		}
		if owner := ownerOf(path); owner != "" && name != owner && !slices.Contains(alsoImports[name], path) {
			t.Errorf("%s imports %s, which belongs to %s alone", name, path, owner)
		}
	}
	for _, one := range allowed {
		if !slices.ContainsFunc(imports, func(path string) bool { return inPicture(path) == one }) {
			t.Errorf("the picture has %s import %s, which it does not", name, one)
		}
	}
}

// TestDomainKeepsItsFields: a field that others can reach is a way round the picture, by which a door could come
// to the store or the homeserver without an import.
func TestDomainKeepsItsFields(t *testing.T) {
	for _, of := range []any{
		registration.Registrations{}, session.Sessions{}, session.Registry{}, user.Users{}, grant.Grants{}, client.Clients{}, browser.Browsers{}, reconcile.Reconciler{}, recovery.Recoveries{}, signin.SignIns{},
		outbox.Outbox{}, store.Store{},
	} {
		shape := reflect.TypeOf(of)
		for _, field := range reflect.VisibleFields(shape) {
			if field.IsExported() {
				t.Errorf("%s has the exported field %s", shape, field.Name)
			}
		}
	}
}

// TestEveryPackageIsDescribed: docs/architecture.md has a row for each package of the picture, and for no other.
func TestEveryPackageIsDescribed(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| Package | Owns | Must not |")
	table, _, _ = strings.Cut(table, "\n## ")
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(table, -1) {
		described = append(described, row[1])
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(mayImport)), forTests) {
		name = strings.TrimPrefix(name, "internal/")
		if strings.Contains(name, "/") {
			continue // in the row of the package above
		}
		if i := slices.Index(described, name); i >= 0 {
			described = slices.Delete(described, i, i+1)
		} else {
			t.Errorf("%s has no row in docs/architecture.md", name)
		}
	}
	if len(described) > 0 {
		t.Errorf("docs/architecture.md describes %q, which is not in the picture", described)
	}
}

// TestOptionsOfTests: nothing but tests opens a store whose writes are not real ones.
func TestOptionsOfTests(t *testing.T) {
	seen := 0
	for _, root := range []string{".", "../caddymodule"} {
		walkGo(t, root, func(path string, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				pair, ok := n.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				if key, ok := pair.Key.(*ast.Ident); ok && (key.Name == "Rehearse" || key.Name == "NoSync") {
					seen++
					if !strings.HasSuffix(path, "_test.go") && !isForTests(filepath.ToSlash(filepath.Dir(path))) {
						t.Errorf("%s sets %s, which is for tests", path, key.Name)
					}
				}
				return true
			})
		})
	}
	if seen == 0 {
		t.Error("the options were not found, so they have other names now")
	}
}

// ownerOf is the one package of ours that may import a path; empty if all may.
func ownerOf(path string) (owner string) {
	longest := ""
	for prefix, of := range oneImporter {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(longest) {
			longest, owner = prefix, of
		}
	}
	return owner
}
