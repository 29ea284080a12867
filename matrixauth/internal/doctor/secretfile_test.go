package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDoctorLooksAtTheSecretFile finds what keeps Synapse's user from the secret. How modes and access lists
// are read is tested by what the kernel says.
func TestDoctorLooksAtTheSecretFile(t *testing.T) { // KEY-14
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of others are needed")
	}
	dir, err := os.MkdirTemp("", "it's")
	must(t, errors.Join(err, os.Chmod(dir, 0o755)))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	closed := filepath.Join(dir, "closed")
	secret := filepath.Join(closed, "secret")
	must(t, errors.Join(os.Mkdir(closed, 0o700), os.WriteFile(secret, []byte("the secret itself"), 0o600)))
	synapse := SynapseUser{Name: "matrix-synapse", UID: 4001, GIDs: []int{4001}, By: "matrix-synapse.service"}
	one := func(t *testing.T, path string, who SynapseUser) Finding {
		t.Helper()
		found := ExamineSecretFile(path, who)
		if len(found) != 1 {
			t.Fatalf("got %+v", found)
		}
		return found[0]
	}
	f := one(t, secret, synapse)
	quoted := func(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
	want := "setfacl -m u:matrix-synapse:x " + quoted(closed) + "\nsetfacl -m u:matrix-synapse:r " + quoted(secret) + "\nor keep"
	if f.ID != "secret-file/closed" || f.Where != closed || !strings.HasPrefix(f.Change, want) || !strings.Contains(f.What, "matrix-synapse.service") {
		t.Errorf("got %+v", f)
	}
	must(t, os.Chmod(closed, 0o711))
	if f := one(t, secret, synapse); f.Where != secret || strings.Contains(f.Change, ":x ") {
		t.Errorf("got %+v", f)
	}
	must(t, errors.Join(os.Chown(secret, 0, 4001), os.Chmod(secret, 0o640)))
	if f := one(t, secret, synapse); !f.OK || f.ID != "secret-file" {
		t.Errorf("got %+v", f)
	}
	if f := one(t, filepath.Join(secret, "x"), synapse); f.ID != "secret-file/unreadable" {
		t.Errorf("got %+v", f)
	}
	for _, nothing := range [][]Finding{
		ExamineSecretFile(filepath.Join(dir, "none"), synapse), ExamineSecretFile("", synapse), ExamineSecretFile("relative", synapse), ExamineSecretFile(secret, SynapseUser{}),
	} {
		if len(nothing) != 0 {
			t.Errorf("got %+v", nothing)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
