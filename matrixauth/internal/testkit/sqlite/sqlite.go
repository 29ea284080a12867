// Package sqlite looks into the file of a database beside the store that has it open, and changes it behind the store's
// back. Only tests import it, and no test needs another way to the driver.
package sqlite

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver sqlite3
)

// Scan reads the one row of a query into values.
func Scan(t testing.TB, file, query string, args []any, values ...any) {
	t.Helper()
	with(t, file, "mode=ro&_query_only=true", func(db *sql.DB) error { return db.QueryRow(query, args...).Scan(values...) })
}

// Count returns how many rows a table has, or those of a condition behind its name.
func Count(t testing.TB, file, where string, args ...any) (n int) {
	t.Helper()
	Scan(t, file, "SELECT COUNT(*) FROM "+where, args, &n)
	return n
}

// Size returns how many bytes of a database are in use.
func Size(t testing.TB, file string) (bytes int64) {
	t.Helper()
	Scan(t, file, "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size", nil, &bytes)
	return bytes
}

// Exec runs statements.
func Exec(t testing.TB, file, statements string, args ...any) {
	t.Helper()
	with(t, file, "_busy_timeout=5000&_sync=OFF", func(db *sql.DB) error {
		_, err := db.Exec(statements, args...)
		return err
	})
}

// Dump returns the content of tables, a line a row. Of what is no text there is a hash.
func Dump(t testing.TB, file string, tables ...string) string {
	t.Helper()
	var out strings.Builder
	with(t, file, "mode=ro&_query_only=true", func(db *sql.DB) error {
		for _, table := range tables {
			if err := dump(&out, db, table); err != nil {
				return err
			}
		}
		return nil
	})
	return out.String()
}

// Clock writes what time a database last noted that it lived, as it would have each minute of a time that a test leaps
// over. It stays open until close is called, as a test does so thousands of times.
func Clock(t testing.TB, file string) (lived func(until time.Time), closed func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(file)+"?_busy_timeout=5000&_sync=OFF")
	if err != nil {
		t.Fatal(err)
	}
	lived = func(until time.Time) {
		t.Helper()
		if _, err := db.Exec("UPDATE alive SET at = ?1", until.UnixMicro()); err != nil {
			t.Fatal(err)
		}
	}
	return lived, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func with(t testing.TB, file, options string, do func(*sql.DB) error) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(file)+"?"+options)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func dump(out *strings.Builder, db *sql.DB, table string) (err error) {
	rows, err := db.Query("SELECT * FROM " + table)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		out.WriteString(table)
		for i, value := range values {
			v := *(value.(*any))
			if b, ok := v.([]byte); ok {
				v = fmt.Sprintf("%x", sha256.Sum256(b))
			}
			fmt.Fprintf(out, " %s=%v", columns[i], v)
		}
		out.WriteByte('\n')
	}
	return rows.Err()
}
