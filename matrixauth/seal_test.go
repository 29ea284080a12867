package matrixauth

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const seeds seal.Purpose = "authenticator seeds"

// sealed seals a text.
func (h *house) sealed(text string) (value []byte) {
	h.t.Helper()
	h.must(h.store.Update(h.t.Context(), func(tx *store.Tx) (err error) {
		value, err = h.current().Seal().Seal(tx, seeds, "row", []byte(text))
		return err
	}))
	return value
}

// TestSeal: a server makes its seal once. One that is gone, or is another database's, is said by the log, the
// health, the metrics and the doctor, is never made anew while anything was sealed, and keeps nobody out.
func TestSeal(t *testing.T) {
	wantUsable := func(t *testing.T, h *house, usable bool, what string) {
		t.Helper()
		look := func(d *doctor.Visit) { d.SealedValues(t.Context()) }
		h.wantFinding(t, look, usable, what, map[bool]string{false: "put back"}[usable])
		if m := h.metrics()["seal_usable"]; (m == 1) != usable {
			t.Errorf("the metric is %v", m)
		}
		health := h.do(call{path: "/health", inside: true})
		if got := strings.Contains(health.body, `"seal":"unusable"`); got == usable || health.status != http.StatusOK {
			t.Errorf("the health is %d %s", health.status, health.body)
		}
	}
	plant := map[string]struct {
		do   func(h *house) error
		what string
	}{
		"missing": {func(h *house) error { return os.Remove(SealFile(h.file)) }, "is missing"},
		"of_another_database": {func(h *house) error {
			other := newHouse(h.t)
			text, err := os.ReadFile(SealFile(other.file))
			return errors.Join(err, os.WriteFile(SealFile(h.file), text, 0o600))
		}, "is another one"},
		"cut_short": {func(h *house) error { return os.Truncate(SealFile(h.file), 30) }, "cut short"},
		"a_link": {func(h *house) error {
			kept := filepath.Join(h.t.TempDir(), "kept")
			return errors.Join(os.Rename(SealFile(h.file), kept), os.Symlink(kept, SealFile(h.file)))
		}, "symbolic link"},
	}
	for name, test := range plant {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.add("alice")
			wantUsable(t, h, true, SealFile(h.file))
			kept, err := os.ReadFile(SealFile(h.file))
			h.must(err)
			value := h.sealed("the seed")
			h.must(test.do(h))
			// What is in memory goes on, and the doctor says so before the next start.
			h.wantFinding(t, func(d *doctor.Visit) { d.SealedValues(t.Context()) }, false, "after the next start: authenticator seeds", "put back")
			h.crash()
			wantUsable(t, h, false, test.what)
			if log := h.log.String(); !strings.Contains(log, "the seal cannot be used") || !strings.Contains(log, SealFile(h.file)) || !strings.Contains(log, "cannot be opened: authenticator seeds") {
				t.Errorf("the log is %s", log)
			}
			if _, err := h.current().Seal().Open(seeds, "row", value); err == nil {
				t.Error("it was opened")
			}
			h.login("alice", nil)
			if err := os.Remove(SealFile(h.file)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			h.must(os.WriteFile(SealFile(h.file), kept, 0o600))
			wantUsable(t, h, true, "keep a copy")
			if plain, err := h.current().Seal().Open(seeds, "row", value); err != nil || string(plain) != "the seed" {
				t.Errorf("%q %v", plain, err)
			}
		})
	}
	t.Run("elsewhere", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.seal")
		h := newHouse(t, func(c *Config) { c.SealFile = path })
		wantUsable(t, h, true, path)
		if _, err := os.Lstat(SealFile(h.file)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is one beside the database: %v", err)
		}
		value := h.sealed("the seed")
		h.crash()
		if plain, err := h.current().Seal().Open(seeds, "row", value); err != nil || string(plain) != "the seed" {
			t.Errorf("%q %v", plain, err)
		}
	})
	t.Run("a_relative_path_is_refused", func(t *testing.T) {
		c := Config{ServerName: serverName, Issuer: issuer, SealFile: "other.seal"}.WithDefaults()
		if all := c.Validate(); len(all) != 1 || all[0].Option != "seal_file" {
			t.Errorf("%v", all)
		}
	})
	t.Run("a_backup_does_not_hold_it", func(t *testing.T) {
		h := newHouse(t)
		h.sealed("the seed")
		text, err := os.ReadFile(SealFile(h.file))
		h.must(err)
		copied, err := h.store.Copy(t.Context())
		h.must(err)
		content, err := os.ReadFile(copied.Name())
		h.must(errors.Join(err, copied.Close()))
		if bytes.Contains(content, bytes.Split(text, []byte("\n"))[1]) {
			t.Error("it does")
		}
	})
}

// removed is an error if a file is there.
func removed(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return errors.New(path + " is there")
	}
	return nil
}

// TestSealOfCommands: a command that opens a database without a server makes no seal, and one that looks into a
// backup touches none.
func TestSealOfCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "matrix_auth.db")
	core, err := Open(t.Context(), OpenOptions{Database: file, Create: true})
	if err := errors.Join(err, core.Close()); err != nil {
		t.Fatal(err)
	}
	config := Config{ServerName: serverName, Issuer: issuer, Secret: sharedKey}.WithDefaults()
	for _, aside := range []bool{false, true} {
		o, err := Reach(t.Context(), Target{Database: file, Aside: aside}, config, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(o.Close(), removed(SealFile(file))); err != nil {
			t.Error(err)
		}
	}
}
