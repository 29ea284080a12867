package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/control"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// Backup is a backup that is to be put in the place of a database.
type Backup struct {
	// From is its content, and Name what errors call it.
	From io.Reader
	Name string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// DryRun puts nothing back, and tells what would come of it.
	DryRun bool
}

// Restored is what came of putting a backup back.
type Restored struct {
	// Database is its place, and Backup the name of what was put there.
	Database string `json:"database"`
	Backup   string `json:"backup"`
	// AsOf is the last note of life in the backup; zero if it is from before there were such notes.
	AsOf time.Time `json:"as_of,omitzero"`
	// Kept is the file that was there before, under its new name; empty if there was none.
	Kept   string `json:"kept,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	// Again is what was done again as the file that was there has it, and Unread why nothing was; empty if it was.
	Again  RestrictedAgain `json:"done_again"`
	Unread string          `json:"not_done_again,omitempty"`
	// Held is how many deletions of devices were set aside.
	Held int64 `json:"held_back"`
	// ByHand is what an operator has to do.
	ByHand []ByHand `json:"by_hand"`
	// ActingAs is the user as whom the process has gone on; empty if that is who began it.
	ActingAs string `json:"-"`
}

// RestoreDatabase puts a backup in the place of a database that nobody has open, or that is lost. What was there is
// kept under another name. A process of root goes on as the owner of the database for good, or of its directory.
// Whatever fails before the exchange leaves everything as it was. Its errors say what to do.
func RestoreDatabase(ctx context.Context, t Target, config Config, deps Deps, b Backup) (done Restored, err error) {
	path, err := filepath.Abs(t.Database)
	if err != nil {
		return done, err
	}
	by := control.Self() // as whom the command was run, before it goes on as somebody else
	done = Restored{Database: path, Backup: b.Name, DryRun: b.DryRun, ByHand: []ByHand{}}
	if done.ActingAs, err = place.BecomeOwner(path); err == nil && done.ActingAs == "" {
		done.ActingAs, err = place.BecomeOwnerOfMissing(path)
	}
	if err != nil {
		return done, err
	}
	r, err := store.BeginRestore(ctx, path)
	if held := (*store.HeldError)(nil); errors.As(err, &held) {
		return done, fmt.Errorf("%w; nothing is restored while it runs", err)
	}
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if done.AsOf, err = r.Take(ctx, b.From, b.Name, config.ServerName); err != nil {
		return done, err
	}
	staged, err := r.Open(ctx, b.Now)
	if err != nil {
		return done, err
	}
	there, unreadable := r.Old()
	if unreadable != "" || !there {
		done.Unread = cmp.Or(unreadable, "there was no database")
	}
	if err := prepareBackup(ctx, staged, by, config, deps, &done); err != nil {
		return done, err
	}
	now := staged.Now()
	if b.DryRun {
		return done, nil
	}
	done.Kept, err = r.Install(now)
	return done, err
}

// prepareBackup brings an open backup to the state in which a server goes on with it.
func prepareBackup(ctx context.Context, staged *store.Store, by model.Actor, config Config, deps Deps, done *Restored) error {
	core, err := NewCore(ctx, Parts{Store: staged})
	if err != nil {
		return err
	}
	core.aside = true
	core.outbox.Configure(outbox.Config{Paused: true, Logger: deps.Logger})
	deps.HTTP, config.Secret = noSynapse(), cmp.Or(config.Secret, "unknown")
	server, err := New(core, config, deps)
	if err != nil {
		return err
	}
	server.table.Keep = server.keepLine
	var knowsKeys, knowsSeals bool
	err = staged.Update(ctx, func(tx *store.Tx) error {
		done.Again, done.ByHand = RestrictedAgain{}, operate.ByHandUnread(done.AsOf)
		if done.Unread == "" {
			again, byHand, err := server.operations.RestrictAgain(tx, by)
			if why := (*store.ReplacedError)(nil); errors.As(err, &why) {
				done.Unread = why.Error()
			} else if err != nil {
				return err
			} else {
				done.Again, done.ByHand = again, byHand
			}
		}
		if err := tx.Record(by, model.ActionRestore, "", model.Details{"as_of": done.AsOf}); err != nil {
			return err
		}
		if done.Held, err = tx.CountHeldBack(); err != nil {
			return err
		}
		keys, err := tx.TokenKeys()
		if err != nil {
			return err
		}
		seals, err := tx.Sealed()
		knowsKeys, knowsSeals = len(keys) > 0, len(seals) > 0
		return err
	})
	if err != nil {
		return err
	}
	server.table.Tell(ctx, by, "restore", nil)
	missing := func(path, what string) {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			done.ByHand = append(done.ByHand, ByHand{What: what + " " + path + " is not there", How: "put your copy of it there before the server starts"})
		}
	}
	if knowsKeys {
		missing(cmp.Or(config.KeyFile, tokenkey.Path(done.Database)), "the file of the keys of tokens")
	}
	if knowsSeals {
		missing(cmp.Or(config.SealFile, seal.Path(done.Database)), "the seal")
	}
	return nil
}
