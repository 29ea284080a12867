package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/account"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/backup"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Deps are what the embedding server lends to a Server.
type Deps struct {
	Logger *slog.Logger
	// HTTP makes the calls to the homeserver; nil means a client of our own.
	HTTP *http.Client
	// ClientIP returns the address of a request's client, found through trusted proxies only.
	ClientIP func(*http.Request) string
	// Placement is what commands are told of where the server stands.
	Placement Placement
	// Sites tells the sites that the embedding server has, for the doctor. It may be nil.
	Sites func() []Site
	// Surroundings tells what the doctor is to say of the embedding server itself. It may be nil.
	Surroundings func() []Finding
	// NotListening returns the addresses at which the homeserver should reach us and cannot. It may be nil.
	NotListening func() []string
}

// Server answers requests by one configuration. Making one is cheap and opens nothing.
type Server struct {
	core   *Core
	config Config
	deps   Deps
	// issuer is where our public address is.
	issuer edge.Issuer

	homeserver *homeserver.Client
	seal       *seal.Keeper
	keys       *tokenkey.Ring
	// backups are nil if none are configured.
	backups       *backup.Backups
	registrations *registration.Registrations
	sessions      *session.Sessions
	users         *user.Users
	browsers      *browser.Browsers
	signIns       *signin.SignIns
	reconciler    *reconcile.Reconciler
	recoveries    *recovery.Recoveries
	clients       *client.Clients
	grants        *grant.Grants
	compat        *compat.Door
	oauth         *oauth.Door
	account       *account.Door
	gateway       *gateway.Gateway
	cookie        *web.BrowserCookie
	devices       *web.DeviceCookie
	pages         *page.Pages
	letters       *notify.Letters
	// verifications have addresses proven.
	verifications *verification.Verifications
	edge          *edge.Edge

	// operations are what commands can have done, and table has them by their names.
	operations *operate.Operations
	table      *operate.Table
	// kept counts the lines about operators' actions that keepLine kept.
	kept atomic.Int64

	stop context.CancelFunc
	work sync.WaitGroup
}

