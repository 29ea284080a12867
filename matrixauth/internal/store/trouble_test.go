package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

func openForTrouble(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path, Create: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func noteAlive(t *testing.T, s *Store) error {
	t.Helper()
	return s.Update(t.Context(), (*Tx).NoteAlive)
}

// addRoom writes rows that need pages.
func addRoom(t *testing.T, s *Store) error {
	t.Helper()
	return s.Update(t.Context(), func(tx *Tx) error {
		for range 50 {
			u := model.User{ID: model.NewID(tx.Now), CreatedAt: tx.Now}
			u.Localpart = strings.ToLower(u.ID) + strings.Repeat("x", 200)
			if err := tx.InsertUser(u); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestCannotWrite: what the machine keeps the database from is no error about whoever asked, is known until something is
// durable again, and keeps nobody from reading.
func TestCannotWrite(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end, what string
		write            func(*testing.T, *Store) error
	}{
		"full":      {"PRAGMA max_page_count = 10", "PRAGMA max_page_count = 1000000", "the disk is full", addRoom},
		"read_only": {"PRAGMA query_only = 1", "PRAGMA query_only = 0", "can only be read", noteAlive},
	} {
		t.Run(name, func(t *testing.T) {
			s := openForTrouble(t, filepath.Join(t.TempDir(), "auth.db"))
			exec := func(pragma string) {
				t.Helper()
				if _, err := s.writer.Exec(pragma); err != nil {
					t.Fatal(err)
				}
			}
			if s.CannotWrite() != nil {
				t.Fatal("it cannot be written from the beginning")
			}
			exec(c.begin)
			for range 2 {
				if err := c.write(t, s); !errors.Is(err, model.DatabaseDown) || model.AsError(err).Retry == 0 || !model.Inconclusive(err) {
					t.Fatalf("%v", err)
				}
			}
			trouble := s.CannotWrite()
			if trouble == nil || !strings.Contains(trouble.What, c.what) || trouble.Since.IsZero() {
				t.Fatalf("%+v", trouble)
			}
			if err := s.Check(t.Context()); err != nil || s.Damaged() != nil {
				t.Errorf("it cannot be read: %v, damaged %+v", err, s.Damaged())
			}
			_ = s.Update(t.Context(), func(*Tx) error { return nil }) // where a transaction can begin, it needs no disk
			if s.CannotWrite() == nil {
				t.Error("a commit of nothing counts as a write")
			}
			exec(c.end)
			if err := c.write(t, s); err != nil || s.CannotWrite() != nil {
				t.Errorf("afterwards: %v, %+v", err, s.CannotWrite())
			}
		})
	}
}

// TestTroubles tells what the machine is to blame for from what a program asked.
func TestTroubles(t *testing.T) {
	s := openForTrouble(t, filepath.Join(t.TempDir(), "auth.db"))
	for code, down := range map[sqlite3.ErrNo]bool{
		sqlite3.ErrFull: true, sqlite3.ErrIoErr: true, sqlite3.ErrReadonly: true, sqlite3.ErrCantOpen: true, sqlite3.ErrBusy: true, sqlite3.ErrLocked: true,
		sqlite3.ErrNomem: true, sqlite3.ErrCorrupt: true, sqlite3.ErrNotADB: true, sqlite3.ErrPerm: true, sqlite3.ErrProtocol: true,
		sqlite3.ErrError: false, sqlite3.ErrConstraint: false, sqlite3.ErrMismatch: false, sqlite3.ErrMisuse: false, sqlite3.ErrRange: false, sqlite3.ErrInterrupt: false,
	} {
		if got := s.met(sqlite3.Error{Code: code}, false); errors.Is(got, model.DatabaseDown) != down {
			t.Errorf("%v is %v", code, got)
		}
	}
	if s.CannotWrite() != nil || s.Damaged() == nil {
		t.Error("a read tells of writes, or damage is not remembered")
	}
	if s.met(nil, true) != nil || !errors.Is(s.met(context.Canceled, true), context.Canceled) || s.CannotWrite() != nil {
		t.Error("what is no fault of the machine counts as one")
	}
}

// TestDamage: a file that is cut short, or has a page that is none, is found to be damaged, and a whole one is not.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := Open(t.Context(), Options{Path: path, Create: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(addRoom(t, s), s.QuickCheck(t.Context())); err != nil || s.Damaged() != nil {
		t.Fatalf("%v, %+v", err, s.Damaged())
	}
	if problems, err := s.FullCheck(t.Context()); err != nil || problems != nil {
		t.Fatalf("%v, %v", problems, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	damaged := append([]byte(nil), whole...)
	copy(damaged[len(damaged)-page:], make([]byte, page))
	t.Run("cut_short", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "auth.db")
		if err := os.WriteFile(path, whole[:len(whole)-page], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "caddy matrix-auth restore FILE") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a_page_of_zeros", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "auth.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openForTrouble(t, path)
		if err := s.QuickCheck(t.Context()); err != nil || s.Damaged() == nil {
			t.Errorf("it is not found: %v", err)
		}
		if problems, err := s.FullCheck(t.Context()); err != nil || len(problems) == 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}
