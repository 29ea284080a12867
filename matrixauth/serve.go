package matrixauth

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/gateway"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Next answers the requests that are not ours.
type Next = gateway.Next

// ServeHTTP answers a request of the public site if it is ours, and hands it to next if not, without our
// cookies and otherwise untouched. The error is next's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, next Next) error {
	if found := s.find(r); found != nil {
		s.answer(w, r, found, s.deps.ClientIP(r))
		return nil
	}
	withhold(r)
	if !isJudged(r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	known, err := s.gateway.Slow(r)
	if err != nil {
		s.answer(w, r, stopped(known, err), s.deps.ClientIP(r))
		return nil
	}
	if s.gateway.Idle() {
		return s.gateway.Pass(w, r, next)
	}
	found, err := s.gateway.Read(r)
	defer found.Release()
	if err == nil {
		known, err = s.judge(r, found)
	}
	if err != nil {
		s.answer(w, r, stopped(known, err), s.deps.ClientIP(r))
		return nil
	}
	return s.gateway.Pass(w, r, next)
}

// judge asks the gateway. What takes as long as the client likes, reading the request, is done before:
// nobody waits for it to close the database.
func (s *Server) judge(r *http.Request, found gateway.Reading) (web.Outcome, error) {
	leave, err := s.enter()
	if err != nil {
		return web.Outcome{}, err
	}
	defer leave()
	return s.gateway.Judge(r, found)
}

// enter keeps the database open until leave is called.
func (s *Server) enter() (leave func(), err error) {
	if !s.core.gate.enter() {
		return nil, closing()
	}
	return s.core.gate.leave, nil
}

// stopped is the route of a request that the gateway stopped, with what it knows of it.
func stopped(known web.Outcome, err error) *route {
	stop := func(_ http.ResponseWriter, r *http.Request) error {
		web.SetOutcome(r.Context(), known)
		return err
	}
	return &route{name: "gateway", wire: web.MatrixWire, methods: methods{"": stop}}
}

// Internal answers the requests of the listener for the homeserver.
func (s *Server) Internal() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := s.internal[r.URL.Path]
		if found == nil {
			found = &unknownInside
		}
		ip, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			ip = r.RemoteAddr
		}
		s.answer(w, r, found, ip)
	})
}

var unknownInside = route{name: "unknown", wire: web.PlainWire, methods: methods{"": notRecognized}}

// answer runs a route and sees to it that every request gets exactly one answer, in its wire's
// shape, and one line in the log.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, found *route, clientIP string) {
	start := time.Now()
	outcome := web.Outcome{}
	ctx := web.WithOutcome(web.WithFacts(r.Context(), web.Facts{ClientIP: clientIP}), &outcome)
	seen := &recorder{ResponseWriter: w}
	web.SetHeaders(w.Header(), found.wire)
	var err error
	switch {
	case r.Method == http.MethodHead:
		err = s.look(seen, r.WithContext(ctx), found)
	case found.wire == web.PageWire && isPrefetch(r):
		seen.WriteHeader(http.StatusTooEarly)
	default:
		err = s.run(seen, r.WithContext(ctx), found)
	}
	if err != nil && seen.status == 0 {
		s.refuse(seen, r, found.wire, err)
	}
	counted := outcome.Refused != model.TokenHash{}
	if counted && !s.countRefusal(seen.status, &outcome, clientIP) {
		return
	}
	s.log(ctx, requestLine{
		route: found, method: r.Method, status: seen.status, err: err, Outcome: outcome, clientIP: clientIP, took: time.Since(start), counted: counted,
	})
}

// countRefusal counts an answer that refuses a token, and reports whether it is to be logged. It adds to
// the outcome whose the token was.
func (s *Server) countRefusal(status int, o *web.Outcome, clientIP string) (log bool) {
	who, retired := s.sessions.Retired(o.Refused)
	refusal := gateway.Refusal{
		Token: o.Refused, Dead: retired, Owner: cmp.Or(who, o.Owner), IP: clientIP,
	}
	if status == http.StatusTooManyRequests {
		refusal, log = s.core.refusals.Delayed(o.Refused)
	} else {
		log = s.core.refusals.Note(refusal)
	}
	o.Owner = cmp.Or(refusal.Owner, o.Owner)
	return log
}

// refuse answers with an error, in the shape of a wire.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, wire web.Wire, err error) {
	if wire == web.PageWire {
		s.pages.Error(w, r, err)
		return
	}
	web.WriteError(w, wire, err)
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, found *route) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if aborted, ok := v.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
			panic(v)
		}
		s.deps.Logger.Error("a request panicked", "route", found.name, "panic", v, "stack", string(debug.Stack()))
		err = model.NewError(model.ServerError)
	}()
	if handler, ok := found.methods[""]; ok {
		return handler(w, r)
	}
	if r.Method == http.MethodOptions && found.wire.Open() {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if !s.core.gate.enter() {
		return closing()
	}
	defer s.core.gate.leave()
	handler, ok := found.methods[r.Method]
	if !ok {
		w.Header().Set("Allow", found.allow)
		return model.NewError(model.MethodNotAllowed)
	}
	return handler(w, r)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	// keepCookies leaves the browser's cookies as they are.
	keepCookies bool
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	if r.keepCookies {
		r.Header().Del("Set-Cookie")
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write answers 200 if no status was written.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
