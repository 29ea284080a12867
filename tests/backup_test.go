package tests

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// copiesIn lists the copies in a folder, the oldest first.
func copiesIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "matrix_auth-"+rig.ServerName+"-*.db"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// TestBackupsByThemselves: a server makes copies while it serves, over a reload and a restart, and one of them is put in
// the place of the database. Who refreshed since goes on, who signed out since stays out, and who came since waits.
func TestBackupsByThemselves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: fmt.Sprintf("backup %s {\n every 2s\n keep 3\n}", dir)})
	alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
	phone := startApp(t, h, "alice", alicePassword, "PHONE")
	tablet := startApp(t, h, "alice", alicePassword, "TABLET")
	fresh := func(what string) (newest string) {
		t.Helper()
		before := copiesIn(t, dir)
		rig.Await(t, "a copy "+what, func() error {
			now := copiesIn(t, dir)
			if len(now) == 0 || len(before) > 0 && now[len(now)-1] == before[len(before)-1] {
				return fmt.Errorf("there are %q", now)
			}
			newest = now[len(now)-1]
			return nil
		})
		return newest
	}
	fresh("at the start") // it may be from before the sign-ins
	content, err := os.ReadFile(fresh("with both apps"))
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "kept.db")
	if err := os.WriteFile(backup, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	fresh("after a reload")
	// A copy is checked before the oldest one goes: for that moment there is one more.
	rig.Await(t, "no more copies than are kept", func() error {
		if now := copiesIn(t, dir); len(now) > 3 {
			return fmt.Errorf("there are %q", now)
		}
		return nil
	})

	phone.refresh().Must(t, http.StatusOK)
	phone.whoami().Must(t, http.StatusOK)
	phone.refresh().Must(t, http.StatusOK)
	h.Call(http.MethodPost, "/v3/logout", tablet.access, map[string]any{}).Must(t, http.StatusOK)
	h.MustCommand("", "user", "lock", "bob")
	h.AddUser("carol")
	late := startApp(t, h, "alice", alicePassword, "LATE")

	if out, err := h.Command("", "restore", backup); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("beside a server that runs: %s, %v", out, err)
	}
	h.Caddy.Stop()
	if would := h.MustCommand("", "restore", backup, "--dry-run"); !strings.Contains(would, "done again: 1 sessions ended") || !strings.Contains(would, "nothing is changed") {
		t.Errorf("a dry run says %s", would)
	}
	if said := h.MustCommand("", "restore", backup); !strings.Contains(said, "user add carol --existing") || !strings.Contains(said, "1 locked") || !strings.Contains(said, "1 sessions began after the backup") {
		t.Errorf("it says %s", said)
	}
	h.Caddy.Start()
	fresh("of the restored database")
	phone.refresh().Must(t, http.StatusOK)
	phone.whoami().Must(t, http.StatusOK)
	tablet.whoami().Must(t, http.StatusUnauthorized)
	late.whoami().Must(t, http.StatusServiceUnavailable)
	if devices := h.Devices(phone.access); !devices["PHONE"] || !devices["LATE"] || devices["TABLET"] {
		t.Errorf("Synapse has the devices %v", devices)
	}
	h.Login("bob", bobPassword, nil).Must(t, http.StatusUnauthorized) // locked, as he was
	h.MustCommand(alicePassword+"\n", "user", "add", "carol", "--existing")
	if said := h.MustCommand("", "audit", "--limit", "20"); !strings.Contains(said, "restore") {
		t.Errorf("the audit log is %s", said)
	}
	rig.Await(t, "nothing that waits for Synapse", func() error {
		if said := h.MustCommand("", "outbox", "list", "--json"); strings.TrimSpace(said) != "[]" {
			return fmt.Errorf("there waits %s", said)
		}
		return nil
	})

	// The newer database turns up again: nobody waits any more.
	kept, err := filepath.Glob(h.Database() + ".replaced-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept are %q, %v", kept, err)
	}
	h.Caddy.Stop()
	h.MustCommand("", "restore", kept[0])
	h.Caddy.Start()
	late.refresh().Must(t, http.StatusOK)
	late.whoami().Must(t, http.StatusOK)
	phone.refresh().Must(t, http.StatusOK)
	phone.whoami().Must(t, http.StatusOK)
}

// TestRestoreThatDies kills the command at each of its steps, on a database whose server was killed too, so that a part
// of it is in its log. The old database or the new one is there, whole, and the next start leaves nothing lying about.
func TestRestoreThatDies(t *testing.T) {
	fault := filepath.Join(t.TempDir(), "fault")
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Tag: "faulthook"})
	password := h.AddUser("alice")
	phone := startApp(t, h, "alice", password, "PHONE")
	backup := filepath.Join(t.TempDir(), "backup.db")
	h.MustCommand("", "backup", backup)
	late := startApp(t, h, "alice", password, "LATE")
	for _, step := range []struct {
		name string
		old  bool
	}{
		{"before the old file is kept", true}, {"the old file is kept", true}, {"the old log is removed", true}, {"the new file is in its place", false},
	} {
		phone.refresh().Must(t, http.StatusOK)
		phone.whoami().Must(t, http.StatusOK)
		h.Caddy.Kill()
		if err := os.WriteFile(fault, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.Caddy.Env = []string{"MATRIX_AUTH_FAULT=restore: " + step.name, "MATRIX_AUTH_FAULT_FILE=" + fault}
		if out, err := h.Command("", "restore", backup); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: it did not die: %s, %v", step.name, out, err)
		}
		h.Caddy.Env = nil
		h.Caddy.Start()
		phone.refresh().Must(t, http.StatusOK)
		phone.whoami().Must(t, http.StatusOK)
		want := http.StatusServiceUnavailable
		if step.old {
			want = http.StatusOK
		}
		if got := late.refresh(); got.Status != want {
			t.Errorf("%s: a session of after the backup gets %d, %v", step.name, got.Status, got.Body)
		}
		if left, err := filepath.Glob(h.Database() + ".restoring-*"); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind are %q, %v", step.name, left, err)
		}
	}
}
