package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOpenRefuses has every refusal name the path in a sentence.
func TestOpenRefuses(t *testing.T) {
	write := func(t *testing.T, path, text string) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) (path string)
		create  bool
		want    string
	}{
		"a_file_that_is_no_database": {func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "notes.txt"), "these are my notes, thank you")
		}, true, "is not an SQLite database"},
		"a_directory": {func(t *testing.T, dir string) string { return dir }, true, "is a directory; name a file in it"},
		"a_directory_that_cannot_be_made": {func(t *testing.T, dir string) string {
			return filepath.Join(write(t, filepath.Join(dir, "file"), ""), "sub", "test.db")
		}, true, "not a directory"},
		"a_missing_database_without_leave_to_make_one": {func(_ *testing.T, dir string) string {
			return filepath.Join(dir, "sub", "test.db")
		}, false, "there is no database"},
		"a_newer_schema": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "test.db")
			s, err := Open(context.Background(), Options{Path: path, Create: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.writer.Exec("INSERT INTO schema_version (version_id, is_applied) VALUES (999, TRUE)"); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return path
		}, true, "run the newer program"}, // KEY-9
	} {
		t.Run(name, func(t *testing.T) {
			path := test.prepare(t, t.TempDir())
			s, err := Open(context.Background(), Options{Path: path, Create: test.create})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "sub")); err == nil {
				t.Error("something was made")
			}
		})
	}
	t.Run("a_database_that_another_server_holds", func(t *testing.T) {
		s := open(t)
		_, err := Open(context.Background(), Options{Path: s.Path(), LockWait: 50 * time.Millisecond})
		var held *HeldError
		if !errors.As(err, &held) || held.Holder != fmt.Sprint(os.Getpid()) || !strings.Contains(err.Error(), s.Path()) {
			t.Fatalf("got %v", err)
		}
	})
}

// TestOpenWaitsForTheLock hands a database from one store to the next, as a reload does.
func TestOpenWaitsForTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	first, err := Open(context.Background(), Options{Path: path, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		second, err := Open(context.Background(), Options{Path: path, LockWait: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	if err := errors.Join(first.Close(), <-opened); err != nil {
		t.Fatal(err)
	}
}

// TestModes keeps everybody else out of the database and all that lies beside it.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fresh")
	path := filepath.Join(dir, "test.db")
	s, err := Open(context.Background(), Options{Path: path, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, "a") }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 4 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file.Name(), info.Mode(), err)
		}
	}
}

// TestPlantedLinks opens no file beside the database by a link that somebody planted, and leaves alone where
// it leads (KEY-14).
func TestPlantedLinks(t *testing.T) {
	for _, suffix := range []string{"", ".lock", "-wal", "-shm", "-journal"} {
		t.Run("as_the_file_"+suffix, func(t *testing.T) {
			dir := t.TempDir()
			target := filepath.Join(dir, "target")
			if err := errors.Join(os.WriteFile(target, []byte("the target"), 0o644), os.Symlink(target, filepath.Join(dir, "test.db"+suffix))); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), Options{Path: filepath.Join(dir, "test.db"), Create: true})
			if err == nil {
				t.Fatal(errors.Join(errors.New("it was opened"), s.Close()))
			}
			if !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "test.db"+suffix) {
				t.Errorf("got %v", err)
			}
			text, err := os.ReadFile(target)
			info, statErr := os.Stat(target)
			if err != nil || statErr != nil || string(text) != "the target" || info.Mode().Perm() != 0o644 {
				t.Errorf("the target holds %q, %v %v", text, info.Mode(), err)
			}
		})
	}
}

// TestOpenModes closes what was open to others, and says so: a database that was copied by hand is often
// readable by all.
func TestOpenModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := Open(t.Context(), Options{Path: path, Create: true})
	if err != nil || len(s.Mended()) != 0 {
		t.Fatalf("%q %v", s.Mended(), err)
	}
	if err := errors.Join(s.Close(), os.Chmod(path, 0o644), os.Chmod(path+".lock", 0o666), os.Chmod(filepath.Dir(path), 0o777)); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for file, closed := range map[string]os.FileMode{path: 0o077, path + ".lock": 0o077, filepath.Dir(path): 0o002} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&closed != 0 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	if all := strings.Join(s.Mended(), "\n"); !strings.Contains(all, path+" had mode 0644") || !strings.Contains(all, ".lock had mode 0666") || !strings.Contains(all, "had mode 0777") {
		t.Errorf("it says %q", all)
	}
}

// TestLeftCopies: what a process left that died while it copied is removed at the next start, and nothing that an operator
// may have laid beside the database.
func TestLeftCopies(t *testing.T) {
	s := open(t)
	made, err := s.Copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := made.Name()
	own := []string{s.Path() + ".copy-20261126", s.Path() + ".copy-before-upgrade", s.Path() + ".bak", s.Path() + ".copying-it.db"}
	for _, path := range own {
		if err := os.WriteFile(path, []byte("an operator's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(made.File.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(context.Background(), Options{Path: s.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s stayed: %v", left, err)
	}
	for _, path := range own {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("an operator's own file went: %v", err)
		}
	}
}

// TestCopy copies a database while it is written to.
func TestCopy(t *testing.T) {
	s := open(t)
	for i := range 50 {
		if err := s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, fmt.Sprint("user", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	release := held(t, s) // a write is under way
	made, err := s.Copy(t.Context())
	release()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := made.Stat(); err != nil || info.Mode().Perm() != 0o600 || filepath.Dir(made.Name()) != filepath.Dir(s.Path()) {
		t.Errorf("the copy: %v %v %s", info, err, made.Name())
	}
	content, err := io.ReadAll(made)
	if err := errors.Join(err, made.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(made.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy stayed: %v", err)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(context.Background(), Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !has(t, copied, "user49") || has(t, copied, "held") {
		t.Error("the copy is not of the moment before the write")
	}
}
