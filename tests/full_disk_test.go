package tests

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/oauth2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestFullDisk has the database of a real Caddy on a disk of its own, which somebody fills: apps of both APIs are told to
// wait, what only reads goes on at a real Synapse, everything that watches says so, and all goes on with the same tokens
// once there is room, with nobody doing anything else.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m,mode=700"); errors.Is(err, syscall.EPERM) {
		t.Skip("no disk can be mounted here")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after Caddy's end
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	h.Caddy.Stop()
	database := filepath.Join(disk, "matrix_auth.db")
	h.Write(strings.Replace(h.Text(""), "database "+h.Database(), "database "+database, 1))
	h.Caddy.Start()
	password := h.AddUser("alice")
	app := h.Login("alice", password, map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
	config := registered(t, h)
	token := grant(t, h, config, "alice", password, "urn:matrix:client:api:*", "urn:matrix:client:device:LAPTOP")
	refresh, other := app.Text("refresh_token"), h.Login("alice", password, nil).Must(t, http.StatusOK).Text("access_token")

	fill := filepath.Join(disk, "fill")
	fillDisk(t, fill)
	tryRefresh := func() rig.Answer {
		return h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh})
	}
	a := tryRefresh()
	for tries := 0; a.Status == http.StatusOK && tries < 200; tries++ { // there is room in what the database has already
		refresh = a.Text("refresh_token")
		a = tryRefresh()
	}
	for range 10 {
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Text("errcode") != "M_UNKNOWN" {
			t.Fatalf("a refresh: %d %v %v", a.Status, a.Header, a.Body)
		}
		a = tryRefresh()
	}
	if a := h.Login("alice", password, nil); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a login: %d %v", a.Status, a.Body)
	}
	if status, text, header := postForm(t, h.URL+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "client_id": {config.ClientID}}); status != http.StatusServiceUnavailable ||
		header.Get("Retry-After") == "" || !strings.Contains(text, `"temporarily_unavailable"`) {
		t.Errorf("the OAuth refresh: %d %v %s", status, header, text)
	}
	// A token that Synapse never saw is read, and its first use is kept in memory.
	h.Call(http.MethodGet, "/v3/account/whoami", other, nil).Must(t, http.StatusOK)
	if status, text, header := get(t, h.Internal+"health"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("the health: %d %s", status, text)
	}
	if found, _ := scrape(t, h.Caddy); found.value(t, "matrix_auth_database_writable", "") != 0 || found.value(t, "matrix_auth_database_up", "") != 1 {
		t.Error("the metrics do not tell")
	}
	if found, _ := examine(t, h.Caddy); found["database"].ID != "database/unwritable" || !strings.Contains(found["database"].What, "the disk is full") {
		t.Errorf("the doctor finds %+v", found["database"])
	}
	const line = "the database cannot be written; nobody is signed out"
	rig.Await(t, "a line in the log", func() error { return logHas(h.LogFile(), line) })

	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "the health once there is room", func() error { return rig.Answers(h.Internal + "health") })
	rig.Await(t, "a line in the log", func() error { return logHas(h.LogFile(), "the database can be written again") })
	log, err := os.ReadFile(h.LogFile())
	if n := strings.Count(string(log), line); err != nil || n > 2 || strings.Contains(string(log), "uses of tokens could not be written") {
		t.Errorf("%d lines tell of it, %v", n, err)
	}
	tryRefresh().Must(t, http.StatusOK)
	h.Login("alice", password, nil).Must(t, http.StatusOK)
	if _, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
		t.Error(err)
	}
	if found, _ := scrape(t, h.Caddy); found.value(t, "matrix_auth_database_writable", "") != 1 {
		t.Error("the metrics do not tell that it is over")
	}
	rig.Await(t, "the use that was noted meanwhile", func() error { return usedInDatabase(database, other) })
	if found, _ := examine(t, h.Caddy, "--check-database"); !found["database"].OK || !strings.Contains(found["database"].What, "is whole") {
		t.Errorf("the doctor finds %+v", found["database"])
	}
	h.Caddy.Stop()
}

// fillDisk writes to a file until there is no room.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if closed := f.Close(); closed != nil || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v, %v", err, closed)
	}
}

func logHas(path, text string) error {
	log, err := os.ReadFile(path)
	if err == nil && !strings.Contains(string(log), text) {
		err = fmt.Errorf("it lacks %q", text)
	}
	return err
}

// usedInDatabase looks whether the first use of a token is written.
func usedInDatabase(path, token string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(token))
	var used bool
	err = db.QueryRow("SELECT used_at IS NOT NULL FROM tokens WHERE hash = ?", hash[:]).Scan(&used)
	if err == nil && !used {
		err = errors.New("it is not written")
	}
	return errors.Join(err, db.Close())
}
