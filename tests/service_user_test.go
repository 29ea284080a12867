package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// serviceUser is the id of a user that is neither root nor caddy.
const serviceUser = 65534

// TestCommandsOfRoot runs Caddy as a user of its own, as packages do, and the commands as root: they find the
// server, believe it only if they may, and leave nothing behind that locks it out or lies where a link led
// (KEY-14).
func TestCommandsOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run Caddy as another user")
	}
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{User: serviceUser})
	// The database is the default one of the server's user, which root does not know.
	h.Write(strings.Replace(h.Text(""), "database "+h.Database(), "", 1))
	h.Caddy.Stop()
	h.Caddy.Start()
	database := filepath.Join(h.Dir, "data", "caddy", "matrix_auth", "matrix_auth.db")
	named := []string{"--service-user", fmt.Sprint(serviceUser)}
	password := "correct horse battery\n"
	elsewhere := t.TempDir()
	root := func(stdin string, args ...string) (string, error) {
		h.CaddyConfig.Env = []string{"XDG_DATA_HOME=" + elsewhere}
		defer func() { h.CaddyConfig.Env = nil }()
		return h.Command(stdin, args...)
	}
	must := func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := root(password, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v: %s %v; want %q", args, out, err, want)
		}
	}

	refused("is told nothing", "user", "add", "alice")
	must(root(password, append([]string{"user", "add", "alice"}, named...)...))
	must(root("", append([]string{"user", "show", "alice"}, named...)...))
	h.Login("alice", strings.TrimSpace(password), nil).Must(t, 200)

	t.Run("a backup is root's, where the server may not write", func(t *testing.T) {
		file := filepath.Join(elsewhere, "copy.db")
		must(root("", append([]string{"backup", file}, named...)...))
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 || ownerOf(t, info) != 0 {
			t.Fatalf("%v %v", info, err)
		}
		if out := must(root("", "user", "list", "--database", file)); !strings.Contains(out, "alice") {
			t.Errorf("the copy holds %q", out)
		}
		target := filepath.Join(elsewhere, "target")
		if err := errors.Join(os.WriteFile(target, []byte("target"), 0o600), os.Symlink(target, filepath.Join(elsewhere, "link"))); err != nil {
			t.Fatal(err)
		}
		refused("exists already", append([]string{"backup", filepath.Join(elsewhere, "link")}, named...)...)
		wantText(t, target, "target")
	})
	// theirs holds that all files in the directory of the database are the server's.
	theirs := func(t *testing.T) {
		t.Helper()
		err := filepath.WalkDir(filepath.Dir(database), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && ownerOf(t, info) != serviceUser {
				t.Errorf("%s belongs to %d", path, ownerOf(t, info))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	t.Run("without a server root goes on as the owner", func(t *testing.T) {
		h.Caddy.Stop()
		if err := os.Remove(database + ".lock"); err != nil {
			t.Fatal(err)
		}
		must(root(password, "user", "set-password", "alice", "--database", database))
		must(root("", "user", "lock", "alice", "--database", database))
		must(root("", "user", "unlock", "alice", "--database", database))
		theirs(t)
		h.Caddy.Start()
		h.Login("alice", strings.TrimSpace(password), nil).Must(t, 200)
		h.Caddy.Stop()
	})
	for _, suffix := range []string{".lock", "-wal", ".sock"} {
		t.Run("a link that the server's user planted as "+suffix, func(t *testing.T) {
			target, planted := filepath.Join(elsewhere, "planted"+suffix), database+suffix
			if err := os.Remove(planted); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(target, []byte("root's"), 0o600), os.Symlink(target, planted), os.Lchown(planted, serviceUser, serviceUser)); err != nil {
				t.Fatal(err)
			}
			refused("symbolic link", "user", "list", "--database", database)
			wantText(t, target, "root's")
			if err := os.Remove(planted); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("a database that all may read is closed, and the doctor says so", func(t *testing.T) {
		if err := os.Chmod(database, 0o644); err != nil {
			t.Fatal(err)
		}
		files := func() finding {
			found, _ := examineBy(t, root, append([]string{"--database", database}, named...)...)
			return found["files"]
		}
		if f := files(); f.OK || !strings.Contains(f.Change, "chmod 0600 "+database) {
			t.Errorf("before the start: %+v", f)
		}
		h.Caddy.Start()
		if f := files(); !f.OK || !strings.Contains(f.What, database+" had mode 0644") {
			t.Errorf("after the start: %+v", f)
		}
		info, err := os.Stat(database)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		theirs(t)
	})
}

func ownerOf(t *testing.T, info fs.FileInfo) int {
	t.Helper()
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner is known")
	}
	return int(stat.Uid)
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("%s holds %q, %v", path, text, err)
	}
}
