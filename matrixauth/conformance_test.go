package matrixauth

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// area are the beginnings of requirement ids.
const area = `(?:LEG|SYN|INTRO|REF|MOD|SOFT|DISC|ENUM|HTTP|KEY|PW|TOK|SCOPE|ASV|CREATE|MAIL|AMB|REV|REG|AUTHZ|CAUTH|OIDC|SESS|ACCT|AWARE|NEW|VEC|XS|LIFE)`

var (
	citation = regexp.MustCompile(`\b` + area + `-\d+\b|\bS\d{1,2}\b`)
	// citedRange is "LEG-1..39" or "SYN-3 to SYN-10".
	citedRange = regexp.MustCompile(`\b(` + area + `)-(\d+)(?:\.\.| to (?:` + area + `-)?)(\d+)\b`)
	row        = regexp.MustCompile(`(?m)^\| (` + area + `-\d+|S\d{1,2}) \|`)
)

// TestConformance keeps docs/conformance.md complete: every id that is cited has a row, and every row is of an id that a
// test cites, in a comment or in the name of a case. What only the code that should do it says of itself is not tested.
func TestConformance(t *testing.T) {
	cited, tested := map[string]string{}, map[string]string{}
	walkGo(t, "..", func(path string, _ *ast.File) {
		if strings.HasSuffix(path, "conformance_test.go") {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cite(t, cited, path, string(text))
		if isTest(path) {
			cite(t, tested, path, said(text))
		}
	})
	page, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		if explained[match[1]] {
			t.Errorf("%s is explained twice", match[1])
		}
		explained[match[1]] = true
		if tested[match[1]] == "" {
			t.Errorf("%s is explained, and no test cites it", match[1])
		}
	}
	for id, path := range cited {
		if !explained[id] && !strings.HasPrefix(path, "range ") {
			t.Errorf("%s cites %s, which docs/conformance.md does not explain", path, id)
		}
	}
	if len(explained) < 100 {
		t.Errorf("only %d rows were found", len(explained))
	}
}

// isTest reports whether a file is a test, or of a package that only tests have.
func isTest(path string) bool {
	if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../tests/") {
		return true
	}
	for _, of := range []string{"/testkit/", "/homeserver/contract/", "/store/conformance/"} {
		if strings.Contains(path, of) {
			return true
		}
	}
	return false
}

// said is the comments and the literal texts of a file, without its code.
func said(text []byte) string {
	var s scanner.Scanner
	file := token.NewFileSet()
	s.Init(file.AddFile("", file.Base(), len(text)), text, nil, scanner.ScanComments)
	var out strings.Builder
	for {
		_, kind, literal := s.Scan()
		switch kind {
		case token.EOF:
			return out.String()
		case token.COMMENT, token.STRING:
			out.WriteString(literal + "\n")
		}
	}
}

// cite notes the ids of a text. Ids that only a range covers may have a row and need none.
func cite(t *testing.T, cited map[string]string, path, text string) {
	t.Helper()
	for _, match := range citedRange.FindAllStringSubmatch(text, -1) {
		from, errFrom := strconv.Atoi(match[2])
		to, errTo := strconv.Atoi(match[3])
		if errFrom != nil || errTo != nil || from > to {
			t.Errorf("%s cites %s", path, match[0])
			continue
		}
		for n := from; n <= to; n++ {
			id := fmt.Sprintf("%s-%d", match[1], n)
			if cited[id] == "" {
				cited[id] = "range " + path
			}
		}
	}
	for _, id := range citation.FindAllString(text, -1) {
		cited[id] = path
	}
}
