package matrixauth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestErrorCodes makes sure that each code of an error has its row, that something gives each, and that errors are
// made in package model alone, where the kind follows from the code.
func TestErrorCodes(t *testing.T) {
	codes, given := map[string]model.Code{}, map[string]bool{}
	for _, root := range []string{".", "../caddymodule", "../tests"} {
		walkGo(t, root, func(path string, file *ast.File) {
			inModel := file.Name.Name == "model"
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					if value, ok := codeOf(n); ok && inModel {
						codes[n.Names[0].Name] = value
					}
				case *ast.CompositeLit:
					if isModel(n.Type, "Error") {
						t.Errorf("%s has a literal of model.Error; write model.NewError or model.Errorf", path)
					}
				case *ast.CallExpr:
					if made := madeOf(n); made != "" && !strings.HasSuffix(path, "_test.go") {
						given[made] = true
					}
				}
				return true
			})
		})
	}
	if len(codes) != len(model.Codes) {
		t.Errorf("%d codes are declared, and %d have a row", len(codes), len(model.Codes))
	}
	for name, code := range codes {
		if !slices.Contains(model.Codes, code) {
			t.Errorf("%s has no row in kinds", name)
		}
		// An error that nobody foresaw is made a ServerError by AsError.
		if !given[name] && code != model.ServerError {
			t.Errorf("nothing gives %s", name)
		}
	}
}

// codeOf is the value of a constant that is a code.
func codeOf(spec *ast.ValueSpec) (model.Code, bool) {
	if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Code" || len(spec.Values) != 1 {
		return "", false
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return model.Code(value), err == nil
}

// madeOf is the name of the code of which a call makes an error; empty for any other call.
func madeOf(call *ast.CallExpr) string {
	name := func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.Ident: // in package model itself
			return e.Name
		case *ast.SelectorExpr:
			return e.Sel.Name
		}
		return ""
	}
	if made := name(call.Fun); len(call.Args) > 0 && (made == "NewError" || made == "Errorf") {
		return name(call.Args[0])
	}
	return ""
}

func isModel(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == "model"
}

// walkGo visits all files of Go below a folder that are ours.
func walkGo(t *testing.T, root string, visit func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".cache" || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
