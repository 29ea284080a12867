package synapsedb

import (
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

//go:embed testdata/schema.sql
var schema string

const (
	server = "example.org"
	aHash  = "$2b$04$o7MIRtgjGTSzLXjM9r4rHOrwS/P14M/O0bMOCgNVR319N/Ia5FCXu"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// synapse makes a database as Synapse has it, in a directory of its own, and leaves it open.
func synapse(t testing.TB, mode string, statements ...string) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "homeserver.db")
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode="+mode)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	for _, statement := range append([]string{schema}, statements...) {
		_, err := db.Exec(statement)
		must(t, err)
	}
	return path, db
}

// closed is synapse after it was stopped.
func closed(t testing.TB, mode string, statements ...string) (path string) {
	t.Helper()
	path, db := synapse(t, mode, statements...)
	must(t, db.Close())
	return path
}

func optionsOf(path string) Options {
	return Options{SQLite: path, ServerName: server, Now: func() time.Time { return now }}
}

func open(t testing.TB, path string) *Database {
	t.Helper()
	d, err := Open(t.Context(), optionsOf(path))
	must(t, err)
	return d
}

// accounts reads all of them, and what was found.
func accounts(t testing.TB, d *Database) (accounts []move.Account, found map[move.Code]int64) {
	t.Helper()
	var findings move.Findings
	must(t, d.Accounts(t.Context(), &findings, func(a move.Account) error {
		accounts = append(accounts, a)
		return nil
	}))
	found = map[move.Code]int64{}
	for _, f := range findings.All() {
		found[f.Code] = f.Count
	}
	return accounts, found
}

const aliceAndBob = `
	INSERT INTO users (name, password_hash, creation_ts, admin) VALUES ('@bob:example.org', NULL, 1700000000, 0), ('@alice:example.org', '` + aHash + `', 1600000000, 1);
	INSERT INTO user_threepids VALUES ('@alice:example.org', 'email', 'Alice@example.com', 1600000001000, 1600000002000), ('@alice:example.org', 'msisdn', '491701', 0, 0);
	INSERT INTO user_external_ids VALUES ('oidc-github', '17', '@bob:example.org');
	INSERT INTO devices VALUES ('@bob:example.org', 'BOBS', 'Phone', 1700000009000, '192.0.2.1', 'Element', 0), ('@alice:example.org', 'HERS', NULL, NULL, '-', NULL, NULL),
		('@gone:example.org', 'X', NULL, NULL, NULL, NULL, 0);
	INSERT INTO access_tokens (id, user_id, device_id, token) VALUES (1, '@bob:example.org', 'BOBS', 'syt_bob'), (2, '@alice:example.org', NULL, 'syt_bot'), (3, '@alice:example.org', 'HERS', 'syt_alice');
	INSERT INTO registration_tokens VALUES ('free', NULL, 1, 2, NULL), ('spent', 2, 0, 2, NULL), ('old', NULL, 0, 0, 1000), ('two', 3, 1, 1, 1900000000000);`

// TestReadsSQLite reads whole accounts, merged from all tables in the order of their names.
func TestReadsSQLite(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			d := open(t, closed(t, mode, aliceAndBob))
			defer func() { must(t, d.Close()) }()
			judgeAliceAndBob(t, d)
		})
	}
}

