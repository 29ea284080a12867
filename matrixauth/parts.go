package matrixauth

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/metrics"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Parts are what a Core consists of. Open makes all of them. Tests bring what they want to look at or to
// drive by themselves; what is nil is made.
type Parts struct {
	// Store is the open database, which the Core closes. It must not be nil.
	Store          *store.Store
	Outbox         *outbox.Outbox
	Registry       *session.Registry
	ReconcileQueue *reconcile.Queue
	Limiter        *limit.Limiter
	Refusals       *gateway.Refusals
	Passwords      *password.Hasher
	Lines          *edge.Lines
}

// NewCore makes a Core of its parts. If it fails the store stays open.
func NewCore(ctx context.Context, p Parts) (*Core, error) {
	now := p.Store.Now
	c := &Core{store: p.Store, outbox: p.Outbox, registry: p.Registry, reconcileQueue: p.ReconcileQueue, limiter: p.Limiter, refusals: p.Refusals, passwords: p.Passwords, lines: p.Lines}
	if c.outbox == nil {
		c.outbox = outbox.New(p.Store)
	}
	if c.reconcileQueue == nil {
		c.reconcileQueue = reconcile.NewQueue(now)
	}
	if c.limiter == nil {
		c.limiter = limit.New(now)
	}
	c.metrics = metrics.New(c.store, c.limiter)
	c.metrics.SealUsable = c.sealUsable
	if c.refusals == nil {
		c.refusals = gateway.NewRefusals(now)
	}
	if c.lines == nil {
		c.lines = edge.NewLines(now)
	}
	if c.passwords == nil {
		c.passwords = password.New(password.Config{Observe: c.metrics.ObserveHash})
	}
	if c.registry == nil {
		var err error
		if c.registry, err = session.NewRegistry(ctx, p.Store); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Attach has jobs and operators go by the configuration of s, once those attached before it are gone. It is
// the first thing that Start does, for who drives a Core that does not run.
func (s *Server) Attach() {
	s.loadSeal(context.Background())
	s.core.attach(s)
}

// Operator returns an operator, whose name is not known, who acts through s in this process.
func (s *Server) Operator() *Operator { return s.operator(model.Operator("", "unknown"), "") }

// Domain is what the doors of a Server act through.
type Domain struct {
	Users    *user.Users
	Sessions *session.Sessions
	Browsers *browser.Browsers
	Clients  *client.Clients
	Grants   *grant.Grants
}

// Domain returns what the doors of s act through, for tests that look behind them.
func (s *Server) Domain() Domain {
	return Domain{Users: s.users, Sessions: s.sessions, Browsers: s.browsers, Clients: s.clients, Grants: s.grants}
}
