package matrixauth

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

// rows is the content of every table, so that a test can tell that nothing was changed.
func (h *house) rows() string {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	var out strings.Builder
	for _, table := range tables {
		h.must(dump(&out, db, table))
	}
	return out.String()
}

// count is how many rows a table has, or those of a condition behind its name.
func (h *house) count(where string, args ...any) (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	h.must(db.QueryRow("SELECT COUNT(*) FROM "+where, args...).Scan(&n))
	return n
}

// pragma is the value of one of SQLite's.
func (h *house) pragma(name string) (n int) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	h.must(db.QueryRow("PRAGMA " + name).Scan(&n))
	return n
}

// sql changes rows behind our back.
func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?_busy_timeout=5000")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	_, err = db.Exec(statement, args...)
	h.must(err)
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

// view reads from the store.
func (h *house) view(f func(tx *store.Tx) error) {
	h.t.Helper()
	h.must(h.store.View(context.Background(), f))
}

func (h *house) userID(localpart string) (id string) {
	h.t.Helper()
	h.view(func(tx *store.Tx) error {
		u, err := tx.UserByLocalpart(localpart)
		id = u.ID
		return err
	})
	return id
}

// setAside lists the jobs that the homeserver refused for good.
func (h *house) setAside() (jobs []model.Job) {
	h.t.Helper()
	h.view(func(tx *store.Tx) (err error) {
		jobs, err = tx.JobsSetAside(100)
		return err
	})
	return jobs
}

// seedRows adds an account and its password as an import does, and has the homeserver know it.
func seedRows(localpart, hash string, seed func(fake.User)) func(*store.Tx) error {
	seed(fake.User{Localpart: localpart})
	return func(tx *store.Tx) error {
		u := model.User{ID: model.NewID(tx.Now), Localpart: localpart, CreatedAt: tx.Now}
		if err := tx.InsertUser(u); err != nil {
			return err
		}
		return tx.SetPassword(u.ID, hash)
	}
}

// seed adds an account as an import does: with a name that user add would refuse.
func (h *house) seed(localpart, clear string) error {
	hash, err := h.passwords.Hash(context.Background(), clear)
	if err != nil {
		return err
	}
	return h.store.Update(context.Background(), seedRows(localpart, hash, h.fake.Seed))
}
