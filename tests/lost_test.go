package tests

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestLostSessions puts a backup back of which nobody can tell what became of it since, under a real Synapse. Who signed
// in since waits, is listed, and is ended softly by the command; who signed out since does not come back, as Synapse
// has no device of theirs; and a Synapse that is down ends nobody's session.
func TestLostSessions(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
	phone, tablet := startApp(t, h, "alice", alicePassword, "PHONE"), startApp(t, h, "alice", alicePassword, "TABLET")
	laptop := startApp(t, h, "bob", bobPassword, "LAPTOP")
	backup := filepath.Join(t.TempDir(), "backup.db")
	h.MustCommand("", "backup", backup)

	h.Call(http.MethodPost, "/v3/logout", tablet.access, map[string]any{}).Must(t, http.StatusOK)
	late, leaves := startApp(t, h, "bob", bobPassword, "LATE"), startApp(t, h, "bob", bobPassword, "LEAVES")
	config := registered(t, h)
	token := grant(t, h, config, "alice", alicePassword, "urn:matrix:client:api:*", "urn:matrix:client:device:OAUTH")
	renewed := func() (int, string, http.Header) {
		return postForm(t, h.URL+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "client_id": {config.ClientID}})
	}

	h.Caddy.Stop()
	for _, ending := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.Database() + ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	h.MustCommand("", "restore", backup)
	h.Caddy.Start()

	// Those of since wait, also the client that is forgotten.
	for _, a := range []rig.Answer{late.whoami(), late.refresh(), leaves.refresh()} {
		if a.Status != http.StatusServiceUnavailable {
			t.Errorf("a session of since is told %d %v", a.Status, a.Body)
		}
	}
	if status, text, header := renewed(); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("an OAuth session of since is told %d %s", status, text)
	}
	found := func(check string) finding { all, _ := examine(t, h.Caddy); return all[check] }
	h.Call(http.MethodPost, "/v3/logout", leaves.access, map[string]any{}).Must(t, http.StatusOK)
	if answer := leaves.refresh().Must(t, http.StatusUnauthorized); answer.Body["soft_logout"] != true {
		t.Errorf("who signed out is told %v", answer.Body)
	}
	listed := h.MustCommand("", "session", "lost", "--json")
	if n := strings.Count(listed, `"id"`); n != 2 || !strings.Contains(listed, `"kind": "oauth"`) {
		t.Errorf("listed are %s", listed)
	}
	if f := found("lost sessions"); f.ID != "lost-sessions/waiting" || !strings.Contains(f.What, "2 sessions wait") {
		t.Errorf("the doctor finds %+v", f)
	}
	if out := h.MustCommand("", "session", "lost", "--end", "--dry-run"); !strings.HasPrefix(out, "2 that were seen would end") {
		t.Errorf("it would end %q", out)
	}
	if a := late.refresh(); a.Status != http.StatusServiceUnavailable {
		t.Errorf("after a dry run it is told %d %v", a.Status, a.Body)
	}
	h.MustCommand("", "session", "lost", "--end", "--yes")
	if answer := late.refresh().Must(t, http.StatusUnauthorized); answer.Text("errcode") != "M_UNKNOWN_TOKEN" || answer.Body["soft_logout"] != true {
		t.Errorf("after the end a refresh is told %v", answer.Body)
	}
	if answer := late.whoami().Must(t, http.StatusUnauthorized); answer.Text("errcode") != "M_UNKNOWN_TOKEN" || answer.Body["soft_logout"] != true {
		t.Errorf("after the end a request is told %v", answer.Body)
	}
	if status, text, _ := renewed(); status != http.StatusBadRequest || !strings.Contains(text, "invalid_grant") {
		t.Errorf("after the end an OAuth session is told %d %s", status, text)
	}
	late = startApp(t, h, "bob", bobPassword, "LATE")
	late.whoami().Must(t, http.StatusOK)

	// Those of before are there again, and one of them should not be.
	if devices := liveDevices(t, h, "alice"); !strings.Contains(devices, "TABLET") {
		t.Fatalf("alice has %s", devices)
	}
	if answer := tablet.refresh().Must(t, http.StatusUnauthorized); answer.Body["soft_logout"] != true {
		t.Errorf("what signed out is told %v", answer.Body)
	}
	if ended := h.MustCommand("", "session", "list", "alice", "--ended"); !strings.Contains(ended, "device_missing") {
		t.Errorf("ended are %s", ended)
	}
	phone.refresh().Must(t, http.StatusOK)
	phone.whoami().Must(t, http.StatusOK)
	h.Synapse.Stop()
	if a := laptop.refresh(); a.Status != http.StatusServiceUnavailable {
		t.Errorf("while Synapse is down it is told %d %v", a.Status, a.Body)
	}
	phone.refresh().Must(t, http.StatusOK) // it was asked about
	h.Synapse.Start()
	laptop.refresh().Must(t, http.StatusOK)
	laptop.whoami().Must(t, http.StatusOK)
	if f := found("devices after a restore"); !f.OK {
		t.Errorf("the doctor finds %+v", f)
	}
}
