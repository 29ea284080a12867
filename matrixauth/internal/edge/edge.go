// Package edge is where requests come in: the table of paths that the doors declare, the guard before what
// only the homeserver may be asked by us, and the one answer with headers and log line that each request gets.
// It holds nothing of a protocol. It reads the store for the health check, and to tell whose a token is that is none of
// ours by its form.
package edge

import (
	"log/slog"
	"net"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what an Edge depends upon.
type Config struct {
	Issuer Issuer
	// Catalogue is what the doors declare.
	Catalogue Catalogue
	Gateway   *gateway.Gateway
	// Gate keeps the database open while a request is answered, and Lines bounds the log. Both outlive reloads.
	Gate  *Gate
	Lines *Lines
	// ErrorPage answers with an error on the wire of pages.
	ErrorPage func(http.ResponseWriter, *http.Request, error)
	// ClientIP returns the address of a request's client, found through trusted proxies only.
	ClientIP func(*http.Request) string
	// ServerName is the homeserver's name in Matrix ids, for the log.
	ServerName string
	Logger     *slog.Logger
}

// Edge answers the requests of one configuration.
type Edge struct {
	Config
	public, internal table
	variables        variables
}

// New makes the edge of routes that are bound to their doors.
func New(c Config, routes []web.Bound) *Edge {
	e := &Edge{Config: c, public: table{}, internal: table{}, variables: variables{}}
	for _, b := range routes {
		if b.Variable != "" {
			e.variables.add(c.Issuer, b)
			continue
		}
		e.public.add(c.Issuer, web.Public, b)
		e.internal.add(c.Issuer, web.Internal, b)
	}
	return e
}

// ServeHTTP answers a request of the public site if it is ours, and hands it to next if not, without our
// cookies and otherwise untouched. The error is next's.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request, next gateway.Next) error {
	if found := e.find(r); found != nil {
		e.answer(w, r, found, e.ClientIP(r))
		return nil
	}
	withhold(r)
	if !isChecked(r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	known, err := e.Gateway.Throttle(r)
	if err != nil {
		e.answer(w, r, stopped(known, err), e.ClientIP(r))
		return nil
	}
	if e.Gateway.Idle() {
		return e.Gateway.Pass(w, r, next)
	}
	found, err := e.Gateway.Read(r)
	defer found.Release()
	if err == nil {
		known, err = e.check(r, found)
	}
	if err != nil {
		e.answer(w, r, stopped(known, err), e.ClientIP(r))
		return nil
	}
	return e.Gateway.Pass(w, r, next)
}

// check asks the gateway whether a request may go on. What takes as long as the client likes, reading the
// request, is done before: nobody waits for it to close the database.
func (e *Edge) check(r *http.Request, found gateway.Reading) (web.Outcome, error) {
	leave, err := e.Gate.Enter()
	if err != nil {
		return web.Outcome{}, err
	}
	defer leave()
	return e.Gateway.Check(r, found)
}

// stopped returns the route of a request that the gateway stopped, with what it knows of it.
func stopped(known web.Outcome, err error) *route {
	return always(web.Endpoint{Name: "gateway", Wire: web.MatrixWire}, func(_ http.ResponseWriter, r *http.Request) error {
		web.SetOutcome(r.Context(), known)
		return err
	})
}

// Internal answers the requests of the listener for the homeserver.
func (e *Edge) Internal() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := e.internal[r.URL.Path]
		if found == nil {
			found = unknown[web.PlainWire]
		}
		ip, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			ip = r.RemoteAddr
		}
		e.answer(w, r, found, ip)
	})
}
