package synapsedb

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// sqlite is a file of SQLite that another process may have open. The driver is used without database/sql, so that
// the file and what lies beside it are opened by the thread that has the rights of their owner, and by no other.
type sqlite struct {
	conn *sqlite3.SQLiteConn
	file *os.File
	// before is the state of a file that is read without a lock; zero for one with a log, where SQLite keeps a snapshot.
	before fileState
}

// fileState tells whether a file was written.
type fileState struct {
	size    int64
	changed time.Time
	header  [sqliteHeader]byte // it has the change counter (SQLite file format, 1.3)
}

const sqliteHeader = 100

// openSQLite opens the file with the rights of its owner: as root, SQLite would leave files of root beside it, which
// Synapse could not open.
func openSQLite(_ context.Context, path string) (opened *sqlite, err error) {
	path, info, err := resolve(path)
	if err != nil {
		return nil, err
	}
	var failed error
	if _, err := place.AsOwner(info, func() { opened, failed = openAsIs(path) }); err != nil {
		return nil, err
	}
	return opened, failed
}

// resolve follows links as SQLite does, which looks for the log beside the file itself.
func resolve(path string) (resolved string, info fs.FileInfo, err error) {
	if resolved, err = filepath.EvalSymlinks(path); err != nil {
		return "", nil, fmt.Errorf("Synapse's database cannot be found: %w", err)
	}
	if resolved, err = filepath.Abs(resolved); err != nil {
		return "", nil, err
	}
	if info, err = os.Stat(resolved); err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is no file", resolved)
	}
	return resolved, info, nil
}

func openAsIs(path string) (opened *sqlite, err error) {
	file, err := os.Open(path) //nolint:gosec // the owner's own configuration names it
	if err != nil {
		return nil, fmt.Errorf("Synapse's database cannot be read: %w", err)
	}
	s := &sqlite{file: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	state, err := stateOf(file)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(state.header[:], []byte("SQLite format 3\x00")) {
		return nil, fmt.Errorf("%s is no database of SQLite", path)
	}
	logged, err := checkBeside(path)
	if err != nil {
		return nil, err
	}
	mode := "mode=ro"
	if !logged {
		// SQLite would make the log of a file that had one.
		mode += "&immutable=1"
		s.before = state
	}
	return s, s.begin((&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: mode}).String())
}

// checkBeside looks at what lies beside the file. It reports whether that has a log, by which SQLite reads while others
// write.
func checkBeside(path string) (logged bool, err error) {
	journal, err := startOf(path + "-journal")
	if err != nil {
		return false, err
	}
	if len(journal) > 0 && journal[0] != 0 { // a journal that is kept for the next time begins with zeros
		return false, fmt.Errorf("%s-journal has a change that was not finished: Synapse is writing, or was killed; run this again, and if that does not help, start Synapse and stop it once", path)
	}
	log, err := startOf(path + "-wal")
	if err != nil || len(log) == 0 {
		return false, err
	}
	_, err = os.Lstat(path + "-shm")
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s-wal has changes that are not in the file yet, and its index %s-shm is missing: start Synapse and stop it once", path, path)
	}
	return true, err
}

// startOf returns the first byte of a file, none if it is empty or does not exist.
func startOf(path string) (start []byte, err error) {
	f, err := os.Open(path) //nolint:gosec // beside the database
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	start, err = io.ReadAll(io.LimitReader(f, 1))
	return start, err
}

func stateOf(file *os.File) (state fileState, err error) {
	info, err := file.Stat()
	if err != nil {
		return state, err
	}
	state.size, state.changed = info.Size(), info.ModTime()
	if _, err := file.ReadAt(state.header[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return state, err
	}
	return state, nil
}

// begin opens the connection and takes the snapshot.
func (s *sqlite) begin(name string) error {
	conn, err := (&sqlite3.SQLiteDriver{}).Open(name)
	if err != nil {
		return fmt.Errorf("Synapse's database cannot be read: %w", err)
	}
	s.conn = conn.(*sqlite3.SQLiteConn)
	for _, statement := range []string{
		// Nothing is written, in the file or beside it; and what its owner wrote into its schema runs nothing.
		"PRAGMA query_only = ON", "PRAGMA temp_store = MEMORY", "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON",
		"PRAGMA cache_size = -8000",
		"BEGIN", "SELECT COUNT(*) FROM sqlite_master",
	} {
		if err := s.exec(statement); err != nil {
			return fmt.Errorf("Synapse's database cannot be read: %w", err)
		}
	}
	r, err := s.first("PRAGMA encoding")
	if err != nil {
		return err
	}
	if encoding, _ := r.text(0); encoding != "UTF-8" {
		return fmt.Errorf("Synapse's database has its texts as %s, and not as UTF-8 as Synapse makes them", encoding)
	}
	return nil
}

func (s *sqlite) exec(statement string) error {
	_, err := s.first(statement)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *sqlite) first(statement string) (r row, err error) {
	c, err := s.query(context.Background(), statement)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close(context.Background())) }()
	return c.next(context.Background())
}

func (s *sqlite) columns(ctx context.Context, table string) (names []string, err error) {
	c, err := s.query(ctx, "SELECT name FROM pragma_table_info('"+table+"')")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	for {
		r, err := c.next(ctx)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		name, _ := r.text(0)
		names = append(names, name)
	}
}

// query runs a statement without a context: the driver would have another thread look at it for each row.
func (s *sqlite) query(_ context.Context, statement string) (cursor, error) {
	rows, err := s.conn.Query(statement, nil)
	if err != nil {
		return nil, err
	}
	return &sqliteCursor{rows: rows, width: len(rows.Columns())}, nil
}

// ordered sorts nothing but ids, and reads the rows by them: a table without an index by user would be in memory as a
// whole otherwise.
func (s *sqlite) ordered(t table) string {
	return "WITH sorted AS MATERIALIZED (SELECT rowid AS at FROM " + t.name + " WHERE typeof(" + t.columns[0] + ") = 'text' ORDER BY " + t.columns[0] + ")" +
		" SELECT " + strings.Join(t.columns, ", ") + " FROM sorted CROSS JOIN " + t.name + " ON " + t.name + ".rowid = sorted.at"
}

func (s *sqlite) unowned(t table) string { return "typeof(" + t.columns[0] + ") <> 'text'" }

// errWritten says that Synapse was started or at work.
var errWritten = errors.New("Synapse wrote to its database while it was read: stop it, or run this again")

func (s *sqlite) unchanged() error {
	if s.before == (fileState{}) {
		return nil
	}
	state, err := stateOf(s.file)
	if err != nil {
		return err
	}
	if state != s.before {
		return errWritten
	}
	return nil
}

func (s *sqlite) close() (err error) {
	if s.conn != nil {
		err = s.conn.Close()
	}
	return errors.Join(err, s.file.Close())
}

type sqliteCursor struct {
	rows  driver.Rows
	width int
}

func (c *sqliteCursor) next(context.Context) (row, error) {
	values := make([]driver.Value, c.width)
	if err := c.rows.Next(values); err != nil {
		return nil, err
	}
	r := make(row, c.width)
	for i, value := range values {
		switch v := value.(type) {
		case nil, bool, int64, float64, string:
			r[i] = v
		case []byte:
			r[i] = string(v)
		default:
			r[i] = fmt.Sprint(v)
		}
	}
	return r, nil
}

func (c *sqliteCursor) close(context.Context) error { return c.rows.Close() }
