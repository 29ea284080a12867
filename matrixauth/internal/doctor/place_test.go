package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
)

// TestDoctorLooksAtTheFiles finds what is not the server's alone, with what to do, while it runs and while not.
func TestDoctorLooksAtTheFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes here")
	}
	h := house.New(t)
	secret := matrixauth.SecretFile(h.File)
	h.Must(os.WriteFile(secret, []byte("x"), 0o600))
	look := func(d *doctor.Visit) { d.Files() }
	h.WantFinding(t, look, true, "closed to others", "")
	find := func(t *testing.T, what, change string) {
		t.Helper()
		h.WantFinding(t, look, false, what, change)
		all := matrixauth.ExaminePlace(h.File)
		if len(all) != 1 || !strings.Contains(all[0].What, what) || !strings.Contains(all[0].Change, change) {
			t.Errorf("without a server it finds %+v", all)
		}
	}
	for name, test := range map[string]struct {
		path      string
		bad, good os.FileMode
		change    string
	}{
		"the database":  {h.File, 0o644, 0o600, "chmod 0600 " + h.File},
		"the log":       {h.File + "-wal", 0o666, 0o600, "chmod 0600"},
		"the lock":      {h.File + ".lock", 0o640, 0o600, "chmod 0600"},
		"the secret":    {secret, 0o644, 0o640, "chmod 0640"},
		"the seal":      {matrixauth.SealFile(h.File), 0o644, 0o600, "chmod 0600"},
		"the directory": {filepath.Dir(h.File), 0o777, 0o700, "chmod o-w"},
	} {
		t.Run(name, func(t *testing.T) {
			h.Must(os.Chmod(test.path, test.bad))
			find(t, test.path+" has mode 0", test.change)
			h.Must(os.Chmod(test.path, test.good))
			h.WantFinding(t, look, true, "", "")
		})
	}
	t.Run("a file of somebody else", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files away")
		}
		h.Must(os.Chown(secret, 65534, 65534))
		find(t, "belongs to", "chown root")
		h.Must(os.Chown(secret, 0, 0))
	})
	t.Run("a link", func(t *testing.T) {
		h.Must(errors.Join(os.Remove(secret), os.Symlink(h.File, secret)))
		find(t, "symbolic link", "remove the link")
		h.Must(os.Remove(secret))
	})
	t.Run("what was mended at the start is told", func(t *testing.T) {
		h.Die()
		h.Must(os.Chmod(h.File, 0o644))
		h.Open()
		h.WantFinding(t, look, true, h.File+" had mode 0644", "")
	})
	if all := matrixauth.ExaminePlace(filepath.Join(t.TempDir(), "nothing.db")); len(all) != 0 {
		t.Errorf("of nothing it finds %+v", all)
	}
}
