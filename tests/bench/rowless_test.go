//go:build bench

package bench

import (
	"bufio"
	"crypto/hkdf"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

// minter makes tokens of which a database has no row, as a server has given them out whose database went back in time
// since. It knows of them what docs/sessions.md says.
type minter struct {
	number byte
	ka, kb []byte
	server [2]byte
}

func newMinter(t *testing.T, s server) minter {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "matrix_auth.key"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var m minter
	var encoded string
	if _, err := fmt.Sscan(lines[len(lines)-1], &m.number, &encoded); err != nil {
		t.Fatal(err)
	}
	master, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	key := func(purpose string) []byte {
		made, err := hkdf.Key(sha256.New, master, nil, "matrix-auth token: "+purpose+" of "+s.ServerName, sha256.Size)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	sum := sha256.Sum256([]byte(s.ServerName))
	m.ka, m.kb, m.server = key("tag A"), key("tag B"), [2]byte(sum[:])
	return m
}

// token is one of a seeded session, which has no seed, of some seconds ago.
func (m minter) token(prefix string, session int, generation uint32) string {
	id := ulid.MustParseStrict(sessionID(session))
	const claims = 48
	body := make([]byte, claims, claims+2*8)
	body[0], body[1] = 1, m.number
	copy(body[2:], m.server[:])
	copy(body[4:], id[:])
	binary.BigEndian.PutUint32(body[21:], generation)
	binary.BigEndian.PutUint32(body[25:], uint32(time.Now().Add(-10*time.Second).Unix()))
	body[30], body[31] = 300>>8, 300&0xff
	_, _ = crand.Read(body[32:])
	tag := func(key []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(prefix))
		mac.Write(body[:claims])
		return mac.Sum(nil)[:8]
	}
	body = append(append(body, tag(m.ka)...), tag(m.kb)...)
	text := prefix
	for i := 0; i < len(body); i += 8 {
		var digits [11]byte
		n := binary.BigEndian.Uint64(body[i:])
		for d := len(digits) - 1; d >= 0; d-- {
			digits[d], n = base62[n%62], n/62
		}
		text += string(digits[:])
	}
	return text + "_" + checksum(text)
}

// checksum is the last part of a token, by all before it.
func checksum(text string) string {
	digits := ""
	for sum := crc32.ChecksumIEEE([]byte(text)); sum > 0; sum /= 62 {
		digits += string(base62[sum%62])
	}
	return strings.Repeat("0", 6-len(digits)) + digits
}

// active reports what an introspection says of a token.
func active(t *testing.T, s server, token string) bool {
	t.Helper()
	conn, err := net.Dial("tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var told struct{ Active bool }
	if err := call(conn, bufio.NewReader(conn), introspect(s, "/oauth2/introspect", token), &told); err != nil {
		t.Fatal(err)
	}
	return told.Active
}

// rowlessRows measures the time after a backup was put back: each token comes for the first time, and is of the future.
// There is no budget, as that is not every day.
func rowlessRows(t *testing.T, table *table, s server, sessions int) {
	m := newMinter(t, s)
	if !active(t, s, m.token("mct_", 0, 1)) {
		t.Fatal("a token without a row is not taken")
	}
	from := len(table.rows)
	introspection(t, table, s, "introspection of tokens without a row", func(r *rand.Rand) string { return m.token("mct_", r.IntN(sessions), 1) })
	next := make([]uint32, connections)
	refreshes(t, table, s, "refresh without a row", chain{
		begin: func(net.Conn, *bufio.Reader, int) (login, error) { return login{}, nil },
		next: func(client int, _ login) []byte {
			// Each as if the database had been put back once more: of the generation after, and unknown.
			next[client]++
			return legacyRefresh(s, m.token("mcr_", client, next[client]))
		},
	})
	for i := range table.rows[from:] {
		table.rows[from+i][2] = ""
	}
}
