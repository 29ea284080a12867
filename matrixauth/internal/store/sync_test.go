package store

import (
	"path/filepath"
	"testing"
)

// TestCommitsAreSynced: a commit waits for the disk unless a test asked otherwise. A rotation that a power cut
// undoes would sign somebody out of their encrypted history.
func TestCommitsAreSynced(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		want    int
	}{"as served": {Options{}, 2}, "as tested": {Options{NoSync: true}, 0}} {
		t.Run(name, func(t *testing.T) {
			c.options.Path, c.options.Create = filepath.Join(t.TempDir(), "auth.db"), true
			s, err := Open(t.Context(), c.options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			var got int
			if err := s.writer.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got); err != nil || got != c.want {
				t.Errorf("synchronous is %d, want %d; %v", got, c.want, err)
			}
		})
	}
}