// New makes a Server of a configuration whose defaults are filled in and which has a secret. It refuses a
// database whose accounts are of another server name.
func New(core *Core, config Config, deps Deps) (*Server, error) {
	var errs []error
	for _, p := range config.Validate() {
		errs = append(errs, p)
	}
	if config.Secret == "" {
		errs = append(errs, Problem{"secret", "the secret shared with the homeserver is missing"})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if err := core.store.CheckServerName(context.Background(), config.ServerName); err != nil {
		return nil, err
	}
	issuer, err := edge.ParseIssuer(config.Issuer)
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	s := &Server{core: core, config: config, deps: deps, issuer: issuer}
	s.homeserver = homeserver.New(homeserver.Config{Endpoint: endpoint, Secret: config.Secret, ServerName: config.ServerName, HTTP: deps.HTTP})
	s.seal = core.keeper(cmp.Or(config.SealFile, SealFile(core.Database())))
	if b := config.Backup; b.Dir != "" {
		s.backups = backup.New(backup.Config{
			Store: core.store, Dir: b.Dir, Every: b.Every, Keep: b.Keep, ServerName: config.ServerName, Turn: &core.copying, Logger: deps.Logger,
		})
	}
	s.keys = core.ring(cmp.Or(config.KeyFile, KeyFile(core.Database())), config.ServerName)
	if err := s.wirePages(); err != nil {
		return nil, err
	}
	s.wireMail()
	s.wireDomain()
	s.wireDoors()
	s.wireEdge()
	s.wireOperations()
	s.tellWiring()
	return s, nil
}

func (s *Server) wirePages() error {
	issuer, err := url.Parse(s.issuer.URL)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	s.cookie, s.devices = web.NewBrowserCookie(issuer), web.NewDeviceCookie(issuer)
	s.pages, err = page.New(page.Config{
		Issuer: issuer, Cookie: s.cookie, Name: s.config.Branding.Name, Logo: s.config.Branding.Logo, Accent: s.config.Branding.Accent,
		Links: s.config.Branding.links(), PasswordLeast: s.config.Passwords.MinLength,
		Folder: s.config.Templates, Now: s.core.store.Now,
	})
	return err
}

func (s *Server) wireDomain() {
	s.sessions = session.New(session.Config{
		Store: s.core.store, Outbox: s.core.outbox, Registry: s.core.registry, Keys: s.keys, Homeserver: s.homeserver,
		ReadOnly: s.config.Kind == SynapseReadOnly, AccessLife: s.config.AccessTokenLifetime,
		Limiter: s.core.limiter, Refreshes: s.config.RefreshesPerSession, ServerName: s.config.ServerName, Logger: s.deps.Logger,
		Refreshed: s.core.reconcileQueue.Refreshed, Count: s.core.metrics.CountSession,
		// Users and the reconciler are made below, as they end sessions.
		FindDevice: func(ctx context.Context, of model.Session) (session.DeviceStanding, error) {
			return s.reconciler.Device(ctx, of)
		},
		Started: s.letters.AppSignedIn,
		Confirm: func(ctx context.Context, who model.User) error { return s.users.ConfirmInLane(ctx, who) },
	})
	s.verifications = verification.New(verification.Config{
		Store: s.core.store, Outbox: s.core.outbox, Seal: s.seal, Letters: s.letters, ServerName: s.config.ServerName,
	})
	s.browsers = browser.New(s.core.store, func(tx *store.Tx, of model.BrowserSession, p browser.Start) error {
		return s.letters.BrowserSignedIn(tx, of, p.Known, p.Language, p.Agent)
	})
	s.users = user.New(user.Config{
		Verifications: s.verifications, Letters: s.letters, AllowEmail: func(address string) bool { return s.registrations.Rules().Domains.Allow(address) },
		Store: s.core.store, Outbox: s.core.outbox, Sessions: s.sessions, Browsers: s.browsers, Passwords: s.core.passwords, Policy: s.config.Passwords.policy(s.deps.Logger),
		Seal: s.seal, BcryptCost: bcryptCost(s.config.PasswordHash),
		Homeserver: s.homeserver, Limiter: s.core.limiter, ReadOnly: s.config.Kind == SynapseReadOnly, ServerName: s.config.ServerName, Notify: s.letters.Notify, Logger: s.deps.Logger,
	})
	s.reconciler = reconcile.New(reconcile.Config{
		Store: s.core.store, Outbox: s.core.outbox, Sessions: s.sessions, Users: s.users, Homeserver: s.homeserver,
		ServerName: s.config.ServerName, Logger: s.deps.Logger,
	})
	s.clients = client.New(client.Config{Store: s.core.store, Static: s.config.staticClients(), AllowHTTP: s.config.AllowHTTPClients})
	s.grants = grant.New(grant.Config{Store: s.core.store, Clients: s.clients, Sessions: s.sessions})
	s.recoveries = recovery.New(recovery.Config{
		Store: s.core.store, Users: s.users, Sessions: s.sessions, Limiter: s.core.limiter, Outbox: s.core.outbox, Seal: s.seal, Letters: s.letters,
		On: s.config.Recovery != RecoveryOff, Issuer: s.issuer.URL, ServerName: s.config.ServerName,
	})
	s.registrations = registration.New(registration.Config{
		Store: s.core.store, Users: s.users, Limiter: s.core.limiter, Seal: s.seal, Verifications: s.verifications, Letters: s.letters, Outbox: s.core.outbox, Rules: s.config.Registration.rules(s.config),
		ServerName: s.config.ServerName, Logger: s.deps.Logger,
	})
	s.signIns = signin.New(signin.Config{Store: s.core.store, Users: s.users, Browsers: s.browsers, Grants: s.grants, Limits: signin.Limits{
		Limiter: s.core.limiter, PerNetwork: s.config.LoginsPerNetwork, PerAccount: s.config.LoginsPerAccount,
	}, Registers: s.registrations.On, Failures: s.core.failures})
}

func (s *Server) wireDoors() {
	s.compat = compat.New(compat.Config{
		SignIns: s.signIns, Users: s.users, Sessions: s.sessions, ServerName: s.config.ServerName, Devices: s.devices,
		Account: s.config.LegacyAccount != LegacyAccountOff, Secret: s.config.Secret, CheckName: s.registrations.Available,
		Count: s.core.metrics.CountCompat, Logger: s.deps.Logger,
	})
	s.account = account.New(account.Config{
		SignIns: s.signIns, Failures: s.core.failures, Users: s.users, Sessions: s.sessions, Browsers: s.browsers, Clients: s.clients, Grants: s.grants, Registrations: s.registrations, Recoveries: s.recoveries,
		Cookie: s.cookie, Devices: s.devices, Pages: s.pages, Base: s.issuer.Base, ServerName: s.config.ServerName,
		Now: s.core.store.Now, Count: func(outcome string) { s.core.metrics.CountCompat("login", outcome) },
	})
	s.oauth = oauth.New(oauth.Config{
		Sessions: s.sessions, Clients: s.clients, Grants: s.grants, SignIns: s.signIns, Pages: s.pages, Cookie: s.cookie,
		Issuer: s.issuer.URL, Base: s.issuer.Base, ServerName: s.config.ServerName, AccountActions: signin.Actions,
		Secret: s.config.Secret, Limiter: s.core.limiter, WrongSecrets: bound.WrongSecretsPerNetwork, Registrations: s.config.RegistrationsPerNetwork,
		Count:      s.core.metrics.CountIntrospection,
		CountGrant: s.core.metrics.CountGrant,
		Seen:       s.core.probes.Note, Logger: s.deps.Logger,
	})
	s.gateway = gateway.New(gateway.Config{
		LegacyAccount: s.config.LegacyAccount != LegacyAccountOff, HasPassword: s.users.HasPassword,
		Sessions: s.sessions, Enter: s.core.gate.Enter, Refusals: s.core.refusals, Refused: s.tokenRefused, ClientIP: s.deps.ClientIP, ServerName: s.config.ServerName, Logger: s.deps.Logger,
	})
}

// catalogue is what our doors serve, whatever the configuration.
var catalogue = func() (c edge.Catalogue) {
	edge.Declare(&c, compat.Routes)
	edge.Declare(&c, oauth.Routes)
	edge.Declare(&c, account.Routes)
	edge.Declare(&c, edge.HealthRoutes)
	return c
}()

// routes returns the routes of all doors.
func (s *Server) routes() []web.Bound {
	health := &edge.Health{Store: s.core.store, Outbox: s.core.outbox, SealUsable: func() bool { return s.seal.Problem() == nil }, NotListening: s.deps.NotListening}
	return slices.Concat(compat.Routes.Bind(s.compat), oauth.Routes.Bind(s.oauth), account.Routes.Bind(s.account), s.pages.Routes(), edge.HealthRoutes.Bind(health))
}

func (s *Server) wireEdge() {
	s.edge = edge.New(edge.Config{
		Issuer: s.issuer, Catalogue: catalogue, Gateway: s.gateway, Gate: &s.core.gate, Lines: s.core.lines,
		ErrorPage: s.pages.Error, ClientIP: s.deps.ClientIP, ServerName: s.config.ServerName, Logger: s.deps.Logger,
	}, s.routes())
}

// Next answers the requests that are not ours.
type Next = gateway.Next

// ServeHTTP answers a request of the public site if it is ours, and hands it to next if not, without our
// cookies and otherwise untouched. The error is next's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, next Next) error {
	return s.edge.ServeHTTP(w, r, next)
}

