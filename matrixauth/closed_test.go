package matrixauth_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// drawer is a directory with the files of a server that is not running.
type drawer struct {
	t             testing.TB
	database, key string
}

func newDrawer(t testing.TB) drawer {
	dir := filepath.Join(t.TempDir(), "data")
	return drawer{t, filepath.Join(dir, "matrix_auth.db"), filepath.Join(dir, "matrix_auth.key")}
}

func (d drawer) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d drawer) put(path string, content []byte) {
	d.t.Helper()
	d.must(os.MkdirAll(filepath.Dir(path), 0o700))
	d.must(os.WriteFile(path, content, 0o600))
}

// files are the files with their contents, as a text.
func (d drawer) files() (all []string) {
	d.t.Helper()
	d.must(filepath.WalkDir(filepath.Dir(filepath.Dir(d.database)), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			all = append(all, path)
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s %x", path, content))
		return err
	}))
	return all
}

// open opens the database as a server does, and closes it.
func (d drawer) open(change ...func(*matrixauth.OpenOptions)) error {
	o := matrixauth.OpenOptions{Database: d.database, Create: true}
	for _, c := range change {
		c(&o)
	}
	core, err := matrixauth.Open(d.t.Context(), o)
	if err != nil {
		return err
	}
	return core.Close()
}

// filesOf returns a copy of a house's database, and its keys.
func filesOf(h *house.House) (database, keys []byte) {
	h.T.Helper()
	made, err := h.Store.Copy(h.T.Context())
	h.Must(err)
	database, err = io.ReadAll(made)
	h.Must(errors.Join(err, made.Close()))
	keys, err = os.ReadFile(matrixauth.KeyFile(h.File))
	h.Must(err)
	return database, keys
}

