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
	server *http.Server
	mu     sync.RWMutex
	// handlers are those of the configurations in the order of their start, but those that have
	// stopped come last.
	handlers []*listener
}

// listener is one configuration's part of an internalServer.
type listener struct {
	address string
	server  *internalServer
	handler http.Handler
}

// internals are the open internal servers by address.
var internals = caddy.NewUsagePool()

// errNoSuchAddress says that this machine does not have an address.
var errNoSuchAddress = errors.New("this machine does not have the address")

// acquireListener puts a handler on an address.
func acquireListener(address string, handler http.Handler, logger *slog.Logger) (*listener, error) {
	value, _, err := internals.LoadOrNew(address, func() (caddy.Destructor, error) { return openInternal(address, logger) })
	if err != nil {
		return nil, notListening(address, err)
	}
	s, ok := value.(*internalServer)
	if !ok {
		return nil, fmt.Errorf("the pool of listeners holds a %T", value)
	}
	l := &listener{address, s, handler}
	s.mu.Lock()
	s.handlers = append(s.handlers, l)
	s.mu.Unlock()
	return l, nil
}

func openInternal(address string, logger *slog.Logger) (*internalServer, error) {
	open, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &internalServer{}
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug), Protocols: new(http.Protocols),
	}
	s.server.Protocols.SetHTTP1(true)
	// Synapse's force_http2 speaks HTTP/2 without TLS from the first byte.
	s.server.Protocols.SetUnencryptedHTTP2(true)
	go func() {
		if err := s.server.Serve(open); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the listener for the homeserver failed", "address", address, "error", err)
		}
	}()
	return s, nil
}

// notListening says what to do about an address that could not be opened. It looks into the pool, which
// whoever makes a value for the pool must not: that value is locked until it is made.
func notListening(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && ownPort(address) != "":
		return fmt.Errorf("internal_listen: %s overlaps with %s, which the running configuration has; choose another port, or stop Caddy and start it again", address, ownPort(address))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("internal_listen: %s is in use by another program; stop that one, or choose another address with internal_listen and name it as endpoint in Synapse's matrix_authentication_service", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("internal_listen: %w: %s", errNoSuchAddress, address)
	}
	return fmt.Errorf("internal_listen: %w", err)
}

// ownPort gives the address on which this process has the same port already, or nothing.
func ownPort(address string) (own string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	internals.Range(func(key, _ any) bool {
		other, ok := key.(string)
		if _, otherPort, err := net.SplitHostPort(other); ok && err == nil && other != address && otherPort == port {
			own = other
		}
		return own == ""
	})
	return own
}

// ServeHTTP answers by the first configuration.
func (s *internalServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	var handler http.Handler
	if len(s.handlers) > 0 {
		handler = s.handlers[0].handler
	}
	s.mu.RUnlock()
	if handler == nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	handler.ServeHTTP(w, r)
}

// internalDrain bounds the wait for questions under way.
const internalDrain = 5 * time.Second

// Destruct closes the server when the last configuration has let go of it.
func (s *internalServer) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), internalDrain)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(err, s.server.Close())
	}
	return nil
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
	_, err := internals.Delete(l.address)
	return err
}

// without gives the other handlers. The caller holds the lock.
func (s *internalServer) without(l *listener) []*listener {
	return slices.DeleteFunc(s.handlers, func(other *listener) bool { return other == l })
}
