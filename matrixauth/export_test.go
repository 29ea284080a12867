package matrixauth

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
)

// What the tests outside of this package look at inside of it.

// OpenAside opens a database aside as a command does.
func (t Target) OpenAside(ctx context.Context, config Config, deps Deps) (*Server, error) {
	server, _, err := t.open(ctx, config, deps)
	return server, err
}

func (s *Server) Table() *operate.Table { return s.table }

func (s *Server) Jobs() *outbox.Outbox { return s.core.outbox }

// Handlers returns what does the jobs.
func (s *Server) Handlers() []outbox.Handler { return s.jobs().Handlers }

var Catalogue = catalogue

func (s *Server) Seal() *seal.Keeper { return s.seal }

// CheckSeal is a look at the seal, as a server takes now and then.
func (s *Server) CheckSeal(ctx context.Context) { s.checkSeal(ctx) }

func (s *Server) Operator() *Operator { return s.operator(model.Operator("", "unknown"), "") }

func (s *Server) Attach() { s.attach() }

func (s *Server) Sessions() *session.Sessions { return s.sessions }
