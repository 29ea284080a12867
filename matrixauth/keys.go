package matrixauth

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// KeyFile is where the keys of tokens of a database lie if the configuration names no other place.
func KeyFile(database string) string { return tokenkey.Path(database) }

// ring returns the keys at a path. All configurations that name it have one ring, so that a key which is renewed mints for all.
func (c *Core) ring(path, serverName string) *tokenkey.Ring {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rings == nil {
		c.rings = map[string]*tokenkey.Ring{}
	}
	if c.rings[path] == nil {
		c.rings[path] = tokenkey.New(c.store, path, serverName)
	}
	return c.rings[path]
}

// loadKeys reads the keys of tokens, or makes the first one. A server without them goes on with tokens that claim
// nothing.
func (s *Server) loadKeys(ctx context.Context) {
	if err := s.keys.Load(ctx); err != nil {
		s.deps.Logger.Error("the keys of tokens cannot be used", "path", s.keys.Path(), "error", err)
	}
	state := s.keys.State()
	if state.Made {
		s.deps.Logger.Warn("the keys of tokens were gone, and a new one was made", "path", s.keys.Path())
	}
	if state.Mended != "" {
		s.deps.Logger.Warn("a file beside the database was open to others: " + state.Mended)
	}
}

// checkKeys reads the keys again. The log tells if they cannot be used any more, or can be again.
func (s *Server) checkKeys(ctx context.Context) {
	before := s.keys.State().Problem
	err := s.keys.Load(ctx)
	switch {
	case err != nil && before == nil && ctx.Err() == nil:
		s.deps.Logger.Error("the keys of tokens cannot be used", "path", s.keys.Path(), "error", err)
	case err == nil && before != nil:
		s.deps.Logger.Info("the keys of tokens can be used again", "path", s.keys.Path())
	}
}
