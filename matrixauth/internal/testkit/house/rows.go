package house

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// tables are all that hold rows of ours.
var tables = []string{"users", "user_emails", "passwords", "sessions", "tokens", "outbox", "browser_sessions", "clients", "authorizations", "consents", "known_networks", "known_browsers", "homeserver", "events"}

// Rows is the content of every table, so that a test can tell that nothing was changed.
func (h *House) Rows() string {
	h.T.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.File)+"?mode=ro&_query_only=true")
	h.Must(err)
	defer func() { h.Must(db.Close()) }()
	var out strings.Builder
	for _, table := range tables {
		h.Must(dump(&out, db, table))
	}
	return out.String()
}

// Count is how many rows a table has, or those of a condition behind its name.
func (h *House) Count(where string, args ...any) (n int) {
	h.T.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.File)+"?mode=ro&_query_only=true")
	h.Must(err)
	defer func() { h.Must(db.Close()) }()
	h.Must(db.QueryRow("SELECT COUNT(*) FROM "+where, args...).Scan(&n))
	return n
}

// Pragma is the value of one of SQLite's.
func (h *House) Pragma(name string) (n int) {
	h.T.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.File)+"?mode=ro&_query_only=true")
	h.Must(err)
	defer func() { h.Must(db.Close()) }()
	h.Must(db.QueryRow("PRAGMA " + name).Scan(&n))
	return n
}

// SQL changes rows behind our back.
func (h *House) SQL(statement string, args ...any) {
	h.T.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.File)+"?_busy_timeout=5000&_sync=OFF")
	h.Must(err)
	defer func() { h.Must(db.Close()) }()
	_, err = db.Exec(statement, args...)
	h.Must(err)
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

// View reads from the store.
func (h *House) View(f func(tx *store.Tx) error) {
	h.T.Helper()
	h.Must(h.Store.View(context.Background(), f))
}

// UserID returns the id of an account.
func (h *House) UserID(localpart string) (id string) {
	h.T.Helper()
	h.View(func(tx *store.Tx) error {
		u, err := tx.UserByLocalpart(localpart)
		id = u.ID
		return err
	})
	return id
}

// SetAside lists the jobs that the homeserver refused for good.
func (h *House) SetAside() (jobs []model.Job) {
	h.T.Helper()
	h.View(func(tx *store.Tx) (err error) {
		jobs, err = tx.JobsSetAside(100)
		return err
	})
	return jobs
}

// SeedRows adds an account and its password as an import does, and has the homeserver know it.
func SeedRows(localpart, hash string, seed func(fake.User)) func(*store.Tx) error {
	seed(fake.User{Localpart: localpart})
	return func(tx *store.Tx) error {
		u := model.User{ID: model.NewID(tx.Now), Localpart: localpart, CreatedAt: tx.Now}
		if err := tx.InsertUser(u); err != nil {
			return err
		}
		return tx.SetPassword(u.ID, hash)
	}
}

// Seed adds an account as an import does: with a name that user add would refuse.
func (h *House) Seed(localpart, clear string) error {
	hash, err := h.Passwords.Hash(context.Background(), clear)
	if err != nil {
		return err
	}
	return h.Store.Update(context.Background(), SeedRows(localpart, hash, h.Fake.Seed))
}
