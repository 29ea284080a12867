package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// internalServer is an HTTP server on one address, for the homeserver. It stays open over a reload:
// configurations queue for it, and the first one answers. So a configuration that fails to start never
// answers: one with another database would call every token unknown, and the homeserver remembers that.
//
// It does not use Caddy's own listeners, which set SO_REUSEPORT: a second Caddy of the same user would
// then share the port without a word, and the homeserver's questions would reach either.
type internalServer struct {
	address string
	server  *http.Server
	// ctx ends with the server, and work is what runs until then.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu sync.RWMutex
	// handlers are those of the configurations in the order of their start, but those that have
	// stopped come last.
	handlers []*listener
	// refused is why the address is not open; nil while it is.
	refused error
	// persistent reports whether the address is tried again.
	persistent bool
}

// listener is one configuration's part of an internalServer.
type listener struct {
	server  *internalServer
	handler http.Handler
	logger  *slog.Logger
	// site is an address of a site of the configuration that needs the same port; empty for none.
	site string
	// spare reports whether another address answers in its place, where the machine does not have it.
	spare bool
}

// internals are the open internal servers by address.
var internals = caddy.NewUsagePool()

// refusedBinds counts the tries to open an address that failed, since the process started.
var refusedBinds atomic.Uint64

// errNoSuchAddress says that this machine does not have an address.
var errNoSuchAddress = errors.New("this machine does not have the address")

// errNotTried stands for the outcome of the first try.
var errNotTried = errors.New("it has not been tried yet")

// acquireListener puts a handler on an address. It succeeds also if the address cannot be opened: the caller
// looks at refused, and calls persist or release. site is an address of a site of this configuration that
// needs the same port: sites come first, so ours is not even tried then.
func acquireListener(address, site string, handler http.Handler, logger *slog.Logger) (*listener, error) {
	value, _, err := internals.LoadOrNew(address, func() (caddy.Destructor, error) { return newInternal(address), nil })
	if err != nil {
		return nil, err
	}
	s, ok := value.(*internalServer)
	if !ok {
		return nil, fmt.Errorf("the pool of listeners holds a %T", value)
	}
	l := &listener{server: s, handler: handler, logger: logger, site: site}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(s.handlers, l)
	if s.refused != nil {
		s.try()
	}
	return l, nil
}

func newInternal(address string) *internalServer {
	s := &internalServer{address: address, refused: errNotTried}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(currentLog{s}, slog.LevelDebug), Protocols: new(http.Protocols),
	}
	s.server.Protocols.SetHTTP1(true)
	// Synapse's force_http2 speaks HTTP/2 without TLS from the first byte.
	s.server.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// try opens the address once, and serves it if that works. The caller holds the lock.
func (s *internalServer) try() {
	for _, l := range s.handlers {
		if l.site != "" {
			s.refused = siteConflict(s.address, l.site)
			return
		}
	}
	open, err := net.Listen("tcp", s.address)
	if s.refused = err; err != nil {
		refusedBinds.Add(1)
		return
	}
	s.work.Go(func() { s.serve(open) })
}

// serve answers until the server is closed. A listener that breaks before is opened again.
func (s *internalServer) serve(open net.Listener) {
	err := s.server.Serve(open)
	if errors.Is(err, http.ErrServerClosed) {
		return
	}
	s.logger().Error("the listener for the homeserver failed; it is opened again", "address", s.address, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.persistent = err, true
	s.work.Go(s.keepTrying)
}

// persist has the address tried until it can be opened.
func (s *internalServer) persist() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil || s.persistent {
		return
	}
	s.persistent = true
	s.work.Go(s.keepTrying)
}

func (s *internalServer) keepTrying() {
	for b := (backoff{pace: usualPace}); b.wait(s.ctx); {
		s.mu.Lock()
		if s.refused != nil {
			s.try()
		}
		err := s.refused
		s.persistent = err != nil
		s.mu.Unlock()
		if err == nil {
			s.logger().Info("the listener for the homeserver is open now", "address", s.address)
			return
		}
		if b.logs() && !errors.Is(notListening(s.address, err), errNoSuchAddress) {
			s.logger().Error("the listener for the homeserver still cannot be opened", "error", notListening(s.address, err), "tries", b.tries+1)
		}
	}
}