// TestClosed: where there are keys of tokens and not the database that they belong to, nothing is opened and nothing is
// made: a new database would have clients sign out and destroy what they have.
func TestClosed(t *testing.T) {
	h := house.New(t)
	unused, keys := filesOf(h)
	h.Add("alice")
	used, _ := filesOf(h)
	other, otherKeys := filesOf(house.New(t))
	put := func(database, keys []byte) func(drawer) {
		return func(d drawer) {
			if database != nil {
				d.put(d.database, database)
			}
			if keys != nil {
				d.put(d.key, keys)
			}
		}
	}
	for name, c := range map[string]struct {
		setup func(drawer)
		// closed is a part of what is wrong; empty if it opens.
		closed string
		// late says that it cannot be told without a trace.
		late bool
	}{
		"nothing_at_all_is_a_fresh_installation":           {setup: func(drawer) {}},
		"as_it_was":                                        {setup: put(used, keys)},
		"of_before_there_were_keys":                        {setup: put(used, nil)},
		"without_accounts_it_knows_its_keys":               {setup: put(unused, keys)},
		"with_accounts_it_needs_to_know_none":              {setup: put(used, otherKeys)},
		"without_accounts_and_keys_that_a_crash_kept_back": {setup: put(unused, nil)},
		"a_key_that_was_not_put_in_its_place": {setup: func(d drawer) {
			put(unused, nil)(d)
			d.put(d.key+".new", keys)
		}},
		"a_damaged_key_beside_accounts":  {setup: put(used, []byte("x"))},
		"no_database":                    {setup: put(nil, keys), closed: "is not there"},
		"no_database_and_a_damaged_key":  {setup: put(nil, []byte("x")), closed: "is not there"},
		"an_empty_file":                  {setup: put([]byte{}, keys), closed: "is empty"},
		"another_new_database":           {setup: put(other, keys), closed: "knows none of these keys"},
		"a_damaged_key_without_accounts": {setup: put(unused, []byte("x")), closed: "cannot be compared"},
		"no_tables": {setup: func(d drawer) {
			put(nil, keys)(d)
			sqlite.Exec(t, d.database, "PRAGMA user_version = 1")
			d.must(os.Chmod(d.database, 0o600))
		}, closed: "is empty"},
		"a_version_that_knew_no_keys": {setup: func(d drawer) {
			put(unused, keys)(d)
			sqlite.Exec(t, d.database, "DROP TABLE token_keys; PRAGMA journal_mode = DELETE")
		}, closed: "knows none of these keys"},
		"rows_that_are_in_the_log_alone": {setup: func(d drawer) {
			put(nil, keys)(d)
			d.crashed(func(path string) {
				sqlite.Exec(t, path, "INSERT INTO users (id, localpart, created_at) VALUES ('u', 'alice', 0)")
			}, unused)
		}},
		"another_new_one_with_rows_in_the_log": {setup: func(d drawer) {
			put(nil, keys)(d)
			d.crashed(func(path string) { sqlite.Exec(t, path, "UPDATE token_keys SET noted_at = 1") }, other)
		}, closed: "knows none of these keys", late: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrawer(t)
			c.setup(d)
			before := d.files()
			early := matrixauth.CheckClosed(t.Context(), d.database, "")
			forget := matrixauth.CheckForget(t.Context(), d.database, "")
			if after := d.files(); !slices.Equal(before, after) {
				t.Errorf("a look leaves a trace:\n%s\n%s", before, after)
			}
			var closed *matrixauth.ClosedError
			if want := c.closed != "" && !c.late; errors.As(early, &closed) != want || (forget == nil) != want {
				t.Errorf("at a look: %v; forget: %v", early, forget)
			}
			err := d.open()
			if c.closed == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &closed) || closed.Database != d.database || closed.KeyFile != d.key || !strings.Contains(closed.What, c.closed) {
				t.Fatalf("%v", err)
			}
			for _, word := range []string{d.database, d.key, "caddy matrix-auth restore FILE", "caddy matrix-auth forget"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v does not name %s", err, word)
				}
			}
			if after := d.files(); !c.late && !slices.Equal(before, after) {
				t.Errorf("there was\n%s\nand is\n%s", before, after)
			}
			// A backup is no server's database, and has no keys.
			if err := d.open(func(o *matrixauth.OpenOptions) { o.Aside = true }); errors.As(err, &closed) {
				t.Errorf("aside: %v", err)
			}
			d.must(os.RemoveAll(filepath.Dir(d.database)))
			put(used, keys)(d)
			d.must(d.open())
		})
	}
	t.Run("keys_elsewhere", func(t *testing.T) {
		d := newDrawer(t)
		elsewhere := filepath.Join(t.TempDir(), "other.key")
		d.must(os.WriteFile(elsewhere, keys, 0o600))
		var closed *matrixauth.ClosedError
		if err := d.open(func(o *matrixauth.OpenOptions) { o.KeyFile = elsewhere }); !errors.As(err, &closed) || closed.KeyFile != elsewhere {
			t.Errorf("%v", err)
		}
	})
	t.Run("another_program's_database_is_no_empty_one", func(t *testing.T) {
		d := newDrawer(t)
		put(nil, keys)(d)
		sqlite.Exec(t, d.database, "CREATE TABLE folders (name TEXT)")
		var closed *matrixauth.ClosedError
		if err := d.open(); err == nil || errors.As(err, &closed) || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%v", err)
		}
	})
	// The server name of a configuration may be mistyped as long as there are no accounts.
	t.Run("another_server_name", func(t *testing.T) {
		d := newDrawer(t)
		for _, name := range []string{"exmaple.org", "example.org"} {
			core, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: d.database, Create: true})
			d.must(err)
			server, err := matrixauth.New(core, matrixauth.Config{ServerName: name, Issuer: house.Issuer, Secret: strings.Repeat("s", 32)}.WithDefaults(), matrixauth.Deps{})
			d.must(err)
			server.Start()
			server.Stop()
			d.must(core.Close())
		}
	})
}

// crashed puts the files of a database in place that a process left which was killed after it changed something.
func (d drawer) crashed(change func(path string), database []byte) {
	d.t.Helper()
	live := filepath.Join(d.t.TempDir(), "live.db")
	d.put(live, database)
	core, err := matrixauth.Open(d.t.Context(), matrixauth.OpenOptions{Database: live})
	d.must(err)
	change(live)
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(live + suffix)
		d.must(err)
		d.put(d.database+suffix, content)
	}
	d.must(core.Close())
}

// TestForgetKeys: keys are put aside under a name that says when, and never deleted.
func TestForgetKeys(t *testing.T) {
	_, keys := filesOf(house.New(t))
	d := newDrawer(t)
	day := time.Date(2026, 11, 27, 23, 0, 0, 0, time.UTC)
	for _, want := range []string{".forgotten-2026-11-27", ".forgotten-2026-11-27-2", ".forgotten-2026-11-27-3"} {
		d.put(d.key, keys)
		kept, err := matrixauth.ForgetKeys(t.Context(), d.database, "", day)
		d.must(err)
		if content, err := os.ReadFile(kept); err != nil || kept != d.key+want || string(content) != string(keys) {
			t.Errorf("kept as %s, %v", kept, err)
		}
		if _, err := matrixauth.ForgetKeys(t.Context(), d.database, "", day); !errors.Is(err, matrixauth.ErrNothingToForget) {
			t.Errorf("without keys: %v", err)
		}
	}
	d.must(d.open())
	if _, err := os.Lstat(d.database); err != nil {
		t.Error("no database is made afterwards")
	}
}
