package tests

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // by which a test notes that something was sealed

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// lostSeal has a Caddy start without the seal of its database: people sign in, the loss is said wherever an operator
// looks, and no other seal is made while something hangs on the old one. Nothing seals yet, so the test notes itself that
// something was sealed.
func lostSeal(t *testing.T, h *rig.Homeserver, user, password string) {
	path := filepath.Join(h.Dir, "matrix_auth.seal")
	sealed := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite3", h.Database())
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	health := func() string {
		t.Helper()
		answer, err := http.Get(h.Internal + "health")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", answer.StatusCode, err)
		}
		var told struct{ Seal string }
		if err := json.Unmarshal(body, &told); err != nil {
			t.Fatal(err)
		}
		return told.Seal
	}
	usable := func() float64 {
		t.Helper()
		found, _ := scrape(t, h.Caddy)
		return found.value(t, "matrix_auth_seal_usable", "")
	}
	if usable() != 1 {
		t.Fatal("the seal cannot be used before it is lost")
	}
	h.Caddy.Stop()
	sealed("INSERT INTO seals (purpose, key_id, sealed_at) VALUES ('authenticator seeds', 'a key', 0)")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	h.Caddy.Start()
	h.Login(user, password, nil).Must(t, http.StatusOK)
	if told := health(); told != "unusable" {
		t.Errorf("the health calls the seal %q", told)
	}
	if usable() != 0 {
		t.Error("the metric calls the seal usable")
	}
	if found, _ := examine(t, h.Caddy); found["seal"].OK || !strings.Contains(found["seal"].What, path) || !strings.Contains(found["seal"].What, "authenticator seeds") {
		t.Errorf("the doctor finds %+v", found["seal"])
	}
	log, err := os.ReadFile(h.LogFile())
	if err != nil || !strings.Contains(string(log), "the seal cannot be used") {
		t.Errorf("the log does not tell of it, %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another seal was made: %v", err)
	}

	h.Caddy.Stop()
	sealed("DELETE FROM seals")
	h.Caddy.Start()
	if usable() != 1 {
		t.Error("no seal is made for a database in which nothing is sealed")
	}
}
