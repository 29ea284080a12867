package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
)

// What only SQLite understands stands in this file, in the migrations and in what checks the place of the file
// (place.go, copied.go); a test holds that. All other statements are SQL that PostgreSQL takes too, once their
// parameters ?1, ?2 … are written $1, $2 …. The suite in package conformance tests any engine.

// dialect is SQLite's, for the migrations.
const dialect = goose.DialectSQLite3

// beyond skips the first rows of a query, and has no other limit: SQLite knows no OFFSET without a LIMIT.
const beyond = " LIMIT 9223372036854775807 OFFSET "

// driver is SQLite with settings that cannot be written in the data source name.
const driver = "sqlite3-matrix-auth"

func init() {
	sql.Register(driver, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		// A checkpoint writes each page once, however often it was changed since the last one: with four
		// times the default between them, refreshes share more of it.
		_, err := c.Exec("PRAGMA wal_autocheckpoint = 4000", nil)
		return err
	}})
}

// dsn names the file with the settings of every connection. synchronous=FULL makes a commit survive
// a power cut: a lost rotation would sign somebody out of their encrypted history.
func dsn(path, extra string) string {
	const common = "_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_foreign_keys=on&_stmt_cache_size=64&"
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: common + extra}).String()
}

// openWriter opens the one connection that writes. noSync has no commit wait for the disk, for tests.
func openWriter(path string, noSync bool) (*sql.DB, error) {
	address := dsn(path, "_txlock=immediate&_cache_size=-4000")
	if noSync {
		address = strings.Replace(address, "_synchronous=FULL", "_synchronous=OFF", 1)
	}
	return sql.Open(driver, address)
}

// openReader opens connections that only read.
func openReader(path string) (*sql.DB, error) {
	return sql.Open(driver, dsn(path, "_query_only=true&_cache_size=-4000"))
}

// openUntouched opens a file that this process does not use, without a lock, a change or a new file. still means that
// nobody writes to it, so its log is not read.
func openUntouched(path string, still bool) (*sql.DB, error) {
	settings := "mode=ro&_query_only=true"
	if still {
		settings += "&immutable=1"
	}
	return sql.Open(driver, (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: settings}).String())
}

// checkTables refuses a database that has tables and is not ours. One without tables is a database to be.
func checkTables(ctx context.Context, db *sql.DB, path string) error {
	var tables, ours int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").Scan(&tables); err != nil || tables == 0 {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM pragma_table_info(?1) WHERE name = 'version_id'", versionTable).Scan(&ours); err != nil {
		return err
	}
	if ours == 0 {
		return &ForeignError{path}
	}
	return nil
}

// copyInto reads by a connection of its own: those of the reader pool may not write even to another
// file, and the writer's would hold up everybody for as long as the copy takes.
func (s *Store) copyInto(ctx context.Context, file string) (err error) {
	db, err := sql.Open(driver, dsn(s.path, ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?1", file)
	return err
}

// SQLiteVersion asks the linked SQLite for its version. It fails where the program was built without
// cgo.
func SQLiteVersion(ctx context.Context) (version string, err error) {
	db, err := sql.Open(driver, ":memory:")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	return version, err
}
