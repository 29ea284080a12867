package matrixauth

import "context"

// Background begins the work that Run begins, but for the socket of commands, which waits for the network. wait
// returns once all of it has ended.
func (c *Core) Background(ctx context.Context) (wait func()) {
	c.runBackground(ctx)
	return c.work.Wait
}

// What the tests say of when the work is done.
const (
	RetentionFirst = retentionFirst
	RetentionEvery = retentionEvery
)

// Detach has s answer for jobs and operators no more, as Stop does.
func (s *Server) Detach() { s.core.detach(s) }

// TokenRefused is what the gateway reports of a live token that the homeserver refused.
var TokenRefused = (*Server).tokenRefused
