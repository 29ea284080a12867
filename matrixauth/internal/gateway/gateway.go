// Package gateway has a word with requests on their way to the homeserver: those of locked users,
// whom the homeserver does not know as such when logins are delegated, and those with tokens that
// ended a moment ago, which it may still honour from memory.
package gateway

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Gateway judges requests that are not ours.
type Gateway struct{ sessions *session.Sessions }

// New makes the gateway.
func New(s *session.Sessions) *Gateway { return &Gateway{s} }

// Idle tells that there is nothing to judge. It costs two atomic loads, and is true nearly always.
func (g *Gateway) Idle() bool { return !g.sessions.Registry.Watchful() }

// Judge gives an Error with code UserLocked for a request that bears the token of a locked user
// (MOD-1): with it the client keeps its keys and waits. The token of a session that has ended gives
// UnknownToken, at once and not when the homeserver has forgotten it (REV-9). Anything else passes,
// whatever its token; the homeserver judges that. A store that cannot be read is an error too, as
// SOFT-7 has it: never a 401.
func (g *Gateway) Judge(r *http.Request) error {
	if r.Method == http.MethodOptions {
		return nil
	}
	value, ok := web.Bearer(r)
	if !ok {
		return nil
	}
	if g.sessions.Registry.Retired(model.HashToken(value)) {
		return &model.Error{Kind: model.Unauthenticated, Code: model.UnknownToken}
	}
	if !g.sessions.Registry.AnyLocked() {
		return nil
	}
	// An expired token counts too: its client would go on to refresh, and should learn the reason.
	token, err := g.sessions.Owner(value)
	if err != nil {
		if errors.Is(err, model.UnknownToken) {
			return nil
		}
		return err
	}
	if !g.sessions.Registry.Locked(token.UserID) {
		return nil
	}
	web.SetUser(r.Context(), token.UserID)
	return &model.Error{Kind: model.Unauthenticated, Code: model.UserLocked}
}
