package matrixauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/control"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/doctor"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/metrics"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/reconcile"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// Core is what outlives a change of configuration: the open database, the work that waits in it, the
// counts of limits and metrics, and the socket through which commands reach the server. One Core in
// one process has a database at a time.
type Core struct {
	store          *store.Store
	outbox         *outbox.Outbox
	registry       *session.Registry
	reconcileQueue *reconcile.Queue
	limiter        *limit.Limiter
	refusals       *gateway.Refusals
	lines          *edge.Lines
	failures       *signin.Failures
	passwords      *password.Hasher
	metrics        *metrics.Metrics
	probes         doctor.Probes
	// mailer sends mails in place of what the configuration says; nil outside of tests.
	mailer mail.Sender
	// wired is told of what each Server consists; it may be nil.
	wired  func(Wiring)
	socket *control.Server
	// aside reports whether this is another database than the server's, as a backup is: see Target.Aside.
	aside bool
	// copying is held while a backup is made by itself.
	copying sync.Mutex
	// gate counts the requests under way.
	gate edge.Gate

	stop context.CancelFunc
	work sync.WaitGroup

	mu sync.Mutex
	// rings are the keys of tokens by the paths of their files.
	rings map[string]*tokenkey.Ring
	// seals are the keepers of seals by the paths of their files: what a keeper has in memory of a file that has gone
	// outlives a reload.
	seals map[string]*seal.Keeper
	// servers are those started and not stopped, in the order of their start; the first one is current.
	servers []*Server
	// last is the Server that stopped last: what is done while closing is logged too.
	last *Server
}

// OpenOptions says how to open a database.
type OpenOptions struct {
	// Database is the path of the SQLite file.
	Database string
	// Create allows it to be made, unless there are keys of tokens already: see ClosedError.
	Create bool
	// KeyFile is the file of the keys of tokens; empty means the one beside the database.
	KeyFile string
	// Aside says that this is another database than a server's, such as a backup, to which no keys belong.
	Aside bool
	// LockWait bounds the wait for whoever has the database now; a reload may find the old
	// configuration's handle still closing.
	LockWait time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Open opens a database and makes it ready for Servers. Its errors name the path and what to do. It is a *ClosedError if
// there are keys of tokens, and not the database that they belong to.
func Open(ctx context.Context, o OpenOptions) (*Core, error) {
	options := store.Options{Path: o.Database, Create: o.Create, LockWait: o.LockWait, Now: o.Now, Aside: o.Aside}
	keyFile := cmp.Or(o.KeyFile, KeyFile(o.Database))
	if !o.Aside && isThere(keyFile) {
		if err := CheckClosed(ctx, o.Database, keyFile); err != nil {
			return nil, err
		}
		options.Create = false
		options.Accept = func(found store.Contents) error { return checkBelongs(o.Database, keyFile, found) }
	}
	s, err := store.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	c, err := NewCore(ctx, Parts{Store: s})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return c, nil
}

// CheckDatabase refuses a database whose accounts are of another server name, as Open and New would, without
// opening it for a server: it leaves no trace, and says nothing where it cannot tell.
func CheckDatabase(ctx context.Context, path, serverName string) error {
	kept, known := store.PeekServerName(ctx, path)
	if known && kept != serverName {
		return &store.ServerNameError{Path: path, Kept: kept, Given: serverName}
	}
	return nil
}

// ExamineDatabase judges the place of a database as Open would, as far as that leaves no trace: nothing is
// made, mended or locked, and a database that a server has is well. Its errors name the path.
func ExamineDatabase(path string) error { return store.Examine(path) }

// Metrics are the counters of a Core, for a registry of Prometheus. They outlive reloads.
type Metrics = metrics.Metrics

// Metrics returns the collector of the Core's metrics.
func (c *Core) Metrics() *Metrics { return c.metrics }

// Database returns the absolute path of the database.
func (c *Core) Database() string { return c.store.Path() }

// Mended returns sentences that say which files beside the database were open to others, and were closed.
func (c *Core) Mended() []string { return c.store.Mended() }

// Run begins the work in the background and opens the socket for commands. It returns at once; Close
// ends the work.
func (c *Core) Run() error {
	var err error
	if c.socket, err = control.Listen(c.Database(), c.operations); err != nil {
		return err
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	c.runBackground(ctx)
	c.work.Go(func() {
		if err := c.socket.Serve(); err != nil {
			c.logger().Error("the socket for commands failed", "error", err)
		}
	})
	return nil
}

// runBackground begins all work that is neither a request's nor a command's. It ends with ctx; c.work waits for it.
func (c *Core) runBackground(ctx context.Context) {
	c.work.Go(func() { c.outbox.Run(ctx) })
	c.work.Go(func() {
		c.registry.Run(ctx, func(err error) {
			if !errors.Is(err, model.DatabaseDown) { // of which watchStore tells
				c.logger().Error("uses of tokens could not be written", "error", err)
			}
		})
	})
	c.work.Go(func() { c.writeFailures(ctx) })
	c.work.Go(func() { c.watchStore(ctx) })
	c.work.Go(func() {
		if err := c.store.QuickCheck(ctx); err != nil && ctx.Err() == nil {
			c.logger().Error("whether the database is whole could not be seen", "error", err)
		}
	})
	c.work.Go(func() { c.reconcileQueue.Run(ctx) })
	c.work.Go(func() { c.retain(ctx) })
	c.work.Go(func() { c.keepAlive(ctx) })
	c.work.Go(func() { c.releaseMemory(ctx) })
	c.work.Go(func() { c.tellCounts(ctx) })
}

// failuresEvery is how often tries to sign in that failed are written.
const failuresEvery = time.Minute

// writeFailures writes tries to sign in that failed, and once more at the end.
func (c *Core) writeFailures(ctx context.Context) {
	write := func() {
		if err := c.failures.Flush(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, model.DatabaseDown) { // of which watchStore tells
			c.logger().Error("tries to sign in that failed could not be written", "error", err)
		}
	}
	every(ctx, failuresEvery, write)
	write()
}

// retentionEvery is the time between two clean-ups, the first soon after the start but not in its way.
const (
	retentionEvery = time.Hour
	retentionFirst = time.Minute
)

func (c *Core) retain(ctx context.Context) {
	timer := time.NewTimer(retentionFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		removed, err := c.store.Retain(ctx)
		if current := c.current(); err == nil && current != nil {
			err = current.sessions.EndOverdue(ctx)
		}
		if err == nil {
			err = session.ForgetSoftEnds(ctx, c.store, c.outbox)
		}
		if err != nil && ctx.Err() == nil {
			c.logger().Error("old rows could not be removed", "error", err)
		}
		if removed > 0 {
			c.logger().Info("old rows were removed", "rows", removed)
		}
		timer.Reset(retentionEvery)
	}
}

// aliveEvery is how often it is noted beside the database that it lives.
const aliveEvery = time.Minute

// keepAlive notes beside the database that it lives, so that an earlier state of it that is put in its place is told from
// a server that was only down.
func (c *Core) keepAlive(ctx context.Context) {
	if c.store.FoundBack() {
		c.logger().Warn("the database is an earlier state of itself, as a backup that was put back is: codes and requests of then are worthless, and no device of then is deleted")
	}
	failed := false
	note := func() {
		err := c.store.KeepAlive(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			c.logger().Error("a database that is put back by hand might not be noticed", "error", err)
		}
		failed = err != nil
	}
	note()
	every(ctx, aliveEvery, note)
}

// countsEvery is how often the counts of refused tokens, and of requests without a line, are looked at.
const countsEvery = 10 * time.Second

func (c *Core) tellCounts(ctx context.Context) {
	tell := func(all bool) {
		logger, serverName := c.logSettings()
		c.refusals.Tell(logger, serverName, all)
		c.lines.Tell(logger, serverName, all)
	}
	every(ctx, countsEvery, func() { tell(false) })
	tell(true)
}

// drainLimit bounds how long Close waits for requests under way.
const drainLimit = 30 * time.Second

// quietTime is how long no password may have been hashed before memory is given back.
const quietTime = 30 * time.Second

// releaseMemory returns the memory of password hashes to the system once a burst of logins is over. Each
// hash takes 19 MB, and Go would keep the room for as many as ever ran close together.
func (c *Core) releaseMemory(ctx context.Context) {
	var given, before uint64
	every(ctx, quietTime, func() {
		now := c.passwords.Stats().Hashes
		if now == before && now != given {
			debug.FreeOSMemory()
			given = now
		}
		before = now
	})
}

// Close waits for the requests under way, ends the work in the background, writes what is in memory
// and closes the database. Requests that come later are answered with 503.
func (c *Core) Close() error {
	var errs []error
	if !c.gate.Close(drainLimit) {
		errs = append(errs, errors.New("some requests did not finish before the database was closed"))
	}
	if c.stop != nil {
		errs = append(errs, c.socket.Close())
		c.stop()
		c.work.Wait()
		// Otherwise a clock that was set back within the last minute would look like a database that went back.
		errs = append(errs, c.store.KeepAlive(context.Background()))
	}
	return errors.Join(append(errs, c.store.Close())...)
}

// current returns the Server whose configuration counts; nil if none is started.
func (c *Core) current() *Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.servers) == 0 {
		return nil
	}
	return c.servers[0]
}

