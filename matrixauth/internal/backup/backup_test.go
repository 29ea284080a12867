package backup_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/backup"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"
)

// cellar is a database with a folder of backups.
type cellar struct {
	*backup.Backups
	t     *testing.T
	clock *testkit.Clock
	store *store.Store
	log   *testkit.Journal
	dir   string
	turn  sync.Mutex
}

func newCellar(t *testing.T) *cellar {
	c := &cellar{t: t, clock: testkit.NewClock(), log: &testkit.Journal{}, dir: filepath.Join(t.TempDir(), "backups")}
	var err error
	if c.store, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "matrix_auth.db"), Create: true, NoSync: true, Now: c.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.store.Close(); err != nil {
			t.Error(err)
		}
	})
	c.restart()
	return c
}

// restart forgets what was in memory.
func (c *cellar) restart() {
	c.Backups = backup.New(backup.Config{
		Store: c.store, Dir: c.dir, Every: 24 * time.Hour, Keep: 3, ServerName: "example.com:8448", Turn: &c.turn, Logger: slog.New(slog.NewJSONHandler(c.log, nil)),
	})
}

// days has so many days pass, as Run would see them.
func (c *cellar) days(n int) {
	for until := c.clock.Now().Add(time.Duration(n) * 24 * time.Hour); c.clock.Now().Before(until); {
		c.Pass(c.t.Context())
		c.clock.Move(time.Hour)
	}
	c.Pass(c.t.Context())
}

func (c *cellar) files() (names []string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (c *cellar) put(name, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// name is that of a copy of a day of the test.
func name(day int) string {
	return "matrix_auth-example.com_8448-" + testkit.Start.Add(time.Duration(day)*24*time.Hour).Format("20060102T150405Z") + ".db"
}

func (c *cellar) want(names ...string) {
	c.t.Helper()
	if got := c.files(); !slices.Equal(got, names) {
		c.t.Errorf("there are %q, want %q", got, names)
	}
}

// TestBackups: the server copies its database by itself, keeps some, and takes away nothing else.
func TestBackups(t *testing.T) {
	t.Run("one_a_day_and_three_are_kept", func(t *testing.T) {
		c := newCellar(t)
		if wait := c.Pass(t.Context()); wait > time.Minute {
			t.Errorf("looks again after %s", wait)
		}
		c.want(name(0))
		if info, err := os.Stat(filepath.Join(c.dir, name(0))); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy: %v, %v", info, err)
		}
		if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder: %v, %v", info, err)
		}
		c.days(5)
		c.want(name(3), name(4), name(5))
		if at := c.State().Newest; !at.Equal(testkit.Start.Add(5 * 24 * time.Hour)) {
			t.Errorf("the newest is of %s", at)
		}
		if !c.store.Copied().Equal(c.State().Newest) {
			t.Errorf("the last copy is of %s", c.store.Copied())
		}
		opened, err := store.Open(t.Context(), store.Options{Path: filepath.Join(c.dir, name(5)), Now: c.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a_restart_makes_none_more_and_none_less", func(t *testing.T) {
		c := newCellar(t)
		c.Pass(t.Context())
		for range 23 {
			c.clock.Move(time.Hour)
			c.restart()
			c.Pass(t.Context())
		}
		c.want(name(0))
		c.clock.Move(time.Hour)
		c.restart()
		c.Pass(t.Context())
		c.want(name(0), name(1))
	})
	t.Run("what_others_put_there_stays", func(t *testing.T) {
		c := newCellar(t)
		c.Pass(t.Context())
		others := []string{"matrix_auth-example.org-20200101T000000Z.db", "matrix_auth-example.com_8448-20200101T000000Z.db.gz", "matrix_auth-example.com_8448-before.db", "keep.db"}
		for _, other := range others {
			c.put(other, "mine")
		}
		if err := os.Symlink("keep.db", filepath.Join(c.dir, name(-400))); err != nil {
			t.Fatal(err)
		}
		c.days(5)
		for _, other := range append(others, name(-400)) {
			if _, err := os.Lstat(filepath.Join(c.dir, other)); err != nil {
				t.Error(err)
			}
		}
		if n := len(c.files()); n != len(others)+1+3 {
			t.Errorf("there are %q", c.files())
		}
	})
	t.Run("while_none_can_be_made_none_goes", func(t *testing.T) {
		c := newCellar(t)
		c.days(3)
		before := c.files()
		// The name of the next one is taken by something that no rename replaces.
		c.clock.Move(24 * time.Hour)
		for hour := range 24 * 4 {
			blocked := filepath.Join(c.dir, "matrix_auth-example.com_8448-"+c.clock.Now().Format("20060102T150405Z")+".db")
			if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			c.Pass(t.Context())
			if err := os.RemoveAll(blocked); err != nil {
				t.Fatal(err)
			}
			if state := c.State(); state.Problem == nil || !state.Newest.Equal(testkit.Start.Add(3*24*time.Hour)) {
				t.Fatalf("after %d hours: %+v", hour, state)
			}
			c.clock.Move(time.Hour)
		}
		c.want(before...)
		if n := strings.Count(c.log.String(), "a backup could not be made"); n != 1 {
			t.Errorf("the log has %d lines", n)
		}
		c.Pass(t.Context())
		if state := c.State(); state.Problem != nil || !strings.Contains(c.log.String(), "backups can be made again") {
			t.Errorf("it goes on with %+v", state)
		}
	})
	t.Run("it_is_not_tried_at_every_look", func(t *testing.T) {
		c := newCellar(t)
		if err := os.WriteFile(c.dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c.Pass(t.Context())
		tries := c.State().Problem
		if tries == nil {
			t.Fatal("a file in the place of the folder is no problem")
		}
		if err := os.Remove(c.dir); err != nil {
			t.Fatal(err)
		}
		c.clock.Move(time.Minute)
		c.Pass(t.Context())
		c.want()
		c.clock.Move(5 * time.Minute)
		c.Pass(t.Context())
		if len(c.files()) != 1 {
			t.Errorf("there are %q", c.files())
		}
	})
	t.Run("what_a_crash_left_is_removed", func(t *testing.T) {
		c := newCellar(t)
		c.Pass(t.Context())
		c.put(".unfinished-"+name(1), "half of it")
		c.put(".unfinished-other", "of somebody else")
		c.days(1)
		c.want(".unfinished-other", name(0), name(1))
	})
	t.Run("a_clock_that_was_set_back_keeps_none_from_being_made", func(t *testing.T) {
		c := newCellar(t)
		c.Pass(t.Context())
		c.clock.Move(-10 * 24 * time.Hour)
		c.Pass(t.Context())
		c.want(name(-10), name(0))
		c.days(3)
		c.want(name(-9), name(-8), name(-7)) // that with a time to come goes first
		if at := c.State().Newest; !at.Equal(c.clock.Now()) {
			t.Errorf("the newest is of %s", at)
		}
	})
}
