package matrixauth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
)

// TestSecretForAll: the notes of a migration say when the file in which the secret stands can be read by every user
// of the machine, as Debian's homeserver.yaml can.
func TestSecretForAll(t *testing.T) {
	dir, err := os.MkdirTemp("", "")
	must(t, errors.Join(err, os.Chmod(dir, 0o755)))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	if !doctor.OpenToAll(dir) {
		t.Skip("files have no modes here, or those for temporary ones are closed to others")
	}
	path := filepath.Join(dir, "homeserver.yaml")
	must(t, os.WriteFile(path, []byte("server_name: example.com\nexperimental_features:\n  msc3861:\n    enabled: true\n    admin_token: former-secret\n"), 0o600))
	for _, test := range []struct {
		dir, file  os.FileMode
		secretPath string
		want       bool
	}{
		{0o755, 0o644, "", true}, {0o755, 0o640, "", false}, {0o700, 0o644, "", false}, {0o755, 0o644, "/etc/elsewhere/secret", false},
	} {
		must(t, errors.Join(os.Chmod(dir, test.dir), os.Chmod(path, test.file)))
		m, err := PlanMigration([]string{path}, "http://localhost:8080/", test.secretPath)
		must(t, err)
		if notes := strings.Join(m.Notes, "\n"); strings.Contains(notes, "Everybody on this machine may read "+path) != test.want {
			t.Errorf("%+v: %s", test, notes)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
