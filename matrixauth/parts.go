package matrixauth

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/backup"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/metrics"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
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
	// Mailer sends mails in place of what the configuration says, if it has any sent.
	Mailer mail.Sender
	// Wired is told what each Server that New makes on the Core consists of. It may be nil.
	Wired func(Wiring)
}

// Wiring is what a Server consists of, for tests that look behind its doors.
type Wiring struct {
	Users         *user.Users
	Sessions      *session.Sessions
	Clients       *client.Clients
	Gateway       *gateway.Gateway
	Letters       *notify.Letters
	Verifications *verification.Verifications
	Doctor        doctor.Config
	// Backups are nil if none are configured. They run with the Server.
	Backups *backup.Backups
	// Issuer is where the public address is, and Routes are what is served there and inside.
	Issuer edge.Issuer
	Routes []web.Bound
	// Operator acts through the Server in this process, and by no name.
	Operator *Operator
	// Attach has jobs and operators go by the configuration of the Server, as Start does, which has more run by itself.
	Attach func()
}

// NewCore makes a Core of its parts. If it fails the store stays open.
func NewCore(ctx context.Context, p Parts) (*Core, error) {
	now := p.Store.Now
	c := &Core{store: p.Store, outbox: p.Outbox, registry: p.Registry, reconcileQueue: p.ReconcileQueue, limiter: p.Limiter, refusals: p.Refusals, passwords: p.Passwords, lines: p.Lines, mailer: p.Mailer, wired: p.Wired, failures: signin.NewFailures(p.Store)}
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
	c.metrics.Backups = c.backupState
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

// attach has jobs and operators go by the configuration of s, once those attached before it are gone.
func (s *Server) attach() {
	s.loadSeal(context.Background())
	s.loadKeys(context.Background())
	s.core.attach(s)
}

// tellWiring tells of what s consists, if somebody wants to know.
func (s *Server) tellWiring() {
	if s.core.wired == nil {
		return
	}
	s.core.wired(Wiring{
		Users: s.users, Sessions: s.sessions, Clients: s.clients, Gateway: s.gateway, Letters: s.letters, Verifications: s.verifications, Doctor: s.doctor(), Backups: s.backups, Issuer: s.issuer, Routes: s.routes(),
		Operator: s.operator(model.Operator("", "unknown"), ""), Attach: s.attach,
	})
}