// siteConflict says that an address and a site of the same configuration need one port.
func siteConflict(address, site string) error {
	return fmt.Errorf("%s is the port of a site of this configuration (%s); choose another port for internal_listen, and name it as endpoint in Synapse's matrix_authentication_service", address, site)
}

// notListening says what to do about an address that could not be opened. It looks into the pool, which
// whoever makes a value for the pool must not: that value is locked until it is made.
func notListening(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && ownPort(address) != "":
		return fmt.Errorf("internal_listen: %s overlaps with %s, which the running configuration has; choose another port, or stop Caddy and start it again", address, ownPort(address))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("internal_listen: %s is in use by another program, to which Synapse tells our secret meanwhile; stop that one, or choose another address with internal_listen and name it as endpoint in Synapse's matrix_authentication_service", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("internal_listen: %w: %s", errNoSuchAddress, address)
	}
	return fmt.Errorf("internal_listen: %w", err)
}

// ownPort returns the address on which this process has the same port already, or nothing.
func ownPort(address string) (own string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	internals.Range(func(key, value any) bool {
		other, ok := key.(string)
		if !ok || other == address {
			return true
		}
		s, ok := value.(*internalServer)
		if _, otherPort, err := net.SplitHostPort(other); ok && err == nil && otherPort == port && s.isOpen() {
			own = other
		}
		return own == ""
	})
	return own
}

func (s *internalServer) isOpen() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.refused == nil
}

// first returns the configuration that answers; nil if there is none.
func (s *internalServer) first() *listener {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.handlers) == 0 {
		return nil
	}
	return s.handlers[0]
}

// logger returns that of the configuration that answers.
func (s *internalServer) logger() *slog.Logger {
	if l := s.first(); l != nil {
		return l.logger
	}
	return slog.Default()
}

// currentLog is the log of the configuration that answers: the one that opened the server may be long gone.
type currentLog struct{ server *internalServer }

// Enabled reports whether that log has a level.
func (c currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return c.server.logger().Enabled(ctx, level)
}

// Handle writes a record to that log.
func (c currentLog) Handle(ctx context.Context, record slog.Record) error {
	return c.server.logger().Handler().Handle(ctx, record)
}

// WithAttrs is for loggers that are made of this one; none is.
func (c currentLog) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup is for such loggers too.
func (c currentLog) WithGroup(string) slog.Handler { return c }

// ServeHTTP answers by the first configuration.
func (s *internalServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := s.first()
	if l == nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	l.handler.ServeHTTP(w, r)
}

// internalDrain bounds the wait for questions under way.
const internalDrain = 5 * time.Second

// Destruct closes the server when the last configuration has let go of it.
func (s *internalServer) Destruct() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), internalDrain)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	s.work.Wait()
	return err
}

// refused is why the address is not open, in the words for an operator; nil if it is open, or need not be.
func (l *listener) refused() error {
	l.server.mu.RLock()
	err := l.server.refused
	l.server.mu.RUnlock()
	if l.site != "" {
		err = siteConflict(l.server.address, l.site)
	}
	if err == nil {
		return nil
	}
	if err = notListening(l.server.address, err); l.spare && errors.Is(err, errNoSuchAddress) {
		return nil
	}
	return err
}

// yield lets the configurations that have not stopped answer first.
func (l *listener) yield() {
	s := l.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(s.without(l), l)
}

// release takes the handler off the address.
func (l *listener) release() error {
	s := l.server
	s.mu.Lock()
	s.handlers = s.without(l)
	s.mu.Unlock()
	_, err := internals.Delete(s.address)
	return err
}

// without returns the other handlers. The caller holds the lock.
func (s *internalServer) without(l *listener) []*listener {
	return slices.DeleteFunc(s.handlers, func(other *listener) bool { return other == l })
}
