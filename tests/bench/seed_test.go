//go:build bench

package bench

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// tokenOf is the access token of the nth session of a seeded database.
func tokenOf(n int) string {
	body := fmt.Sprintf("mct_%030d", n)
	return body + "_" + checksum(body)
}

// seed fills a database that Caddy has made with live sessions, a token each, which were used before:
// the state of a server that has been up for a while.
func seed(t *testing.T, file string, sessions int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	now := time.Now().UnixMicro()
	const people = 1000
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		if _, err := tx.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	for person := range people {
		exec("INSERT INTO users (id, localpart, created_at) VALUES (?1, ?2, ?3)", userID(person), fmt.Sprintf("user%d", person), now)
	}
	type row struct {
		hash [32]byte
		n    int
	}
	rows := make([]row, sessions)
	for n := range rows {
		rows[n] = row{sha256.Sum256([]byte(tokenOf(n))), n}
		exec(`INSERT INTO sessions (id, kind, user_id, device_id, device_name, scope, generation, used_generation, pairs, created_at, last_active_at, last_ip, user_agent)
			VALUES (?1, 'compat', ?2, ?3, '', 'urn:matrix:client:api:*', 0, 0, 1, ?4, ?4, '', '')`, sessionID(n), userID(n%people), fmt.Sprintf("DEV%d", n), now)
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	for _, r := range rows {
		exec(`INSERT INTO tokens (hash, kind, session_id, generation, pair, created_at, used_at, user_id, localpart, device_id, scope)
			VALUES (?1, 'compat_access', ?2, 0, 1, ?3, ?3, ?4, ?5, ?6, 'urn:matrix:client:api:*')`,
			r.hash[:], sessionID(r.n), now, userID(r.n%people), fmt.Sprintf("user%d", r.n%people), fmt.Sprintf("DEV%d", r.n))
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
}

func userID(n int) string    { return fmt.Sprintf("01USER%020d", n) }
func sessionID(n int) string { return fmt.Sprintf("01SESS%020d", n) }

// rawCommits is how many durable one-row commits a second the disk takes, by the same driver and settings.
func rawCommits(t *testing.T, dir string, during time.Duration) float64 {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+dir+"/raw.db?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_stmt_cache_size=64")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)"); err != nil {
		t.Fatal(err)
	}
	start, count := time.Now(), 0
	for ; time.Since(start) < during; count++ {
		if _, err := db.Exec("INSERT INTO rows (text) VALUES (?1)", "a row of some length"); err != nil {
			t.Fatal(err)
		}
	}
	return float64(count) / time.Since(start).Seconds()
}
