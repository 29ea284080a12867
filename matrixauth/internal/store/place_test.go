package store

import (
	"context"
	"errors"
	"fmt"
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
		}, true, "is no SQLite database"},
		"a_directory": {func(t *testing.T, dir string) string { return dir }, true, "is no regular file"},
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
		}, true, "run the newer program"},
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

// TestBackup copies a database while it is written to.
func TestBackup(t *testing.T) {
	s := open(t)
	for i := range 50 {
		if err := s.Update(context.Background(), func(tx *Tx) error { return addUser(tx, fmt.Sprint("user", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	release := held(t, s) // a write is under way
	file := filepath.Join(t.TempDir(), "backup.db")
	err := s.Backup(context.Background(), file)
	release()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v %v", info, err)
	}
	again := s.Backup(context.Background(), file)
	if again == nil || !strings.Contains(again.Error(), file) {
		t.Errorf("a backup over a file gave %v", again)
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
