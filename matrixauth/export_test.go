package matrixauth

import (
	"context"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// What the tests outside of this package look at inside of it.

func (s *Server) Doctor() doctor.Config { return s.doctor() }

// OpenAside opens a database aside as a command does.
func (t Target) OpenAside(ctx context.Context, config Config, deps Deps) (*Server, error) {
	server, _, err := t.open(ctx, config, deps)
	return server, err
}

func (s *Server) Table() *operate.Table { return s.table }

func (s *Server) Jobs() *outbox.Outbox { return s.core.outbox }

func (s *Server) Gateway() *gateway.Gateway { return s.gateway }

// PathsWithGet returns the paths of the public site that can be got, with their wires.
func (s *Server) PathsWithGet() map[string]web.Wire {
	all := map[string]web.Wire{}
	for _, b := range s.routes() {
		if b.Handlers[http.MethodGet] == nil || b.Side == web.Internal {
			continue
		}
		for _, path := range s.issuer.Paths(b.Endpoint, web.Public) {
			all[path] = b.Wire
		}
	}
	return all
}

// Handlers returns what does the jobs.
func (s *Server) Handlers() []outbox.Handler { return s.jobs().Handlers }

var Catalogue = catalogue

func (s *Server) Routes() []web.Bound { return s.routes() }

func (s *Server) Issuer() edge.Issuer { return s.issuer }

func (s *Server) Seal() *seal.Keeper { return s.seal }

// CheckSeal is a look at the seal, as a server takes now and then.
func (s *Server) CheckSeal(ctx context.Context) { s.checkSeal(ctx) }
