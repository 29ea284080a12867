package synapsedb

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const anotherHash = "$2b$04$tBqwRDwNSQUmFRxEMeV.fOUQbcLdFlHQsCJXO3qXizMlLwDENOq7."

// each gives out pairs of a name and a hash.
func each(pairs ...string) func() (name, hash string, ok bool, err error) {
	return func() (name, hash string, ok bool, err error) {
		if len(pairs) == 0 {
			return "", "", false, nil
		}
		name, hash, pairs = pairs[0], pairs[1], pairs[2:]
		return name, hash, true, nil
	}
}

func writePasswords(t testing.TB, o Options, pairs ...string) (written int64, unknown []string, err error) {
	t.Helper()
	w, err := OpenToWrite(t.Context(), o)
	must(t, err)
	defer func() { must(t, w.Close()) }()
	return w.WritePasswords(t.Context(), each(pairs...))
}

func hashOf(t testing.TB, path, name string) string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	var hash sql.NullString
	must(t, db.QueryRow("SELECT password_hash FROM users WHERE name = ?", name).Scan(&hash))
	return hash.String
}

// TestWritesPasswords writes hashes back, tells which names are not there, and leaves nothing beside the file.
func TestWritesPasswords(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			path := closed(t, mode, aliceAndBob)
			written, unknown, err := writePasswords(t, optionsOf(path), "@bob:example.org", anotherHash, "@nobody:example.org", anotherHash)
			must(t, err)
			if diff := cmp.Diff([]string{"@nobody:example.org"}, unknown); written != 1 || diff != "" {
				t.Errorf("%d were written, and these are not there (-want +got):\n%s", written, diff)
			}
			if beside, err := filepath.Glob(path + "-*"); err != nil || len(beside) > 0 {
				t.Errorf("%q is left (%v)", beside, err)
			}
			if got := hashOf(t, path, "@bob:example.org"); got != anotherHash {
				t.Errorf("the hash is %q", got)
			}
			if got := hashOf(t, path, "@alice:example.org"); got != aHash {
				t.Errorf("that of another user is %q", got)
			}
		})
	}
}

// TestWritesAllOrNone undoes what was written before something went wrong.
func TestWritesAllOrNone(t *testing.T) {
	path := closed(t, "WAL", aliceAndBob)
	if _, _, err := writePasswords(t, optionsOf(path), "@bob:example.org", anotherHash, "@alice:example.org", "$argon2id$v=19$m=1"); err == nil {
		t.Error("it wrote a hash that Synapse does not understand")
	}
	if got := hashOf(t, path, "@bob:example.org"); got != "" {
		t.Errorf("the hash before it is %q", got)
	}
}

// TestWritesNotBesideSynapse refuses while Synapse runs, and Synapse cannot start while it writes.
func TestWritesNotBesideSynapse(t *testing.T) {
	path, db := synapse(t, "WAL", aliceAndBob)
	if _, err := OpenToWrite(t.Context(), optionsOf(path)); !errors.Is(err, errRuns) {
		t.Fatalf("it says %v", err)
	}
	must(t, db.Close())
	w, err := OpenToWrite(t.Context(), optionsOf(path))
	must(t, err)
	defer func() { must(t, w.Close()) }()
	other, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=1")
	must(t, err)
	defer func() { must(t, other.Close()) }()
	if _, err := other.Exec("UPDATE users SET admin = 1"); err == nil {
		t.Error("another wrote meanwhile")
	}
}
