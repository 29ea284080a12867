package caddymodule

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logLines are the lines that the code can write: their messages with their levels, and the names of fields.
type logLines struct {
	levels map[string][]string
	fields map[string]bool
}

// readLogLines finds every call of a logger in the packages of the server.
func readLogLines(t *testing.T) logLines {
	t.Helper()
	found := logLines{levels: map[string][]string{}, fields: map[string]bool{}}
	for _, dir := range []string{".", "../matrixauth"} {
		must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			parsed, err := goparser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					found.call(t, path, call)
				}
				return true
			})
			return nil
		}))
	}
	return found
}

func (l logLines) call(t *testing.T, path string, call *ast.CallExpr) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if of, ok := f.X.(*ast.Ident); ok && of.Name == "slog" && len(call.Args) > 1 {
		if key, ok := literal(call.Args[0]); ok && key != "" {
			l.fields[key] = true
		}
		return
	}
	level, message := f.Sel.Name, 0
	switch level {
	case "Debug", "Info", "Warn", "Error":
	case "LogAttrs":
		level, message = "", 2
		if constant, ok := call.Args[1].(*ast.SelectorExpr); ok {
			level = strings.TrimPrefix(constant.Sel.Name, "Level")
		}
	default:
		return
	}
	if !isLogger(f.X) {
		return
	}
	text, ok := literal(call.Args[message])
	if !ok {
		if name, ok := call.Args[message].(*ast.SelectorExpr); ok && name.Sel.Name == "What" {
			l.pairs(call.Args[1:])
			return // a finding of the doctor
		}
		t.Errorf("%s: the message of a line is no literal", path)
		return
	}
	if !slices.Contains(l.levels[text], level) {
		l.levels[text] = append(l.levels[text], level)
	}
	if message == 0 {
		l.pairs(call.Args[1:])
	}
}

// pairs notes the keys of a call; an attribute stands alone among them.
func (l logLines) pairs(args []ast.Expr) {
	for i := 0; i < len(args); i++ {
		if key, ok := literal(args[i]); ok {
			l.fields[key] = true
			i++
		}
	}
}

func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(x.Name), "logger")
	case *ast.SelectorExpr:
		return strings.HasSuffix(strings.ToLower(x.Sel.Name), "logger")
	case *ast.CallExpr:
		f, ok := x.Fun.(*ast.SelectorExpr)
		return ok && (strings.HasSuffix(strings.ToLower(f.Sel.Name), "logger") || f.Sel.Name == "Named" || f.Sel.Name == "Log")
	}
	return false
}

// literal is a text in the code, or what a text begins with.
func literal(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil && x.Kind == token.STRING
	case *ast.BinaryExpr:
		text, ok := literal(x.X)
		return strings.TrimSuffix(text, ": "), ok
	}
	return "", false
}

// TestDocumentedLogLines holds the page of logs against the code: every line with its level, and every field.
func TestDocumentedLogLines(t *testing.T) {
	page := pages(t)["../docs/logs.md"]
	code := readLogLines(t)
	documented := map[string]string{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(page, -1) {
		documented[match[1]] = match[2]
	}
	for _, message := range slices.Sorted(maps.Keys(code.levels)) {
		levels, ok := documented[message]
		if !ok {
			t.Errorf("the line %q is not documented", message)
		}
		for _, level := range code.levels[message] {
			if !strings.Contains(levels, strings.ToLower(level)) {
				t.Errorf("the line %q has the level %s, and the page says %q", message, level, levels)
			}
		}
		delete(documented, message)
	}
	for message := range documented {
		t.Errorf("no code writes the documented line %q", message)
	}
	_, section, _ := strings.Cut(page, "## Every field")
	var fields []string
	for _, match := range regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\| [A-Z]").FindAllStringSubmatch(section, -1) {
		for name := range strings.SplitSeq(match[1], ", ") {
			fields = append(fields, strings.Trim(name, "`"))
		}
	}
	slices.Sort(fields)
	if existing := slices.Sorted(maps.Keys(code.fields)); !slices.Equal(fields, existing) {
		t.Errorf("documented fields %v\nexisting          %v", fields, existing)
	}
}
