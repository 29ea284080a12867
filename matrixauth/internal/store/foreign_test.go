package store

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignDatabase leaves the database of another program as it is, byte by byte and with its mode, whether it
// is opened by mistake or only looked at.
func TestForeignDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		tables string
		// open reports whether the other program has the database open.
		open bool
	}{
		"of_Synapse":                    {tables: "CREATE TABLE schema_version (lock TEXT, version INTEGER, upgraded BOOL); CREATE TABLE users (name TEXT)"},
		"of_anybody":                    {tables: "CREATE TABLE folders (name TEXT)"},
		"with_a_view_alone":             {tables: "CREATE VIEW sqlitefolders AS SELECT 1"},
		"with_tables_in_the_log_alone":  {tables: "PRAGMA journal_mode = WAL; CREATE TABLE folders (name TEXT)", open: true},
		"with_one_of_our_tables'_names": {tables: "CREATE TABLE users (name TEXT)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "theirs.db")
			db, err := sql.Open(driver, "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(c.tables); err != nil {
				t.Fatal(err)
			}
			if !c.open {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := Examine(path); !c.open && !isForeign(err) {
				t.Errorf("examined: %v", err)
			}
			s, err := Open(t.Context(), Options{Path: path, Create: true})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !isForeign(err) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if c.open {
				return // SQLite has noted that it was looked at
			}
			after, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			files, dirErr := os.ReadDir(filepath.Dir(path))
			if err := errors.Join(err, statErr, dirErr); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) || info.Mode().Perm() != 0o644 || len(files) != 1 {
				t.Errorf("it was touched: %v, files %v", info.Mode(), files)
			}
		})
	}
}

func isForeign(err error) bool {
	var foreign *ForeignError
	return errors.As(err, &foreign)
}
