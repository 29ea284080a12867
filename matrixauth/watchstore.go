package matrixauth

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const (
	// storeInterval is the time between two looks at the database, and two tries to write to one that cannot be.
	storeInterval = 5 * time.Second
	// writeLineEvery and damageLineEvery are how often the log tells of it.
	writeLineEvery  = time.Minute
	damageLineEvery = time.Hour
)

// storeWatch is what was told of a database.
type storeWatch struct {
	core *Core
	// writing and damage are when the log told last; the zero time if it never did.
	writing, damage time.Time
	// failing reports whether the database could not be written when it was looked at last.
	failing bool
}

// watchStore tells of a database that cannot be written, or is damaged, and tries to write to it: nobody else may, and
// all is well again as soon as it can be.
func (c *Core) watchStore(ctx context.Context) {
	w := storeWatch{core: c}
	every(ctx, storeInterval, func() { w.look(ctx) })
}

func (w *storeWatch) look(ctx context.Context) {
	s := w.core.store
	if s.CannotWrite() != nil {
		// Its error is what CannotWrite tells.
		_ = s.Update(ctx, (*store.Tx).NoteAlive)
	}
	now := s.Now()
	switch t := s.CannotWrite(); {
	case t != nil && now.Sub(w.writing).Abs() >= writeLineEvery:
		w.writing, w.failing = now, true
		w.core.logger().Error("the database cannot be written; nobody is signed out, and who would change something is told to wait",
			"database", s.Path(), "what", t.What, "since", t.Since, "error", t.Err)
	case t != nil:
		w.failing = true
	case w.failing:
		w.failing = false
		w.core.logger().Info("the database can be written again", "database", s.Path())
	}
	if t := s.Damaged(); t != nil && now.Sub(w.damage).Abs() >= damageLineEvery {
		w.damage = now
		w.core.logger().Error("the database is damaged; who needs the damaged part is told to wait. Put a backup back: caddy matrix-auth restore FILE",
			"database", s.Path(), "since", t.Since, "error", t.Err)
	}
}
