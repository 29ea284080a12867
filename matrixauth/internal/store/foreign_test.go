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
	for name, tables := range map[string]string{
		"of_Synapse":                    "CREATE TABLE schema_version (lock TEXT, version INTEGER, upgraded BOOL); CREATE TABLE users (name TEXT)",
		"of_anybody":                    "CREATE TABLE folders (name TEXT)",
		"with_a_view_alone":             "CREATE VIEW sqlitefolders AS SELECT 1",
		"with_tables_in_the_log_alone":  "PRAGMA journal_mode = WAL; CREATE TABLE folders (name TEXT)",
		"with_one_of_our_tables'_names": "CREATE TABLE users (name TEXT)",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "theirs.db")
			db, err := sql.Open(driver, "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(tables); err != nil {
				t.Fatal(err)
			}
			open := strings.Contains(name, "log") // a program that has it open
			if !open {
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
			if err := Examine(path); !open && !isForeign(err) {
				t.Errorf("examined: %v", err)
			}
			s, err := Open(t.Context(), Options{Path: path, Create: true})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !isForeign(err) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if open {
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
