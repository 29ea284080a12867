package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"syscall"

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

// hasTable reports whether a database has a table.
func hasTable(ctx context.Context, db *sql.DB, name string) (has bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)", name).Scan(&has)
	return has, err
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

// integrityProblem returns what is wrong with a file that this process does not use; empty if it is whole.
func integrityProblem(ctx context.Context, path string) (problem string, err error) {
	db, err := openUntouched(path, true)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&problem); isDamage(err) {
		return err.Error(), nil
	} else if err != nil {
		return "", err
	}
	if problem == "ok" {
		problem = ""
	}
	return problem, nil
}

// troubleOf returns what the machine keeps SQLite from, in a few words; empty for an error about what was asked. damaged
// reports whether it is the content of the file.
func troubleOf(err error) (what string, damaged bool) {
	var of sqlite3.Error
	switch {
	case !errors.As(err, &of):
		return "", false
	case isDamage(of):
		return "the file is damaged", true
	case of.Code == sqlite3.ErrFull, of.SystemErrno == syscall.ENOSPC, of.SystemErrno == syscall.EDQUOT:
		return "the disk is full", false
	}
	return machineTroubles[of.Code], false
}

var machineTroubles = map[sqlite3.ErrNo]string{
	sqlite3.ErrReadonly: "the file or its disk can only be read",
	sqlite3.ErrPerm:     "the file or its disk can only be read",
	sqlite3.ErrIoErr:    "the disk fails",
	sqlite3.ErrCantOpen: "a file of the database cannot be opened",
	sqlite3.ErrBusy:     "another program has the database locked",
	sqlite3.ErrLocked:   "another program has the database locked",
	sqlite3.ErrProtocol: "another program has the database locked",
	sqlite3.ErrNomem:    "there is no memory left",
}

// QuickCheck looks at each page of the database once, while everything goes on, and notes it if one is damaged. It is for
// the time after a start: some 150 MB take a second.
func (s *Store) QuickCheck(ctx context.Context) error {
	_, err := s.check(ctx, "PRAGMA quick_check(1)")
	return err
}

// FullCheck looks at the database whole, indexes against tables, while everything goes on, and returns what is wrong with
// it, at most 20 things. It takes several times as long as QuickCheck.
func (s *Store) FullCheck(ctx context.Context) (problems []string, err error) {
	return s.check(ctx, "PRAGMA integrity_check(20)")
}

func (s *Store) check(ctx context.Context, pragma string) (problems []string, err error) {
	db, err := openReader(s.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, pragma)
	if err == nil {
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return nil, err
			}
			if line != "ok" {
				problems = append(problems, line)
			}
		}
		err = rows.Err()
	}
	if isDamage(err) {
		problems, err = append(problems, err.Error()), nil
	}
	if len(problems) > 0 {
		s.foundDamage(problems[0])
	}
	return problems, err
}

// isDamage reports whether an error says that a file is no database, or not a whole one.
func isDamage(err error) bool {
	var of sqlite3.Error
	return errors.As(err, &of) && (of.Code == sqlite3.ErrNotADB || of.Code == sqlite3.ErrCorrupt)
}

// foldLog brings what stands in a database's log into its file, and removes the log. The caller holds the lock.
func foldLog(ctx context.Context, path string) (err error) {
	db, err := sql.Open(driver, dsn(path, ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var busy, frames, folded int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &folded); err != nil {
		return err
	}
	if busy != 0 {
		return errors.New("another program reads the database")
	}
	return nil
}

// attachReplaced makes the tables of another file readable in write transactions, under the name of replaced. It must
// have no log.
func (s *Store) attachReplaced(ctx context.Context, path string) error {
	address := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1"}).String()
	_, err := s.writer.ExecContext(ctx, "ATTACH DATABASE ?1 AS replaced", address)
	return err
}