// operations returns those of the current Server, for the socket.
func (c *Core) operations() control.Operations {
	if s := c.current(); s != nil {
		return performer{s}
	}
	return nil
}

// logger returns that of logSettings.
func (c *Core) logger() *slog.Logger {
	logger, _ := c.logSettings()
	return logger
}

// logSettings returns the logger, and the server name in Matrix ids, of the configuration in force, and after the last
// one has stopped still that one's.
func (c *Core) logSettings() (logger *slog.Logger, serverName string) {
	s := c.current()
	if s == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		s = c.last
	}
	if s == nil {
		return slog.Default(), ""
	}
	return s.deps.Logger, s.config.ServerName
}

// attach makes s current once those before it have stopped: a reload may fail yet, and then nothing
// must have been done by its configuration.
func (c *Core) attach(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, s)
	if len(c.servers) == 1 {
		c.configure(s)
	}
}

// detach takes s away. If it was current, the one started after it is now.
func (c *Core) detach(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.servers[:0]
	for _, other := range c.servers {
		if other != s {
			kept = append(kept, other)
		}
	}
	c.servers = kept
	if len(kept) == 0 {
		c.last = s
		c.outbox.Configure(outbox.Config{Paused: true, Logger: s.deps.Logger})
		c.reconcileQueue.Configure(nil)
		return
	}
	c.configure(kept[0])
}

// configure has the work in the background go by the configuration of s.
func (c *Core) configure(s *Server) {
	c.outbox.Configure(s.jobs())
	c.reconcileQueue.Configure(s.reconciler)
}

// SQLiteVersion returns the version of the SQLite that is linked in. It fails where the program was built
// without cgo.
func SQLiteVersion(ctx context.Context) (string, error) { return store.SQLiteVersion(ctx) }

// SchemaVersion returns the version of the newest schema of the database that this program knows. It fails only if
// the program was built with files of another making.
func SchemaVersion() (int64, error) { return store.NewestSchema() }
