package caddymodule

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

const inFrontCheck = "in front of us"

// farAddress is where the clients are in whose name we ask: anywhere. Requests of the doctor's own come from this
// machine, and lists of addresses tell the two apart.
const farAddress = "1.2.3.4:50000"

// findInFront sends requests of clients through the sites of a configuration that has been provisioned, and
// notes what they meet before matrix_auth: what asks for a password that no client knows, and what keeps them out.
// No handler is run but those that change what a request is.
func findInFront(sites *caddyhttp.App, issuer string) (found []matrixauth.Finding) {
	at, err := url.Parse(issuer)
	if err != nil {
		return nil // the configuration was refused already
	}
	told := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(sites.Servers)) {
		server := sites.Servers[name]
		for _, sample := range matrixauth.SampleRequests(issuer) {
			w := walkTo(server, at, sample)
			if !w.ours {
				continue // such as the redirects from http to https
			}
			for _, o := range w.met {
				if key := o.fault + o.handler; !told[key] {
					told[key] = true
					found = append(found, o.finding(sample, at))
				}
			}
		}
	}
	return found
}

// met is a handler that a request met before matrix_auth.
type met struct{ fault, handler string }

// leaveOut is what to do about a handler that asks for what no client has.
const leaveOut = "let it stand only before what is not Matrix, by a matcher such as: @private not path "

// openPaths returns the paths that must be open to clients, as a matcher has them.
func openPaths(issuer *url.URL) string { return strings.Join(matrixauth.OpenPaths(issuer), " ") }

func (m met) finding(sample matrixauth.SampleRequest, issuer *url.URL) matrixauth.Finding {
	where := m.handler + " of " + issuer.Host + " in the Caddyfile"
	request := sample.Method + " " + sample.Path
	switch m.fault {
	case "password":
		return matrixauth.Wrong(inFrontCheck, "password", fmt.Sprintf("requests of clients such as %s meet %s before matrix_auth, and no client knows that password", request, m.handler), where,
			leaveOut+openPaths(issuer))
	case "other-sign-in":
		return matrixauth.Wrong(inFrontCheck, "other-sign-in", fmt.Sprintf("requests of clients such as %s meet %s before matrix_auth, and no client can sign in there", request, m.handler), where,
			leaveOut+openPaths(issuer))
	}
	return matrixauth.Wrong(inFrontCheck, "shut-out", fmt.Sprintf("requests of clients such as %s from an address that is not yours do not reach matrix_auth: %s answers them", request, m.handler), where,
		"let the requests of clients pass to matrix_auth first; leave it as it is if nobody is to use this homeserver from elsewhere")
}

// walk follows one request through the routes of a server.
type walk struct {
	server  *caddyhttp.Server
	request *http.Request
	groups  map[string]bool
	// ours reports whether the request came to a site with matrix_auth.
	ours bool
	met  []met
}

// walkTo has a client send a request to the issuer's host.
func walkTo(server *caddyhttp.Server, issuer *url.URL, sample matrixauth.SampleRequest) (w *walk) {
	r := &http.Request{
		Method: sample.Method, URL: &url.URL{Path: sample.Path}, RequestURI: sample.Path, Host: issuer.Host, RemoteAddr: farAddress,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Origin": {"https://client.invalid"}, "User-Agent": {"Mozilla/5.0"}}, Body: http.NoBody,
	}
	if len(server.TLSConnPolicies) > 0 {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: issuer.Hostname()}
	}
	repl := caddy.NewReplacer()
	w = &walk{server: server, groups: map[string]bool{}}
	w.request = caddyhttp.PrepareRequest(r, repl, nil, server)
	defer func() {
		// A matcher of a plug-in may rely on what only a real request has. Nothing is known of the way then.
		if recover() != nil {
			*w = walk{}
		}
	}()
	w.list(server.Routes, 0)
	return w
}

// list follows routes until one of them answers.
func (w *walk) list(routes caddyhttp.RouteList, depth int) (answered bool) {
	for _, route := range routes {
		if depth > maxDepth || route.Group != "" && w.groups[route.Group] {
			continue
		}
		matches, err := route.MatcherSets.AnyMatchWithError(w.request)
		if err != nil {
			return w.stop("a matcher that fails")
		}
		if !matches {
			continue
		}
		w.ours = w.ours || depth == 0 && w.hasMatrixAuth(caddyhttp.RouteList{route}, 0)
		if route.Group != "" {
			w.groups[route.Group] = true
		}
		for _, handler := range route.Handlers {
			if w.handler(handler, depth) {
				return true
			}
		}
		if route.Terminal {
			return true
		}
	}
	return false
}

// hasMatrixAuth reports whether matrix_auth stands somewhere in routes.
func (w *walk) hasMatrixAuth(routes caddyhttp.RouteList, depth int) bool {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Handler:
				return true
			case *caddyhttp.Subroute:
				if depth <= maxDepth && w.hasMatrixAuth(h.Routes, depth+1) {
					return true
				}
			case *caddyhttp.Invoke:
				if named := w.server.NamedRoutes[h.Name]; named != nil && depth <= maxDepth && w.hasMatrixAuth(caddyhttp.RouteList{*named}, depth+1) {
					return true
				}
			}
		}
	}
	return false
}

func (w *walk) stop(handler string) bool {
	w.met = append(w.met, met{"shut-out", handler})
	return true
}

// handler meets one handler. It reports whether the handler answers.
func (w *walk) handler(handler caddyhttp.MiddlewareHandler, depth int) (answered bool) {
	switch h := handler.(type) {
	case *Handler:
		return true
	case *caddyhttp.Subroute:
		return w.list(h.Routes, depth+1)
	case *caddyhttp.Invoke:
		if named := w.server.NamedRoutes[h.Name]; named != nil {
			return w.list(caddyhttp.RouteList{*named}, depth+1)
		}
	case *rewrite.Rewrite:
		if repl, ok := w.request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			h.Rewrite(w.request, repl)
		}
	case *caddyauth.Authentication:
		name := "an authentication"
		if _, basic := h.Providers["http_basic"]; basic {
			name = "basic_auth"
		}
		w.met = append(w.met, met{"password", name})
	case *reverseproxy.Handler:
		if len(h.HandleResponse) > 0 { // forward_auth: a good answer lets the request go on
			w.met = append(w.met, met{"other-sign-in", "forward_auth " + dialed(h)})
			return false
		}
		return w.stop("reverse_proxy " + dialed(h))
	case *caddyhttp.StaticResponse:
		if string(h.StatusCode) == strconv.Itoa(http.StatusEarlyHints) {
			return false
		}
		return w.stop(nameOfResponse(h))
	case *caddyhttp.StaticError:
		return w.stop("error")
	case *fileserver.FileServer:
		if !h.PassThru {
			return w.stop("file_server")
		}
	}
	return false
}

func dialed(h *reverseproxy.Handler) string {
	var all []string
	for _, u := range h.Upstreams {
		all = append(all, u.Dial)
	}
	return strings.Join(all, " ")
}

func nameOfResponse(h *caddyhttp.StaticResponse) string {
	switch {
	case h.Abort:
		return "abort"
	case h.Headers.Get("Location") != "":
		return "redir"
	}
	return strings.TrimSpace("respond " + string(h.StatusCode))
}