func judgeAliceAndBob(t *testing.T, d *Database) {
	t.Helper()
	got, found := accounts(t, d)
	want := []move.Account{{
		Name: "@alice:example.org", Localpart: "alice", CreatedAt: time.Unix(1600000000, 0).UTC(), Admin: true, PasswordHash: aHash,
		Emails: []move.Address{{Address: "Alice@example.com", AddedAt: time.Unix(1600000002, 0).UTC()}},
		Others: []move.Threepid{{Medium: "msisdn", Address: "491701"}},
		Sessions: []move.Session{
			{Tokens: []move.Token{{Hash: model.HashToken("syt_bot"), Pair: 1}}},
			{DeviceID: "HERS", Tokens: []move.Token{{Hash: model.HashToken("syt_alice"), Pair: 1}}},
		},
	}, {
		Name: "@bob:example.org", Localpart: "bob", CreatedAt: time.Unix(1700000000, 0).UTC(), Links: []move.Link{{Provider: "oidc-github", Subject: "17"}},
		Sessions: []move.Session{{
			DeviceID: "BOBS", DeviceName: "Phone", LastActiveAt: time.Unix(1700000009, 0).UTC(), LastIP: "192.0.2.1", UserAgent: "Element",
			Tokens: []move.Token{{Hash: model.HashToken("syt_bob"), Pair: 1}},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the accounts are not as they were there (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[move.Code]int64{"unknown_user_device": 1, "token_without_device": 1, "no_password": 1}, found); diff != "" {
		t.Errorf("what was found (-want +got):\n%s", diff)
	}
	counts, err := d.Counts(t.Context())
	must(t, err)
	if diff := cmp.Diff(move.Counts{Users: 2, Devices: 3, AccessTokens: 3, Emails: 1, OtherThreepids: 1, ExternalIDs: 1, RegistrationTokens: 4}, counts); diff != "" {
		t.Errorf("the counts (-want +got):\n%s", diff)
	}
	var tokens []string
	var findings move.Findings
	must(t, d.RegistrationTokens(t.Context(), &findings, func(r move.RegistrationToken) error {
		uses := "no limit"
		if r.Uses != nil {
			uses = fmt.Sprint(*r.Uses)
		}
		tokens = append(tokens, fmt.Sprint(r.Token, " ", uses, " ", r.Used, " ", r.ExpiresAt.UnixMilli()))
		return nil
	}))
	if diff := cmp.Diff([]string{fmt.Sprint("free no limit 2 ", time.Time{}.UnixMilli()), "two 3 1 1900000000000"}, tokens); diff != "" {
		t.Errorf("the registration tokens (-want +got):\n%s", diff)
	}
	if n := len(findings.All()); n != 2 {
		t.Errorf("%d kinds were found among the registration tokens, not that one is used up and one expired", n)
	}
}

// TestReadsBesideSynapse reads a file that Synapse has open: what was committed before, and nothing that comes meanwhile.
func TestReadsBesideSynapse(t *testing.T) {
	path, db := synapse(t, "WAL", aliceAndBob)
	d := open(t, path)
	defer func() { must(t, d.Close()) }()
	_, err := db.Exec("INSERT INTO users (name) VALUES ('@later:example.org')")
	must(t, err)
	judgeAliceAndBob(t, d)
}

// TestToldThatItWasWritten: a file without a log is read without a lock, so that one that was written meanwhile is not of
// one moment.
func TestToldThatItWasWritten(t *testing.T) {
	path := closed(t, "DELETE", aliceAndBob)
	d := open(t, path)
	defer func() { must(t, d.Close()) }()
	db, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	_, err = db.Exec("INSERT INTO users (name) VALUES ('@later:example.org')")
	must(t, err)
	must(t, db.Close())
	if err := d.Accounts(t.Context(), &move.Findings{}, func(move.Account) error { return nil }); !errors.Is(err, errWritten) {
		t.Errorf("it says %v", err)
	}
}

// TestRefuses says what to do about each file that cannot be read.
func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path func(t *testing.T) string
		says string
	}{
		"missing":   {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, "cannot be found"},
		"directory": {func(t *testing.T) string { return t.TempDir() }, "is no file"},
		"other file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "x")
			must(t, os.WriteFile(path, []byte(strings.Repeat("text ", 100)), 0o600))
			return path
		}, "no database of SQLite"},
		"not Synapse's":    {func(t *testing.T) string { return closed(t, "DELETE", "DROP TABLE schema_version") }, "not Synapse's database"},
		"too old":          {func(t *testing.T) string { return closed(t, "DELETE", "UPDATE schema_version SET version = 72") }, "of schema 72 and has to be of 85"},
		"without a column": {func(t *testing.T) string { return closed(t, "DELETE", "ALTER TABLE users DROP COLUMN approved") }, "schema 94, but has no column users.approved"},
		"hot journal": {func(t *testing.T) string {
			path := closed(t, "DELETE")
			must(t, os.WriteFile(path+"-journal", []byte("\xd9\xd5\x05\xf9 and so on"), 0o600))
			return path
		}, "start Synapse and stop it once"},
		"log without its index": {func(t *testing.T) string {
			path := closed(t, "WAL")
			must(t, os.WriteFile(path+"-wal", []byte("x"), 0o600))
			return path
		}, "start Synapse and stop it once"},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.path(t)
			before := listing(t, filepath.Dir(path))
			d, err := Open(t.Context(), optionsOf(path))
			if err == nil {
				must(t, d.Close())
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v", err)
			}
			if diff := cmp.Diff(before, listing(t, filepath.Dir(path))); diff != "" {
				t.Errorf("it left a trace:\n%s", diff)
			}
		})
	}
}

// listing is a directory as one sees it: names, modes, owners, sizes and times.
func listing(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		must(t, err)
		changed := info.ModTime().String()
		if strings.HasSuffix(entry.Name(), "-shm") {
			changed = "" // it is the memory that those share who have the file open, and kept by none
		}
		all = append(all, fmt.Sprint(entry.Name(), " ", info.Mode(), " ", ownerOf(info), " ", info.Size(), " ", changed))
	}
	return all
}
