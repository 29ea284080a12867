package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServerName: the accounts of a database are of one homeserver for good.
func TestServerName(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	ctx := t.Context()
	other := func(err error) {
		t.Helper()
		var e *ServerNameError
		if !errors.As(err, &e) || e.Kept != "example.test" || e.Given != "other.test" || e.Path != s.Path() {
			t.Errorf("got %v", err)
			return
		}
		for _, part := range []string{s.Path(), "example.test", "other.test"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not name %s", err, part)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Adopt(ctx, "other.test")) // no account is there, so nothing is kept
	must(s.CheckServerName(ctx, "example.test"))
	update(t, s, func(tx *Tx) error { return addUser(tx, "alice") })
	must(s.Adopt(ctx, "example.test"))
	must(s.Adopt(ctx, "other.test")) // it is kept already, and who serves was checked before
	must(s.CheckServerName(ctx, "example.test"))
	other(s.CheckServerName(ctx, "other.test"))
	update(t, s, func(tx *Tx) error { return tx.Claim("example.test") })
	other(s.Update(ctx, func(tx *Tx) error { return tx.Claim("other.test") }))
}

func TestPeekServerName(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	want := func(path, name string) {
		t.Helper()
		got, known := PeekServerName(t.Context(), path)
		if got != name || known != (name != "") {
			t.Errorf("%s: %q, %v; want %q", path, got, known, name)
		}
	}
	want(s.Path(), "")
	update(t, s, func(tx *Tx) error { return tx.Claim("example.test") })
	want(s.Path(), "example.test") // which is in the log of a server that has it open
	want(filepath.Join(t.TempDir(), "none.db"), "")

	whole := filepath.Join(t.TempDir(), "copy.db")
	copyFile := func(suffix string) {
		t.Helper()
		content, err := os.ReadFile(s.Path() + suffix)
		if err == nil {
			err = os.WriteFile(whole+suffix, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFile("")
	copyFile("-wal")
	want(whole, "") // the log of a process that was killed cannot be read without a trace
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(s.Path(), link); err != nil {
		t.Fatal(err)
	}
	want(link, "")
}

// TestCopied: when the last copy was given out outlives the process, and what cannot be read calms nobody.
func TestCopied(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := openAt(t, &now)
	reread := func() time.Time { s.copied.Store(nil); s.readCopied(); return s.Copied() }
	if at := reread(); !at.IsZero() {
		t.Errorf("copied at %v", at)
	}
	if err := s.NoteCopied(); err != nil {
		t.Fatal(err)
	}
	if at := s.Copied(); !at.Equal(now) {
		t.Errorf("copied at %v", at)
	}
	if at := reread(); !at.Equal(now) {
		t.Errorf("copied at %v", at)
	}
	if err := os.WriteFile(copiedPath(s.Path()), []byte("soon"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at := reread(); !at.IsZero() {
		t.Errorf("copied at %v", at)
	}
}
