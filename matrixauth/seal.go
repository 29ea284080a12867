package matrixauth

import (
	"cmp"
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
)

// SealFile returns where the seal of a database lies if the configuration names no other place.
func SealFile(database string) string { return seal.Path(database) }

// newSeal makes the keeper of the seal of this configuration.
func (s *Server) newSeal() *seal.Keeper {
	return seal.New(s.core.store, cmp.Or(s.config.SealFile, SealFile(s.core.Database())))
}

// sealInterval is the time between two looks at a seal that cannot be used: one that is put back is taken soon.
const sealInterval = 15 * time.Second

// loadSeal reads the seal, or makes it for a database that never sealed anything. A server without one goes on:
// nobody's session hangs on it. What is wrong is in the log once, and in the health, the metrics and the doctor
// for as long as it lasts.
func (s *Server) loadSeal(ctx context.Context) {
	if err := s.seal.Load(ctx, true); err != nil {
		s.deps.Logger.Error("the seal cannot be used", "path", s.seal.Path(), "error", err)
	}
	if what := s.seal.Mended(); what != "" {
		s.deps.Logger.Warn("a file beside the database was open to others: " + what)
	}
}

// watchSeal looks again at a seal that cannot be used until ctx ends.
func (s *Server) watchSeal(ctx context.Context) {
	ticker := time.NewTicker(sealInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.seal.Problem() == nil {
			continue
		}
		if s.seal.Load(ctx, true) == nil {
			s.deps.Logger.Info("the seal can be used again", "path", s.seal.Path())
		}
	}
}

// sealUsable reports whether what was sealed can be opened; it is not known while no configuration is in force.
func (c *Core) sealUsable() (usable, known bool) {
	s := c.current()
	if s == nil {
		return false, false
	}
	return s.seal.Problem() == nil, true
}
