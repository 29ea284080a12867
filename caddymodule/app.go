package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
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

	// database is the key of the open database in the pool; empty while there is none.
	database  string
	server    atomic.Pointer[matrixauth.Server]
	inside    atomic.Pointer[http.Handler]
	listeners []*listener
	// leftmost is set once a client could choose its own address.
	leftmost atomic.Bool

	// begun is closed once Start is over, whatever came of it, or there will be none.
	begun     chan struct{}
	beginOnce sync.Once

	// waiting is the work that opens the instance once it can be opened, and giveUp ends it.
	waiting sync.WaitGroup
	giveUp  context.CancelFunc
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
	a.begun = make(chan struct{})
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
	ready, err := s.settle()
	errs := []error{err}
	for _, p := range append(ready.problems(), ready.unusable...) {
		if !tolerable(p.Option) {
			errs = append(errs, p)
		}
	}
	if len(ready.missing) == 0 && validating() {
		errs = append(errs, matrixauth.ExamineDatabase(ready.database))
	}
	if err := errors.Join(errs...); err != nil {
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

// begin lets the requests go on that came before the start was over.
func (a *App) begin() {
	if a.begun != nil {
		a.beginOnce.Do(func() { close(a.begun) })
	}
}

// startWait bounds how long a request waits for our start: longer than that takes as a rule, and not so long that a reload
// which fails elsewhere is held up by those who wait.
const startWait = 5 * time.Second

// started returns the server once our start is over; nil if it could not be opened. Caddy starts its apps in any order,
// and at a reload the sites of the new configuration often answer a moment before we do: nobody is to be sent away for that.
func (a *App) started(ctx context.Context) *matrixauth.Server {
	if a.begun == nil {
		return nil // it is never started
	}
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-a.begun:
	case <-ctx.Done():
	case <-timer.C:
	}
	return a.server.Load()
}

// Start opens the database and begins to answer. An error leaves the old configuration in force; where there
// is none, all that keeps us from answering is tolerated, for the sake of the owner's other sites.
func (a *App) Start() error {
	defer a.begin()
	if !a.configured {
		return noSettings()
	}
	if err := a.listen(); err != nil {
		return err
	}
	if err := a.ctx.GetMetricsRegistry().Register(appMetrics{a}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, p := range a.settings.unusable {
		a.tolerate(p.Option, p)
		a.logger.Error("a file of the operator's cannot be used; what is built in stands in for it until a reload", "error", p)
	}
	trouble := a.open(lockWait)
	if trouble != nil && !trouble.tolerable() {
		return trouble
	}
	if trouble != nil {
		a.wait(trouble)
	}
	a.announce()
	for _, f := range a.siteFindings() {
		if !f.OK {
			a.logger.Warn(f.What, "where", f.Where, "change", f.Change)
		}
	}
	return nil
}

// surroundings returns what the doctor finds in Caddy around us.
func (a *App) surroundings() []matrixauth.Finding {
	return slices.Concat(a.siteFindings(), a.listenFindings(), a.fileFindings())
}

// siteFindings returns the findings about the sites.
func (a *App) siteFindings() []matrixauth.Finding {
	var findings, inFront []matrixauth.Finding
	if sites := a.sites(); sites != nil {
		findings = examineSites(sites, a.settings.config.Endpoint)
		inFront = findInFront(sites, a.settings.config.Issuer)
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

// sites returns the sites of the configuration; nil if there are none.
func (a *App) sites() *caddyhttp.App {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	sites, _ := app.(*caddyhttp.App)
	return sites
}

// named returns the sites that are known by a name.
func (a *App) named() []matrixauth.Site {
	if sites := a.sites(); sites != nil {
		return namedSites(sites)
	}
	return nil
}

// Stop quiets what works in the background and lets the next configuration, if there is one, answer
// the homeserver. Requests under way go on.
func (a *App) Stop() error {
	a.endWait()
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
	a.begin()
	a.endWait()
	a.withdraw()
	tolerated.drop(a)
	var errs []error
	for _, l := range a.listeners {
		errs = append(errs, l.release())
	}
	return errors.Join(append(errs, a.release())...)
}
