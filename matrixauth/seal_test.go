package matrixauth_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const seeds seal.Purpose = "authenticator seeds"

// sealed seals a text.
func sealed(h *house.House, text string) (value []byte) {
	h.T.Helper()
	h.Must(h.Store.Update(h.T.Context(), func(tx *store.Tx) (err error) {
		value, err = h.Current().Seal().Seal(tx, seeds, "row", []byte(text))
		return err
	}))
	return value
}

// TestSeal: a server makes its seal once. One that is gone, or is another database's, is said by the log, the
// health, the metrics and the doctor, is never made anew while anything was sealed, and keeps nobody out.
func TestSeal(t *testing.T) {
	wantUsable := func(t *testing.T, h *house.House, usable bool, what string) {
		t.Helper()
		look := func(d *doctor.Visit) { d.SealedValues(t.Context()) }
		h.WantFinding(t, look, usable, what, map[bool]string{false: "put back"}[usable])
		if m := h.Metrics()["seal_usable"]; (m == 1) != usable {
			t.Errorf("the metric is %v", m)
		}
		health := h.Do(house.Call{Path: "/health", Inside: true})
		if got := strings.Contains(health.Body, `"seal":"unusable"`); got == usable || health.Status != http.StatusOK {
			t.Errorf("the health is %d %s", health.Status, health.Body)
		}
	}
	plant := map[string]struct {
		do   func(h *house.House) error
		what string
	}{
		"missing": {func(h *house.House) error { return os.Remove(matrixauth.SealFile(h.File)) }, "is missing"},
		"of_another_database": {func(h *house.House) error {
			other := house.New(h.T)
			text, err := os.ReadFile(matrixauth.SealFile(other.File))
			return errors.Join(err, os.WriteFile(matrixauth.SealFile(h.File), text, 0o600))
		}, "is another one"},
		"cut_short": {func(h *house.House) error { return os.Truncate(matrixauth.SealFile(h.File), 30) }, "cut short"},
		"a_link": {func(h *house.House) error {
			kept := filepath.Join(h.T.TempDir(), "kept")
			return errors.Join(os.Rename(matrixauth.SealFile(h.File), kept), os.Symlink(kept, matrixauth.SealFile(h.File)))
		}, "symbolic link"},
	}
	for name, test := range plant {
		t.Run(name, func(t *testing.T) {
			h := house.New(t)
			h.Add("alice")
			wantUsable(t, h, true, matrixauth.SealFile(h.File))
			kept, err := os.ReadFile(matrixauth.SealFile(h.File))
			h.Must(err)
			value := sealed(h, "the seed")
			h.Must(test.do(h))
			// What is in memory goes on, and the doctor says so before the next start.
			h.WantFinding(t, func(d *doctor.Visit) { d.SealedValues(t.Context()) }, false, "after the next start: authenticator seeds", "put back")
			h.Crash()
			wantUsable(t, h, false, test.what)
			if log := h.Log.String(); !strings.Contains(log, "the seal cannot be used") || !strings.Contains(log, matrixauth.SealFile(h.File)) || !strings.Contains(log, "cannot be opened: authenticator seeds") {
				t.Errorf("the log is %s", log)
			}
			if _, err := h.Current().Seal().Open(seeds, "row", value); err == nil {
				t.Error("it was opened")
			}
			h.Login("alice", nil)
			if err := os.Remove(matrixauth.SealFile(h.File)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			h.Must(os.WriteFile(matrixauth.SealFile(h.File), kept, 0o600))
			wantUsable(t, h, true, "keep a copy")
			if plain, err := h.Current().Seal().Open(seeds, "row", value); err != nil || string(plain) != "the seed" {
				t.Errorf("%q %v", plain, err)
			}
		})
	}
	t.Run("elsewhere", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.seal")
		h := house.New(t, func(c *matrixauth.Config) { c.SealFile = path })
		wantUsable(t, h, true, path)
		if _, err := os.Lstat(matrixauth.SealFile(h.File)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is one beside the database: %v", err)
		}
		value := sealed(h, "the seed")
		h.Crash()
		if plain, err := h.Current().Seal().Open(seeds, "row", value); err != nil || string(plain) != "the seed" {
			t.Errorf("%q %v", plain, err)
		}
	})
	t.Run("gone_while_the_server_runs", func(t *testing.T) {
		h := house.New(t)
		value := sealed(h, "the seed")
		kept, err := os.ReadFile(matrixauth.SealFile(h.File))
		h.Must(err)
		h.Current().CheckSeal(t.Context())
		if log := h.Logged(0, "the seal"); len(log) != 0 {
			t.Errorf("of one that is well the log tells %v", log)
		}
		h.Must(os.Remove(matrixauth.SealFile(h.File)))
		for range 2 {
			h.Current().CheckSeal(t.Context())
		}
		if log := h.Logged(0, "the seal cannot be used"); len(log) != 1 || !strings.Contains(fmt.Sprint(log[0]["error"]), "after the next start: authenticator seeds") {
			t.Errorf("the log tells %v", log)
		}
		// A reload is no start of the process: what is in memory is not lost with it.
		reloaded, err := matrixauth.New(h.Core, h.Config, matrixauth.Deps{Logger: h.Logger})
		h.Must(err)
		reloaded.Attach()
		if plain, err := reloaded.Seal().Open(seeds, "row", value); err != nil || string(plain) != "the seed" {
			t.Errorf("after a reload: %q %v", plain, err)
		}
		h.Must(os.WriteFile(matrixauth.SealFile(h.File), kept, 0o600))
		for range 2 {
			h.Current().CheckSeal(t.Context())
		}
		if log := h.Logged(0, "the seal can be used again"); len(log) != 1 {
			t.Errorf("the log tells %v", log)
		}
	})
	t.Run("a_relative_path_is_refused", func(t *testing.T) {
		c := matrixauth.Config{ServerName: house.ServerName, Issuer: house.Issuer, SealFile: "other.seal"}.WithDefaults()
		if all := c.Validate(); len(all) != 1 || all[0].Option != "seal_file" {
			t.Errorf("%v", all)
		}
	})
	t.Run("a_backup_does_not_hold_it", func(t *testing.T) {
		h := house.New(t)
		sealed(h, "the seed")
		text, err := os.ReadFile(matrixauth.SealFile(h.File))
		h.Must(err)
		copied, err := h.Store.Copy(t.Context())
		h.Must(err)
		content, err := os.ReadFile(copied.Name())
		h.Must(errors.Join(err, copied.Close()))
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
	core, err := matrixauth.Open(t.Context(), matrixauth.OpenOptions{Database: file, Create: true})
	if err := errors.Join(err, core.Close()); err != nil {
		t.Fatal(err)
	}
	config := matrixauth.Config{ServerName: house.ServerName, Issuer: house.Issuer, Secret: house.SharedKey}.WithDefaults()
	for _, aside := range []bool{false, true} {
		o, err := matrixauth.Reach(t.Context(), matrixauth.Target{Database: file, Aside: aside}, config, matrixauth.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(o.Close(), removed(matrixauth.SealFile(file))); err != nil {
			t.Error(err)
		}
	}
}
