package matrixauth

import (
	"fmt"
	"go/ast"
	"go/constant"
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
	"time"
)

// unmet are the bounds that nobody outside meets: those of what only we write, of what only operators have, and of
// work in the background. (The packages caddymodule and matrixauth have little else, and are not asked.)
var unmet = []string{
	"account.maxProduct", "control.maxMessage", "doctor.maxAnswer", "doctor.maxHosts", "doctor.maxProbes", "doctor.maxRedirects", "edge.maxOmissions", "edge.maxUnescape", "homeserver.maxText", "limit.maxKey", "model.maxGen", "model.maxLife", "model.maxMarks", "operate.maxPage",
	"page.maxPreference", "password.maxBcryptCost", "password.maxEncoded", "password.maxIterations", "password.maxMemory",
	"password.MaxScore", "password.maxParallelism", "password.maxSalt", "password.maxTag", "password.maxTime", "password.maxWork",
	"password.minSalt", "password.minTag", "place.maxAccessList", "place.maxLinks", "place.maxSmall", "reconcile.maxUsers",
	"seal.maxFile", "session.InternalLife", "session.maxInternal", "session.maxPending", "session.maxUnwritten", "signin.maxRequest", "store.MaxBrowserHashes", "store.maxByHand", "store.keepIdleBrowser",
	"store.maxBatch", "synapseconfig.maxSecretSize", "tokenkey.maxFile", "tokenkey.maxNumber", "web.cookieLife", "web.deviceLife",
}

// elsewhere are the limits that the package bound cannot have: what the adapter decides, and what differs by system.
var elsewhere = []string{"caddymodule.compareAtMost", "caddymodule.compareFor", "place.MaxSocketPath"}

// isBound reports whether the name of a constant says that it is a bound.
var isBound = regexp.MustCompile(`^([mM]ax|[mM]in|keep)[A-Z]|[a-z]Life$`).MatchString

// TestDocumentedLimits holds docs/limits.md: each row has the value of the constant that it names, each value of the
// package bound has a row, and no other package has a limit of its own unless nobody outside meets it.
func TestDocumentedLimits(t *testing.T) {
	page, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	values := bounds(t)
	documented := map[string]bool{}
	rows := regexp.MustCompile("(?m)^\\|(.*)\\| `([a-zA-Z]+\\.[a-zA-Z]+)` \\|$").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		name := row[2]
		want, ok := values[name]
		if !ok {
			t.Errorf("%s is documented and not there", name)
			continue
		}
		documented[name] = true
		cells := strings.Split(row[1], "|")
		if !slices.ContainsFunc(cells, func(cell string) bool { return told(strings.TrimSpace(cell)) == want }) {
			t.Errorf("%s is %s, and not as in %q", name, want, row[1])
		}
	}
	for name, value := range values {
		of, plain, _ := strings.Cut(name, ".")
		switch {
		case of == "bound" || slices.Contains(elsewhere, name):
			if !documented[name] {
				t.Errorf("%s is not in docs/limits.md; give it a row", name)
			}
		case documented[name]:
			t.Errorf("%s is a limit that somebody outside meets; it belongs into the package bound", name)
		case slices.Contains(unmet, name):
		case strings.Contains(value, ", ") || isBound(plain) && of != "caddymodule" && of != "matrixauth":
			t.Errorf("%s is a limit; it belongs into the package bound with a row in docs/limits.md, or into unmet if nobody outside meets it", name)
		}
	}
	for _, name := range unmet {
		if _, ok := values[name]; !ok {
			t.Errorf("%s is not there any more", name)
		}
	}
}

var units = map[string]int64{
	"": 1, "bytes": 1, "characters": 1, "KiB": 1 << 10, "KiB of request": 1 << 10, "MiB": 1 << 20,
	"second": int64(time.Second), "seconds": int64(time.Second), "minutes": int64(time.Minute), "hour": int64(time.Hour), "hours": int64(time.Hour),
	"days": 24 * int64(time.Hour),
}

// told is a value as the page tells it, in one shape with those of the code; empty for what is none.
func told(cell string) string {
	if rate := regexp.MustCompile(`^(\d+) at once, ([\d.]+) a minute$`).FindStringSubmatch(cell); rate != nil {
		return rate[1] + ", " + rate[2]
	}
	parts := regexp.MustCompile(`^([\d,]+) ?([A-Za-z ]*)$`).FindStringSubmatch(cell)
	if parts == nil {
		return ""
	}
	unit, known := units[parts[2]]
	n, err := strconv.ParseInt(strings.ReplaceAll(parts[1], ",", ""), 10, 64)
	if !known || err != nil {
		return ""
	}
	return fmt.Sprint(n * unit)
}

// bounds are all constants that are numbers or durations, and all rates, by "package.name".
func bounds(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, root := range []string{".", "../caddymodule"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && (entry.Name() == "fake" || entry.Name() == "contract" || entry.Name() == "testkit") {
				return skipUnless(err)
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok {
					for i, value := range spec.Values {
						if text := valueOf(value); text != "" {
							all[file.Name.Name+"."+spec.Names[i].Name] = text
						}
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// skipUnless leaves a folder out, unless something went wrong with it.
func skipUnless(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// valueOf is the value of an expression of literals; empty for any other.
func valueOf(e ast.Expr) string {
	if rate, ok := e.(*ast.CompositeLit); ok && isRate(rate.Type) {
		var numbers []string
		for _, element := range rate.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok {
				return ""
			}
			if number, ok := pair.Value.(*ast.BasicLit); ok && number.Kind == token.FLOAT {
				numbers = append(numbers, number.Value)
				continue
			}
			numbers = append(numbers, valueOf(pair.Value))
		}
		return strings.Join(numbers, ", ")
	}
	if value := evaluate(e); value != nil && value.Kind() == constant.Int {
		return value.ExactString()
	}
	return ""
}

// isRate reports whether a type is one of our rates.
func isRate(e ast.Expr) bool {
	if selector, ok := e.(*ast.SelectorExpr); ok {
		e = selector.Sel
	}
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "Rate"
}

var durations = map[string]time.Duration{
	"Microsecond": time.Microsecond, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
}

// evaluate returns the value of an expression of numbers and units of time; nil for any other.
func evaluate(e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.INT {
			return constant.MakeFromLiteral(e.Value, e.Kind, 0)
		}
	case *ast.ParenExpr:
		return evaluate(e.X)
	case *ast.SelectorExpr:
		if unit, ok := durations[e.Sel.Name]; ok {
			return constant.MakeInt64(int64(unit))
		}
	case *ast.BinaryExpr:
		x, y := evaluate(e.X), evaluate(e.Y)
		if x == nil || y == nil {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		if e.Op == token.ADD || e.Op == token.SUB || e.Op == token.MUL {
			return constant.BinaryOp(x, e.Op, y)
		}
	}
	return nil
}
