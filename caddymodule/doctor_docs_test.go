package caddymodule

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// madeFinding is a finding as the source makes it.
type madeFinding struct {
	place string
	// check is empty where it is known only at run time, and so is fault.
	check, fault string
	// change holds the parts of the text that stand in the source.
	change []string
}

// madeFindings reads the source for what makes findings: Wrong, and the doctor's own word for it.
func madeFindings(t *testing.T) (all []madeFinding) {
	t.Helper()
	set, files, constants := token.NewFileSet(), []*ast.File{}, map[string]string{}
	for _, pattern := range []string{"../matrixauth/internal/doctor/*.go", "../caddymodule/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "doctor/finding.go") {
				continue
			}
			file, err := goparser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				if _, ok := decl.(*ast.GenDecl); ok {
					noteConstants(decl, constants)
				}
			}
			files = append(files, file)
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			near := maps.Clone(constants)
			noteConstants(decl, near)
			ast.Inspect(decl, func(n ast.Node) bool {
				if n == nil {
					return false
				}
				place := set.Position(n.Pos()).String()
				if literal, ok := n.(*ast.CompositeLit); ok && nameOf(literal.Type) == "Finding" && len(literal.Elts) > 0 {
					t.Errorf("%s: a finding without an id; use Well or Wrong", place)
				}
				call, ok := n.(*ast.CallExpr)
				switch {
				case !ok:
				case nameOf(call.Fun) == "Wrong", nameOf(call.Fun) == "bad":
					all = append(all, readFinding(place, call.Args[len(call.Args)-5:], near))
				case nameOf(call.Fun) == "obstructed": // found of what a browser reads, by two checks
					checks := []string{"public routes", "well-known"}
					if fault, _ := literalText(call.Args[0]); strings.HasPrefix(fault, "preflight-") {
						checks = checks[:1] // nothing is asked before a document is read
					}
					for _, check := range checks {
						args := append([]ast.Expr{&ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(check)}}, call.Args...)
						all = append(all, readFinding(place, args, near))
					}
				}
				return true
			})
		}
	}
	return all
}

func readFinding(place string, args []ast.Expr, constants map[string]string) madeFinding {
	text := func(e ast.Expr) string {
		if found, ok := literalText(e); ok {
			return found
		}
		return constants[nameOf(e)]
	}
	made := madeFinding{place: place, check: text(args[0]), fault: text(args[1])}
	ast.Inspect(args[4], func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if found := text(e); found != "" {
				made.change = append(made.change, found)
			}
		}
		return true
	})
	return made
}

// noteConstants reads the texts that have a name.
func noteConstants(in ast.Node, into map[string]string) {
	ast.Inspect(in, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if i < len(spec.Values) {
				if text, ok := literalText(spec.Values[i]); ok {
					into[name.Name] = text
				} else if text, ok := into[nameOf(spec.Values[i])]; ok {
					into[name.Name] = text
				}
			}
		}
		return true
	})
}

func literalText(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// TestFindingsAreDocumented holds the page of findings against those that the source makes.
func TestFindingsAreDocumented(t *testing.T) {
	page := pages(t)["../docs/doctor.md"]
	var documented []string
	for _, line := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(page, -1) {
		for _, id := range regexp.MustCompile("`([^`]+/[^`]+)`").FindAllStringSubmatch(line[1], -1) {
			documented = append(documented, id[1])
		}
	}
	var made []string
	for _, f := range madeFindings(t) {
		if f.fault == "" {
			continue // the name of a setting, or a kind of difference
		}
		if !regexp.MustCompile("^[a-z][a-z0-9-]*$").MatchString(f.fault) {
			t.Errorf("%s: %q is no word for programs", f.place, f.fault)
		}
		if f.check == "" {
			t.Errorf("%s: the check is no constant", f.place)
		}
		made = append(made, matrixauth.Wrong(f.check, f.fault, "", "", "").ID)
	}
	slices.Sort(documented)
	slices.Sort(made)
	made = slices.Compact(made)
	if len(made) < 20 || !slices.Equal(documented, made) {
		for _, id := range made {
			if !slices.Contains(documented, id) {
				t.Errorf("%s is not in docs/doctor.md", id)
			}
		}
		for _, id := range documented {
			if !slices.Contains(made, id) {
				t.Errorf("%s is in docs/doctor.md, and nothing makes it", id)
			}
		}
	}
}

// TestChangesAreDocumented holds what the doctor says against the pages: whatever it names must be there, and
// a command must exist.
func TestChangesAreDocumented(t *testing.T) {
	var docs strings.Builder
	for _, text := range pages(t) {
		docs.WriteString(text)
	}
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	flags := map[string]bool{"service-user": true}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(root)
	checked := 0
	for _, f := range madeFindings(t) {
		for _, text := range f.change {
			for _, name := range regexp.MustCompile(`[a-z]+(_[a-z]+)+`).FindAllString(text, -1) {
				checked++
				if !strings.Contains(docs.String(), name) {
					t.Errorf("%s: no page knows %q", f.place, name)
				}
			}
			for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(text, -1) {
				checked++
				if !flags[flag[1]] || !strings.Contains(docs.String(), flag[0]) {
					t.Errorf("%s: %s is no flag that is documented", f.place, flag[0])
				}
			}
			for _, words := range regexp.MustCompile(`caddy matrix-auth ([a-z-]+(?: [a-z-]+)?)`).FindAllStringSubmatch(text, -1) {
				checked++
				found, _, err := root.Find(strings.Fields(words[1]))
				if err != nil || found == root || found.HasSubCommands() {
					t.Errorf("%s: %q is no command", f.place, words[0])
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d names were found to check", checked)
	}
}