// Internal answers the requests of the listener for the homeserver.
func (s *Server) Internal() http.Handler { return s.edge.Internal() }

// Unready answers a request that came before the database was open, if it may be one of ours or one
// that the gateway must check; it reports false for any other. Which paths are ours depends on the
// configuration, which c is. An issuer that is not known yet may be any host, with an empty path.
func (c Config) Unready(w http.ResponseWriter, r *http.Request) bool {
	return c.unready().Public(w, r)
}

// Concerns reports whether Unready would answer a request.
func (c Config) Concerns(r *http.Request) bool { return c.unready().Concerns(r) }

// UnreadyInside answers every request of the homeserver that came before the database was open.
func (c Config) UnreadyInside(w http.ResponseWriter, r *http.Request) { c.unready().Internal(w, r) }

func (c Config) unready() edge.Unready {
	issuer, err := edge.ParseIssuer(c.Issuer)
	if err != nil {
		issuer = edge.Issuer{Base: "/"}
	}
	return edge.Unready{Issuer: issuer, Catalogue: catalogue}
}

// tokenRefused has the devices of a user looked at whose live token the homeserver refused.
func (s *Server) tokenRefused(refused model.Token) {
	if refused.DeviceID != "" {
		s.core.reconcileQueue.Refused(refused.UserID)
	}
}

