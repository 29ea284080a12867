// Package backup has the server copy its own database now and then: when a copy is due, how it is called, that it is
// whole, and which older ones go. It must not know what a copy holds, and removes nothing but what it made itself.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config says where copies go, how often and how many.
type Config struct {
	Store *store.Store
	// Dir is made if it is not there. All copies lie in it.
	Dir string
	// Every is the time between two copies, and Keep how many there are at most.
	Every time.Duration
	Keep  int
	// ServerName is in the names of copies, so that several servers may share a directory.
	ServerName string
	// Turn is held by who copies: the servers of two configurations may overlap in a reload.
	Turn   *sync.Mutex
	Logger *slog.Logger
}

const (
	// lookEvery is the longest time between two looks, so that a clock that is set counts soon.
	lookEvery = time.Minute
	// retryAfter is the pause after a copy that failed, unless copies are due more often.
	retryAfter = 5 * time.Minute
	// stamp is the time in a name. It sorts as the times do.
	stamp = "20060102T150405Z"
	// unfinished begins the name of a copy that is being made.
	unfinished = ".unfinished-"
)

// Backups makes the copies of a database.
type Backups struct {
	c    Config
	name *regexp.Regexp

	mu      sync.Mutex
	problem error
	tried   time.Time
	newest  time.Time
}

// New makes the Backups of a configuration. Nothing is copied before Run.
func New(c Config) *Backups {
	b := &Backups{c: c}
	b.name = regexp.MustCompile("^" + regexp.QuoteMeta(b.prefix()) + `(\d{8}T\d{6}Z)\.db$`)
	return b
}

// prefix is the beginning of every name. A colon, as before a port, is none of a file's name everywhere.
func (b *Backups) prefix() string {
	return "matrix_auth-" + strings.NewReplacer(":", "_", "[", "", "]", "").Replace(b.c.ServerName) + "-"
}

// Dir is where the copies lie.
func (b *Backups) Dir() string { return b.c.Dir }

// Keep is how many copies there are at most, and Every the time between two.
func (b *Backups) Keep() int { return b.c.Keep }

// Every is the time between two copies.
func (b *Backups) Every() time.Duration { return b.c.Every }

// State is how it goes.
type State struct {
	// Newest is the time of the newest copy; zero if there is none, or nobody has looked yet.
	Newest time.Time
	// Problem is why the last copy that was due could not be made; nil if it could, or none was due yet.
	Problem error
}

// State returns how it went at the last look.
func (b *Backups) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return State{Newest: b.newest, Problem: b.problem}
}

// Run makes copies until ctx ends.
func (b *Backups) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(b.Pass(ctx))
	}
}

// Pass makes a copy if one is due, and returns the time until it should be called again. When one is due follows from
// the files that are there, so that neither a restart nor a reload makes one more or one less.
func (b *Backups) Pass(ctx context.Context) time.Duration {
	b.c.Turn.Lock()
	defer b.c.Turn.Unlock()
	now := b.c.Store.Now()
	copies, err := b.copies()
	if err == nil {
		due := b.dueIn(copies, now)
		if due > 0 {
			b.note(copies, nil, false)
			return min(due, lookEvery)
		}
		if wait := b.pauseAfter(now); wait > 0 {
			return min(wait, lookEvery)
		}
		copies, err = b.make(ctx, copies, now)
	}
	if ctx.Err() != nil {
		return lookEvery
	}
	b.note(copies, err, true)
	return min(b.c.Every, lookEvery)
}

// dueIn returns when the next copy is due. One with a time to come, from before the clock was set back, says nothing.
func (b *Backups) dueIn(copies []made, now time.Time) time.Duration {
	for _, c := range copies {
		if !c.at.After(now) {
			return c.at.Add(b.c.Every).Sub(now)
		}
	}
	return 0
}

// pauseAfter returns how long to wait after a copy that failed.
func (b *Backups) pauseAfter(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem == nil || b.tried.After(now) {
		return 0
	}
	return b.tried.Add(min(retryAfter, b.c.Every)).Sub(now)
}

// note keeps how it went, and has the log tell what is new of it. tried says that a copy was due.
func (b *Backups) note(copies []made, err error, tried bool) {
	b.mu.Lock()
	before := b.problem
	if len(copies) > 0 {
		b.newest = copies[0].at
	} else if err == nil {
		b.newest = time.Time{}
	}
	if tried {
		b.problem, b.tried = err, b.c.Store.Now()
	}
	b.mu.Unlock()
	switch {
	case !tried:
	case err != nil && before == nil:
		b.c.Logger.Error("a backup could not be made; it is tried again", "path", b.c.Dir, "error", err)
	case err == nil && before != nil:
		b.c.Logger.Info("backups can be made again", "path", b.c.Dir)
	}
}

// made is a copy that was made.
type made struct {
	name string
	at   time.Time
}

// copies lists the copies of this server, the newest first, and makes the directory. One with a time to come is of a
// clock that was wrong, and counts as the oldest: it would stay for as long, and others go in its stead.
func (b *Backups) copies() (all []made, err error) {
	if err := os.MkdirAll(b.c.Dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(b.c.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		found := b.name.FindStringSubmatch(e.Name())
		if found == nil || !b.isOurs(e) {
			continue
		}
		if at, err := time.Parse(stamp, found[1]); err == nil {
			all = append(all, made{e.Name(), at})
		}
	}
	now := b.c.Store.Now()
	slices.SortFunc(all, func(x, y made) int {
		switch {
		case x.at.After(now) == y.at.After(now):
			return y.at.Compare(x.at)
		case x.at.After(now):
			return 1
		}
		return -1
	})
	return all, nil
}

// isOurs reports whether an entry is a file that this user made.
func (b *Backups) isOurs(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	owner, known := place.Owner(info)
	return !known || owner == os.Geteuid()
}

// make makes a copy, and removes those that are too many. Until the new one is whole in its place none goes.
func (b *Backups) make(ctx context.Context, before []made, now time.Time) ([]made, error) {
	if err := b.removeUnfinished(); err != nil {
		return before, err
	}
	fresh := made{b.prefix() + now.Format(stamp) + ".db", now.Truncate(time.Second)}
	temporary := filepath.Join(b.c.Dir, unfinished+fresh.name)
	err := b.c.Store.CopyTo(ctx, temporary)
	if err == nil {
		err = store.CheckCopy(ctx, temporary)
	}
	if err == nil {
		err = os.Rename(temporary, filepath.Join(b.c.Dir, fresh.name))
	}
	if err == nil {
		err = store.Sync(b.c.Dir)
	}
	if err != nil {
		if removed := os.Remove(temporary); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
		return before, err
	}
	if err := b.c.Store.NoteCopied(); err != nil {
		b.c.Logger.Warn("the time of a backup could not be kept", "error", err)
	}
	before = slices.DeleteFunc(before, func(c made) bool { return c.name == fresh.name })
	kept := min(b.c.Keep-1, len(before))
	for _, old := range before[kept:] {
		if err := os.Remove(filepath.Join(b.c.Dir, old.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return append([]made{fresh}, before...), fmt.Errorf("an old backup cannot be removed: %w", err)
		}
	}
	return append([]made{fresh}, before[:kept]...), nil
}

// removeUnfinished removes what was left behind by a process that died.
func (b *Backups) removeUnfinished() error {
	entries, err := os.ReadDir(b.c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), unfinished); !ok || !strings.HasPrefix(name, b.prefix()) || !b.isOurs(e) {
			continue
		}
		if err := os.Remove(filepath.Join(b.c.Dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
