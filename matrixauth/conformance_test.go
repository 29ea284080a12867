package matrixauth

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// TestConformance keeps docs/conformance.md complete: every id that is cited has a row, and every row
// is of an id that is cited.
func TestConformance(t *testing.T) {
	cited := map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "conformance_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return cite(cited, path, string(text))
	})
	if err != nil {
		t.Fatal(err)
	}
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
		if cited[match[1]] == "" {
			t.Errorf("%s is explained and nowhere cited", match[1])
		}
	}
	for id, path := range cited {
		if !explained[id] && !strings.HasPrefix(path, "range ") {
			t.Errorf("%s cites %s, which docs/conformance.md does not explain", path, id)
		}
	}
}

// cite notes the ids of a text. Ids that only a range covers may have a row and need none.
func cite(cited map[string]string, path, text string) error {
	for _, match := range citedRange.FindAllStringSubmatch(text, -1) {
		from, err := strconv.Atoi(match[2])
		if err != nil {
			return err
		}
		to, err := strconv.Atoi(match[3])
		if err != nil {
			return err
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
	return nil
}
