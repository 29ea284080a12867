package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// App runs the one instance of a configuration: it opens the database when Caddy starts and lets go
// of it when Caddy stops. Its settings come from the handlers.
type App struct {
	ctx    caddy.Context
	logger *slog.Logger

	joining    sync.Mutex
	given      Settings
	configured bool
	settings   resolved

	core      *shared
	server    atomic.Pointer[matrixauth.Server]
	listeners []*listener
	// leftmost is set once a client could choose its own address.
	leftmost atomic.Bool
}

// cores are the open databases by their paths: a reload hands one on to the next configuration.
var cores = caddy.NewUsagePool()

// shared is a Core in the pool.
type shared struct{ *matrixauth.Core }

// Destruct closes the database when the last configuration has let go of it. During a reload nobody
// waits for slow requests of the old configuration.
func (s shared) Destruct() error {
	if caddy.Exiting() {
		return s.Close()
	}
	go func() {
		if err := s.Close(); err != nil {
			caddy.Log().Named("matrix_auth").Error("the database was not closed cleanly: " + visible(err.Error()))
		}
	}()
	return nil
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "matrix_auth", New: func() caddy.Module { return new(App) }}
}

// Provision opens nothing: "caddy validate" comes this far and must leave no trace.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, slog.New(logHandler{ctx.Slogger().Handler()})
	return nil
}

// join takes the settings of a handler. Handlers without settings mean the instance of another.
func (a *App) join(s Settings) error {
	if s.empty() {
		return nil
	}
	a.joining.Lock()
	defer a.joining.Unlock()
	if a.configured {
		if !reflect.DeepEqual(a.given, s) {
			return errors.New("two handlers have different settings; there is one instance, so give the settings to one handler and none to the others")
		}
		return nil
	}
	ready, err := s.resolve()
	if err != nil {
		return err
	}
	// While this process has the database open, Start says so.
	if _, open := cores.References(ready.database); !open {
		if err := matrixauth.CheckDatabase(a.ctx, ready.database, ready.config.ServerName); err != nil {
			return err
		}
	}
	a.given, a.settings, a.configured = s, ready, true
	return nil
}

// lockWait bounds how long a start waits for the database: an earlier configuration's handle may
// still be draining.
const lockWait = 5 * time.Second

// Start opens the database and begins to answer. An error leaves the old configuration in force.
func (a *App) Start() error {
	if !a.configured {
		return errors.New("no matrix_auth of this configuration has settings; write in one site: matrix_auth example.com https://matrix.example.com")
	}
	// A copy: requests may read the settings already, as Caddy starts its apps in any order.
	config := a.settings.config
	if config.Secret == "" {
		secret, err := matrixauth.EnsureSecret(a.settings.secretFile)
		if err != nil {
			return err
		}
		config.Secret = secret
	}
	value, loaded, err := cores.LoadOrNew(a.settings.database, a.open)
	if err != nil {
		return err
	}
	core, ok := value.(shared)
	if !ok {
		return fmt.Errorf("the pool of databases holds a %T", value)
	}
	a.core = &core
	if err := a.ctx.GetMetricsRegistry().Register(core.Metrics()); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	server, err := matrixauth.New(core.Core, config, matrixauth.Deps{Logger: a.logger, ClientIP: a.clientIP, Surroundings: a.surroundings, Placement: a.given.placement(a.settings)})
	if err != nil {
		return err
	}
	if err := a.listen(server.Internal()); err != nil {
		return err
	}
	server.Start()
	a.server.Store(server)
	a.announce()
	for _, f := range a.surroundings() {
		if !f.OK {
			a.logger.Warn(f.What, "where", f.Where, "change", f.Change)
		}
	}
	a.logger.Info("matrix_auth is ready", "server_name", config.ServerName, "issuer", config.Issuer,
		"database", a.settings.database, "internal_listen", a.settings.listen, "taken_over", loaded)
	return nil
}

// surroundings is what the doctor finds in Caddy around us.
func (a *App) surroundings() []matrixauth.Finding {
	var findings, inFront []matrixauth.Finding
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if sites, ok := app.(*caddyhttp.App); ok {
			findings = lookAround(sites, a.settings.config.Endpoint)
			inFront = lookInFront(sites, a.settings.config.Issuer)
		}
	}
	if len(findings) == 0 {
		findings = append(findings, matrixauth.Well(waysCheck, "every proxy to Synapse in this configuration is behind matrix_auth"))
	}
	if findings = append(findings, inFront...); len(inFront) == 0 {
		findings = append(findings, matrixauth.Well(inFrontCheck, "requests of clients from anywhere meet nothing in this configuration before matrix_auth that stops them"))
	}
	if a.leftmost.Load() {
		findings = append(findings, leftmostFinding("the running server"))
	}
	return findings
}

func (a *App) open() (caddy.Destructor, error) {
	core, err := matrixauth.Open(a.ctx, matrixauth.OpenOptions{Database: a.settings.database, Create: true, LockWait: lockWait})
	if err != nil {
		return nil, err
	}
	if err := core.Run(); err != nil {
		return nil, errors.Join(err, core.Close())
	}
	for _, what := range core.Mended() {
		a.logger.Warn("a file beside the database was open to others: " + what)
	}
	return shared{core}, nil
}

// listen opens the listeners for the homeserver, or takes them over from the old configuration. Of
// the default addresses one may be missing, as not every machine has both families.
func (a *App) listen(handler http.Handler) error {
	var failed []error
	for _, address := range a.settings.listen {
		l, err := acquireListener(address, handler, a.logger)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		a.listeners = append(a.listeners, l)
	}
	missing := len(failed) == 1 && a.settings.listenDefault && errors.Is(failed[0], errNoSuchAddress)
	if missing {
		a.logger.Info("this machine has only one of the loopback addresses", "error", failed[0])
		return nil
	}
	return errors.Join(failed...)
}

// Stop quiets what works in the background and lets the next configuration, if there is one, answer
// the homeserver. Requests under way go on.
func (a *App) Stop() error {
	for _, l := range a.listeners {
		l.yield()
	}
	if server := a.server.Load(); server != nil {
		server.Stop()
	}
	return nil
}

// Cleanup lets go of what Start acquired, and of nothing else: Caddy calls it also on an app that
// never started, while the running configuration holds the same database.
func (a *App) Cleanup() error {
	a.withdraw()
	var errs []error
	for _, l := range a.listeners {
		errs = append(errs, l.release())
	}
	a.listeners = nil
	if a.core != nil {
		_, err := cores.Delete(a.settings.database)
		errs = append(errs, err)
		a.core = nil
	}
	return errors.Join(errs...)
}
