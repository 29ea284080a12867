package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// obstacle is what keeps an instance from opening.
type obstacle struct {
	// subjects name what it is about: options, or a file.
	subjects []string
	error
}

// tolerable reports whether the instance may wait for the obstacle to go.
func (o *obstacle) tolerable() bool {
	for _, subject := range o.subjects {
		if !tolerable(subject) {
			return false
		}
	}
	return true
}

// pace returns how the instance is tried on. What is closed waits for somebody to do something, who is to find it open
// again soon, and must find what to do in the log.
func (o *obstacle) pace() pace {
	if _, closed := errors.AsType[*matrixauth.ClosedError](o.error); closed {
		return pace{longest: 5 * time.Second, loggedEvery: 12}
	}
	return usualPace
}

// databaseSubject returns what a database that cannot be opened is about.
func databaseSubject(path string) string { return "database " + path }

// lockWait bounds how long a start waits for the database: an earlier configuration's handle may
// still be draining.
const lockWait = 5 * time.Second

// open opens the instance, and has it answer. If it cannot, nothing of it is left open.
func (a *App) open(wait time.Duration) *obstacle {
	ready, problem := a.settled()
	if problem != nil {
		return problem
	}
	subject := databaseSubject(ready.database)
	if err := a.checkDatabase(ready); err != nil {
		return &obstacle{[]string{subject}, err}
	}
	// A copy: requests may read the settings already, as Caddy starts its apps in any order.
	config := ready.config
	if config.Secret == "" {
		secret, err := matrixauth.EnsureSecret(ready.secretFile)
		if err != nil {
			return &obstacle{[]string{"secret " + ready.secretFile}, err}
		}
		config.Secret = secret
	}
	value, loaded, err := cores.LoadOrNew(ready.database, func() (caddy.Destructor, error) { return a.openCore(ready, wait) })
	if err != nil {
		return &obstacle{[]string{subject}, err}
	}
	a.database = ready.database
	if err := remember(ready.database); err != nil {
		a.logger.Warn("it could not be kept that there is a database; were its disk not mounted at a start, a new one would be made", "database", ready.database, "error", err)
	}
	core, ok := value.(shared)
	if !ok {
		return &obstacle{[]string{subject}, errors.Join(fmt.Errorf("the pool of databases holds a %T", value), a.release())}
	}
	server, err := matrixauth.New(core.Core, config, matrixauth.Deps{
		Logger: a.logger, ClientIP: a.clientIP, Surroundings: a.surroundings, Sites: a.named, NotListening: a.notListening,
		Placement: a.given.placement(ready),
	})
	if err == nil {
		err = a.ctx.GetMetricsRegistry().Register(core.Metrics())
	}
	if err != nil {
		return &obstacle{[]string{subject}, errors.Join(err, a.release())}
	}
	server.Start()
	inside := server.Internal()
	a.inside.Store(&inside)
	a.server.Store(server)
	a.logger.Info("matrix_auth is ready", "server_name", config.ServerName, "issuer", config.Issuer,
		"database", ready.database, "internal_listen", ready.listen, "taken_over", loaded)
	return nil
}

// settled returns the settings with all that was missing when they were read first.
func (a *App) settled() (resolved, *obstacle) {
	if len(a.settings.missing) == 0 {
		return a.settings, nil
	}
	ready, err := a.given.settle()
	o := &obstacle{error: err}
	for _, p := range ready.missing {
		o.subjects = append(o.subjects, p.Option)
		o.error = errors.Join(o.error, p.Problem)
	}
	if o.error == nil {
		return ready, nil
	}
	if len(o.subjects) == 0 {
		o.subjects = []string{"settings"}
	}
	return resolved{}, o
}

// checkDatabase returns why a database must not be opened, before anything is made beside it. One that this process has
// open already is well.
func (a *App) checkDatabase(ready resolved) error {
	if _, open := cores.References(ready.database); open {
		return nil
	}
	if err := matrixauth.CheckClosed(a.ctx, ready.database, ready.config.KeyFile); err != nil {
		return err
	}
	return checkPresent(ready.database)
}

func (a *App) openCore(ready resolved, wait time.Duration) (caddy.Destructor, error) {
	core, err := matrixauth.Open(a.ctx, matrixauth.OpenOptions{Database: ready.database, Create: true, KeyFile: ready.config.KeyFile, LockWait: wait})
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

// release undoes what open took from the pool.
func (a *App) release() error {
	if a.database == "" {
		return nil
	}
	_, err := cores.Delete(a.database)
	a.database = ""
	return err
}

// wait has the instance opened in the background.
func (a *App) wait(trouble *obstacle) {
	var ctx context.Context
	ctx, a.giveUp = context.WithCancel(a.ctx)
	tolerated.swap(a, nil, trouble)
	a.logger.Error("matrix_auth cannot open; all other sites are served, ours answers 503 until it can", "error", trouble.error)
	a.waiting.Go(func() {
		for b := (backoff{pace: trouble.pace()}); b.wait(ctx); b.pace = trouble.pace() {
			again := a.open(0)
			tolerated.swap(a, trouble, again)
			if again == nil {
				return
			}
			trouble = again
			if b.logs() {
				a.logger.Error("matrix_auth still cannot open", "error", trouble.error, "tries", b.tries+1)
			}
		}
	})
}

// endWait ends what wait began.
func (a *App) endWait() {
	if a.giveUp == nil {
		return
	}
	a.giveUp()
	a.waiting.Wait()
}

func (a *App) tolerate(subject string, why error) { tolerated.add(a, subject, why.Error()) }

// fileFindings returns findings about files of the operator that could not be used.
func (a *App) fileFindings() []matrixauth.Finding {
	var findings []matrixauth.Finding
	for _, p := range a.settings.unusable {
		where, fix := p.Option+" in the Caddyfile", "mend the files, and reload Caddy: caddy reload --force"
		if p.Option == blocklistOption {
			findings = append(findings, matrixauth.Wrong("passwords", "unusable", "the built-in list stands in alone: "+p.Error(), where, fix))
			continue
		}
		findings = append(findings, matrixauth.Wrong("pages", "unusable", "the built-in ones stand in: "+p.Error(), where, fix))
	}
	return findings
}