// jobs returns the work of the outbox by this configuration. Nothing is written to a homeserver that is read-only,
// and nothing is done for a database that is not the server's.
func (s *Server) jobs() outbox.Config {
	return outbox.Config{
		Handlers:   slices.Concat(s.users.Handlers(), s.sessions.Handlers(), s.letters.Handlers(), s.verifications.Handlers(), s.registrations.Handlers(), s.recoveries.Handlers()),
		Paused:     s.core.aside,
		Pace:       map[model.Destination]outbox.Pace{model.ToHomeserver: {Paused: s.config.Kind == SynapseReadOnly}, model.ToMail: notify.Pace()},
		ServerName: s.config.ServerName, Logger: s.deps.Logger,
	}
}

// Start makes this configuration the one in force for jobs and commands, as soon as those started
// before it have stopped, and looks at the homeserver's version. A homeserver that is down is a warning, never a reason not to start.
func (s *Server) Start() {
	s.attach()
	if err := s.core.store.Adopt(context.Background(), s.config.ServerName); err != nil {
		s.deps.Logger.Error("the server name of the accounts could not be kept", "error", err)
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.tellKept(ctx)
	s.work.Go(func() { every(ctx, filesInterval, func() { s.checkSeal(ctx); s.checkKeys(ctx) }) })
	s.work.Go(func() { s.awaitHomeserver(ctx) })
	if s.backups != nil {
		s.work.Go(func() { s.backups.Run(ctx) })
	}
}

// Stop undoes Start. Requests under way may still finish.
func (s *Server) Stop() {
	if s.stop == nil {
		return
	}
	s.core.detach(s)
	s.stop()
	s.work.Wait()
	s.stop = nil
}

// filesInterval is the time between two looks at the seal and the keys beside the database: a file that somebody took away
// is told, or comes back, while the server has it in memory yet, and one that is put back is taken soon.
const filesInterval = 15 * time.Second

const (
	versionTimeout  = 10 * time.Second
	versionInterval = 15 * time.Second
)

// awaitHomeserver checks the homeserver's version once it answers.
func (s *Server) awaitHomeserver(ctx context.Context) {
	warned := false
	for {
		version, err := s.version(ctx)
		if err == nil {
			s.deps.Logger.Info("the homeserver answers", "endpoint", s.homeserver.Address(), "version", version.String())
			if err := s.homeserver.CheckServerName(ctx); err != nil {
				s.deps.Logger.Warn("the homeserver is another one than the configured", "endpoint", s.homeserver.Address(), "error", err)
			}
			if version.Less(homeserver.SafeVersion) {
				s.deps.Logger.Warn("the homeserver has known security holes; upgrade it", "version", version.String(), "closed_by", homeserver.SafeVersion.String())
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !warned {
			s.deps.Logger.Warn("the homeserver is not ready for us; logins wait for it", "endpoint", s.homeserver.Address(), "error", err)
			warned = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(versionInterval):
		}
	}
}

func (s *Server) version(ctx context.Context) (homeserver.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	return s.homeserver.Version(ctx)
}
