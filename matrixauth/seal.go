package matrixauth

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
)

// SealFile returns where the seal of a database lies if the configuration names no other place.
func SealFile(database string) string { return seal.Path(database) }

// keeper returns the keeper of the seal at a path.
func (c *Core) keeper(path string) *seal.Keeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seals == nil {
		c.seals = map[string]*seal.Keeper{}
	}
	if c.seals[path] == nil {
		c.seals[path] = seal.New(c.store, path)
	}
	return c.seals[path]
}

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

// checkSeal reads the seal again. The log tells if it cannot be used any more, or can be again.
func (s *Server) checkSeal(ctx context.Context) {
	before := s.seal.Problem()
	err := s.seal.Load(ctx, true)
	switch after := s.seal.Problem(); {
	case before == nil && after != nil:
		s.deps.Logger.Error("the seal cannot be used", "path", s.seal.Path(), "error", after)
	case before != nil && err == nil:
		s.deps.Logger.Info("the seal can be used again", "path", s.seal.Path())
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
