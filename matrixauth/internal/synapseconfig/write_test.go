//go:build unix

package synapseconfig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))

const oldFile = "# kept\nexperimental_features:\n  msc3861: {enabled: true, admin_token: token-1}\nserver_name: a\n"

func writeOld(t *testing.T, mode fs.FileMode) (path string, m *Migration) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "homeserver.yaml")
	if err := os.WriteFile(path, []byte(oldFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err = f.MigrateMSC3861(Options{Endpoint: testEndpoint})
	if err != nil {
		t.Fatal(err)
	}
	return path, m
}

func checkFile(t *testing.T, path string, content []byte, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, content) || info.Mode() != mode {
		t.Errorf("%s has mode %v and\n%s", path, info.Mode(), data)
	}
}

func checkNames(t *testing.T, directory string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("files %q, want %q", got, want)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o644} {
		t.Run(mode.String(), func(t *testing.T) {
			path, m := writeOld(t, mode)
			_, backup, err := writeOne(m, testTime)
			if err != nil || backup != path+".20260304T040607Z.bak" {
				t.Fatalf("%q %v", backup, err)
			}
			checkFile(t, path, m.New, mode)
			checkFile(t, backup, []byte(oldFile), mode)
			checkNames(t, filepath.Dir(path), "homeserver.yaml", filepath.Base(backup))
		})
	}
}

func TestWriteKeepsOwner(t *testing.T) {
	path, m := writeOld(t, 0o640)
	if err := os.Chown(path, 12345, 23456); errors.Is(err, fs.ErrPermission) {
		t.Skip("only root can give a file away")
	} else if err != nil {
		t.Fatal(err)
	}
	_, backup, err := writeOne(m, testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, backup} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 12345 || owner.Gid != 23456 || info.Mode() != 0o640 {
			t.Errorf("%s belongs to %d:%d with mode %v", name, owner.Uid, owner.Gid, info.Mode())
		}
	}
}

func TestWriteThroughSymbolicLink(t *testing.T) {
	path, m := writeOld(t, 0o600)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	m.Path = link
	if written, _, err := writeOne(m, testTime); err != nil || written != path {
		t.Fatal(written, err)
	}
	checkFile(t, path, m.New, 0o600)
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	checkNames(t, filepath.Dir(link), "link.yaml")
}

func TestWriteRefuses(t *testing.T) {
	t.Run("a file that changed", func(t *testing.T) {
		path, m := writeOld(t, 0o600)
		changed := []byte(oldFile + "# edited\n")
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := writeOne(m, testTime); !errors.Is(err, ErrChanged) {
			t.Errorf("got %v", err)
		}
		checkFile(t, path, changed, 0o600)
		checkNames(t, filepath.Dir(path), "homeserver.yaml")
	})
	t.Run("a second time", func(t *testing.T) {
		_, m := writeOld(t, 0o600)
		if _, _, err := writeOne(m, testTime); err != nil {
			t.Fatal(err)
		}
		if _, _, err := writeOne(m, testTime.Add(time.Second)); !errors.Is(err, ErrChanged) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("to overwrite a backup", func(t *testing.T) {
		path, m := writeOld(t, 0o600)
		backup := path + ".20260304T040607Z.bak"
		if err := os.WriteFile(backup, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := writeOne(m, testTime); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
		checkFile(t, path, []byte(oldFile), 0o600)
		checkFile(t, backup, []byte("precious"), 0o600)
		checkNames(t, filepath.Dir(path), "homeserver.yaml", filepath.Base(backup))
	})
	t.Run("a file that is gone", func(t *testing.T) {
		path, m := writeOld(t, 0o600)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, _, err := writeOne(m, testTime); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		checkNames(t, filepath.Dir(path))
	})
}

// TestWriteRefusesLinkOfOthers: whoever may write where the named path is could else choose the file that a
// command of root changes.
func TestWriteRefusesLinkOfOthers(t *testing.T) {
	path, m := writeOld(t, 0o600)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 12345, 12345); errors.Is(err, fs.ErrPermission) {
		t.Skip("only root can give a link away")
	} else if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "second.yaml")
	if err := os.Symlink(link, second); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{link, second} {
		m.Path = named
		_, _, err := writeOne(m, testTime)
		if err == nil || !strings.Contains(err.Error(), "belongs to somebody else") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", named, err)
		}
	}
	checkFile(t, path, []byte(oldFile), 0o600)
	// The file's owner could write it anyway.
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, _, err := writeOne(m, testTime); err != nil {
		t.Error(err)
	}
}

// writeOne writes one migration.
func writeOne(m *Migration, now time.Time) (written, backup string, err error) {
	all, err := Write([]*Migration{m}, now)
	if len(all) == 0 {
		return "", "", err
	}
	return all[0].Path, all[0].Backup, err
}
