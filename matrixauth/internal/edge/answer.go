package edge

import (
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// answer runs a route and sees to it that every request gets exactly one answer, in its wire's
// shape, and one line in the log.
func (e *Edge) answer(w http.ResponseWriter, r *http.Request, found *route, clientIP string) {
	start := time.Now()
	outcome := web.Outcome{}
	ctx := web.WithOutcome(web.WithClientIP(r.Context(), clientIP), &outcome)
	seen := &recorder{ResponseWriter: w}
	web.SetHeaders(w.Header(), found.Wire)
	var err error
	switch {
	case r.Method == http.MethodHead:
		err = e.head(seen, r.WithContext(ctx), found)
	case found.Wire == web.PageWire && isPrefetch(r):
		seen.WriteHeader(http.StatusTooEarly)
	default:
		err = e.run(seen, r.WithContext(ctx), found)
	}
	if err != nil && seen.status == 0 {
		e.writeError(seen, r, found.Wire, err)
	}
	counted := outcome.Refused != model.TokenHash{}
	if counted && !e.Gateway.CountRefusal(seen.status, &outcome, clientIP) {
		return
	}
	e.log(ctx, requestLine{
		route: found, method: r.Method, status: seen.status, err: err, Outcome: outcome, clientIP: clientIP, took: time.Since(start), counted: counted,
	})
}

// writeError answers with an error, in the shape of a wire.
func (e *Edge) writeError(w http.ResponseWriter, r *http.Request, wire web.Wire, err error) {
	if wire == web.PageWire {
		e.ErrorPage(w, r, err)
		return
	}
	web.WriteError(w, wire, err)
}

func (e *Edge) run(w http.ResponseWriter, r *http.Request, found *route) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if aborted, ok := v.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
			panic(v)
		}
		e.Logger.Error("a request panicked", "route", found.Name, "panic", v, "stack", string(debug.Stack()))
		err = model.NewError(model.ServerError)
	}()
	if handler, ok := found.handlers[""]; ok {
		return handler(w, r)
	}
	if r.Method == http.MethodOptions && found.Wire.Open() {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if !e.Gate.enter() { // by itself, as the homeserver's question about a token comes this way too
		return closing()
	}
	defer e.Gate.leave()
	handler, ok := found.handlers[r.Method]
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
