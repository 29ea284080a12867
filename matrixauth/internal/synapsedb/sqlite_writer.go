package synapsedb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

type sqliteWriter struct{ conn *sqlite3.SQLiteConn }

// errRuns says that somebody has the database open.
var errRuns = errors.New("Synapse has its database open: stop it first")

func openSQLiteToWrite(path string) (opened *sqliteWriter, err error) {
	path, info, err := resolve(path)
	if err != nil {
		return nil, err
	}
	var failed error
	if _, err := place.AsOwner(info, func() { opened, failed = beginToWrite(path) }); err != nil {
		return nil, err
	}
	return opened, failed
}

// beginToWrite opens the file for this process alone: with a log, Synapse holds a lock on it for as long as it runs.
func beginToWrite(path string) (w *sqliteWriter, err error) {
	conn, err := (&sqlite3.SQLiteDriver{}).Open((&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=rw&_busy_timeout=1000"}).String())
	if err != nil {
		return nil, fmt.Errorf("Synapse's database cannot be opened: %w", err)
	}
	w = &sqliteWriter{conn.(*sqlite3.SQLiteConn)}
	for _, statement := range []string{
		"PRAGMA trusted_schema = OFF", "PRAGMA temp_store = MEMORY", "PRAGMA synchronous = FULL", "PRAGMA locking_mode = EXCLUSIVE",
		"BEGIN EXCLUSIVE",
		// What lies beside the file while it is written is opened now, with the rights that this thread has.
		"UPDATE users SET name = name WHERE rowid = (SELECT MIN(rowid) FROM users)",
	} {
		if _, err := w.conn.Exec(statement, nil); err != nil {
			var of sqlite3.Error
			if errors.As(err, &of) && (of.Code == sqlite3.ErrBusy || of.Code == sqlite3.ErrLocked) {
				err = errRuns
			} else {
				err = fmt.Errorf("Synapse's database cannot be written: %w", err)
			}
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *sqliteWriter) set(_ context.Context, name, hash string) (known bool, err error) {
	result, err := w.conn.Exec("UPDATE users SET password_hash = ? WHERE name = ?", []driver.Value{hash, name})
	if err != nil {
		return false, fmt.Errorf("Synapse's database: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

func (w *sqliteWriter) commit(context.Context) error {
	if _, err := w.conn.Exec("COMMIT", nil); err != nil {
		return fmt.Errorf("Synapse's database: %w", err)
	}
	// With a log: nothing has to stay in it. Without one, this does nothing; and what fails here, Synapse does at its start.
	_, _ = w.conn.Exec("PRAGMA wal_checkpoint(TRUNCATE)", nil)
	return nil
}

func (w *sqliteWriter) close() error { return w.conn.Close() }
