//go:build bench

package bench

import (
	"bufio"
	"database/sql"
	"fmt"
	"net"
	"testing"
	"time"
)

// storage measures what refreshes leave in the database: at once, and when their tokens have had their day.
func storage(t *testing.T, table *table, s server) {
	const refreshes, later = 3000, 1000
	client := newRefresher(t, s)
	before := usedBytes(t, s)
	client.refresh(refreshes)
	fresh := usedBytes(t, s) - before
	table.row("database: bytes per 1,000 refreshes", fmt.Sprint(fresh*1000/refreshes), "")

	s.Stop()
	age(t, s, 2*time.Hour)
	s.Start()
	client.connect()
	client.refresh(later)
	left := usedBytes(t, s) - before - fresh*later/refreshes
	table.row("database: bytes per 1,000 refreshes, two hours and some refreshes later", fmt.Sprint(max(left, 0)*1000/refreshes), "<= 100000")
}

// refresher is a client that refreshes one session.
type refresher struct {
	t      *testing.T
	server server
	chain  chain
	conn   net.Conn
	reader *bufio.Reader
	tokens login
}

func newRefresher(t *testing.T, s server) *refresher {
	r := &refresher{t: t, server: s, chain: legacyChain(s)}
	r.connect()
	var err error
	if r.tokens, err = r.chain.begin(r.conn, r.reader, 0); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *refresher) connect() {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	r.conn, r.reader = conn, bufio.NewReader(conn)
}

func (r *refresher) refresh(times int) {
	r.t.Helper()
	for range times {
		if err := call(r.conn, r.reader, r.chain.next(0, r.tokens), &r.tokens); err != nil {
			r.t.Fatal(err)
		}
	}
}

// usedBytes is the size of the database without what is free in it.
func usedBytes(t *testing.T, s server) int {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+s.Database()+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var pages, free, size int
	for name, into := range map[string]*int{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := db.QueryRow("PRAGMA " + name).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	return (pages - free) * size
}

// age makes the tokens of a database that nobody has open older.
func age(t *testing.T, s server, by time.Duration) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+s.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE tokens SET created_at = created_at - ?1, expires_at = expires_at - ?1, used_at = used_at - ?1", by.Microseconds()); err != nil {
		t.Fatal(err)
	}
}
