package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sqliteOnly is what SQLite understands and PostgreSQL does not.
var sqliteOnly = regexp.MustCompile(`(?i)sqlite_|sqlite3|"PRAGMA|pragma_|VACUUM INTO|LIMIT -1|INSERT OR |REPLACE INTO|strftime|julianday|unixepoch|datetime\(|IFNULL\(|GLOB '|rowid|AUTOINCREMENT|json_extract|group_concat|instr\(|typeof\(|iif\(|randomblob|(?-i:\bchar\(|\bhex\()|(?-i:\bM(AX|IN)\((EXISTS|[a-z_.]+, ))`)

// TestPortable: statements that only SQLite takes stand in sqlite.go alone.
func TestPortable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(text), "\n") {
			if code, _, _ := strings.Cut(line, "//"); sqliteOnly.MatchString(code) {
				if file == "sqlite.go" {
					found = true
					continue
				}
				t.Errorf("%s:%d: only SQLite takes this; write it as every engine does, or move it to sqlite.go: %s", file, number+1, strings.TrimSpace(line))
			}
		}
	}
	if !found {
		t.Error("nothing is found in sqlite.go, so nothing would be found elsewhere")
	}
}
