package edge

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Issuer is where the issuer is.
type Issuer struct {
	// URL is our public address as it stands in documents: with a slash at its end, so that addresses below it are
	// made by appending.
	URL string
	// Host is its host, without a port; empty for one that is not known yet, which may be any.
	Host string
	// Base is its path, with a slash at its end.
	Base string
}

// ParseIssuer reads an issuer, with or without a slash at its end.
func ParseIssuer(issuer string) (Issuer, error) {
	address := strings.TrimSuffix(issuer, "/") + "/"
	u, err := url.Parse(address)
	if err != nil {
		return Issuer{}, fmt.Errorf("issuer: %w", err)
	}
	return Issuer{URL: address, Host: strings.ToLower(u.Hostname()), Base: u.Path}, nil
}

// isAt reports whether a Host header names the issuer's host, whatever the port: a proxy in front may have
// another.
func (i Issuer) isAt(host string) bool {
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:colon]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, i.Host)
}

// spelling is one path of an endpoint, in parts: so it is compared without being put together.
type spelling [5]string

func (s spelling) String() string { return strings.Join(s[:], "") }

func (s spelling) is(path string) bool {
	for _, part := range s {
		var ok bool
		if path, ok = strings.CutPrefix(path, part); !ok {
			return false
		}
	}
	return path == ""
}

// spellings returns the paths at which an endpoint is found on one side, the one that clients use first; for one with a
// variable what stands before it.
func (i Issuer) spellings(e web.Endpoint, side web.Side) []spelling {
	if e.Side != side && e.Side != web.Both {
		return nil
	}
	switch e.Place {
	case web.ClientAPI:
		all := make([]spelling, 0, 2*len(e.Versions))
		for _, version := range e.Versions {
			if e.Variable != "" {
				all = append(all, spelling{web.ClientAPIPath, version, "/", e.Path, "/"})
				continue
			}
			// Synapse never cared for a slash at the end either.
			all = append(all, spelling{web.ClientAPIPath, version, "/", e.Path}, spelling{web.ClientAPIPath, version, "/", e.Path, "/"})
		}
		return all
	case web.WellKnown:
		if i.Base == "/" {
			return []spelling{{"/", e.Path}}
		}
		return []spelling{{"/", e.Path, strings.TrimSuffix(i.Base, "/")}, {"/", e.Path, i.Base}, {i.Base, e.Path}}
	case web.Root:
		return []spelling{{"/", e.Path}}
	}
	if side == web.Internal {
		return []spelling{{"/", e.Path}, {i.Base, e.Path}}
	}
	return []spelling{{i.Base, e.Path}}
}

// PathOf returns the path of an endpoint at the site that clients use today.
func (i Issuer) PathOf(e web.Endpoint) string { return i.spellings(e, web.Public)[0].String() }

// Paths returns all paths of an endpoint on a side, Public or Internal.
func (i Issuer) Paths(e web.Endpoint, side web.Side) []string {
	var all []string
	for _, s := range i.spellings(e, side) {
		all = append(all, s.String())
	}
	return all
}

// Catalogue is what all doors serve, before there is a server.
type Catalogue struct {
	Endpoints []web.Endpoint
	Families  []web.Family
}

// Declare adds the routes of a door.
func Declare[D any](c *Catalogue, routes web.Routes[D]) {
	c.Endpoints = append(c.Endpoints, routes.Endpoints()...)
	c.Families = append(c.Families, routes.Families...)
}

// wireOf returns the wire of a path on a side that is ours; ours is false for any other.
func (c Catalogue) wireOf(issuer Issuer, side web.Side, path string) (wire web.Wire, ours bool) {
	for _, e := range c.Endpoints {
		if slices.ContainsFunc(issuer.spellings(e, side), func(s spelling) bool { return s.is(path) }) {
			return e.Wire, true
		}
	}
	if f := c.family(issuer, path); f != nil && side == web.Public {
		return f.Wire, true
	}
	return web.PlainWire, false
}

// family finds the family that a path of the site belongs to; nil for none.
func (c Catalogue) family(issuer Issuer, path string) *web.Family {
	rest, below := strings.CutPrefix(path, issuer.Base)
	if !below {
		return nil
	}
	for i := range c.Families {
		if strings.HasPrefix(rest, c.Families[i].Prefix) {
			return &c.Families[i]
		}
	}
	return nil
}

// route is one path with what answers it.
type route struct {
	web.Endpoint
	// handlers are by method. One under the empty name answers every method, and needs no database.
	handlers map[string]web.Handler
	// allow is the Allow header of the path.
	allow string
}

// always answers every method in one way.
func always(e web.Endpoint, answer web.Handler) *route {
	return &route{Endpoint: e, handlers: map[string]web.Handler{"": answer}}
}

// table finds a route by its exact path.
type table map[string]*route

func (t table) add(issuer Issuer, side web.Side, b web.Bound) {
	r := &route{Endpoint: b.Endpoint, handlers: b.Handlers}
	var names []string
	for _, name := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if b.Handlers[name] != nil {
			names = append(names, name)
		}
	}
	if b.Wire.Open() {
		names = append(names, http.MethodOptions)
	}
	r.allow = strings.Join(names, ", ")
	for _, path := range issuer.Paths(b.Endpoint, side) {
		t[path] = r
	}
}

// variables are the routes of public paths that end in a variable, by their methods.
type variables map[string][]variable

type variable struct {
	prefix string
	*route
}

func (v variables) add(issuer Issuer, b web.Bound) {
	r := &route{Endpoint: b.Endpoint, handlers: b.Handlers}
	for method := range b.Handlers {
		for _, prefix := range issuer.Paths(b.Endpoint, web.Public) {
			v[method] = append(v[method], variable{prefix, r})
		}
	}
}

// find returns the route of a request and keeps the variable with it; nil for none.
func (v variables) find(r *http.Request) *route {
	for _, known := range v[r.Method] {
		// As the homeserver reads it: the path is parted before it is decoded.
		raw, ok := strings.CutPrefix(r.URL.EscapedPath(), known.prefix)
		if !ok || raw == "" || strings.Contains(raw, "/") {
			continue
		}
		value, err := url.PathUnescape(raw)
		if err != nil {
			return nil
		}
		r.SetPathValue(known.Variable, value)
		return known.route
	}
	return nil
}

// find returns the route of a public request, or nil for one that is not ours.
func (e *Edge) find(r *http.Request) *route {
	if isHidden(r.URL) {
		return refused
	}
	found := e.public[r.URL.Path]
	if found == nil {
		found = e.variables.find(r)
	}
	if found == nil {
		found = e.belowOurs(r.URL.Path)
	}
	if found == nil || atIssuer(found.Place) && !e.Issuer.isAt(r.Host) || found.Minted && e.bearsForeign(r) {
		return nil
	}
	return found
}

// bearsForeign reports whether a request bears a token that is none of ours, neither by its form nor as one of a session
// that came from another server. While the database is closing any may be ours.
func (e *Edge) bearsForeign(r *http.Request) bool {
	token, ok := web.Bearer(r)
	if !ok || model.MintedToken(token) {
		return false
	}
	leave, err := e.Gate.Enter()
	if err != nil {
		return false
	}
	defer leave()
	return !e.Gateway.Sessions.KnowsImported(token)
}

// atIssuer reports whether endpoints of a place are at the issuer's host alone: other hosts serve only the
// Matrix API.
func atIssuer(p web.Place) bool { return p == web.BelowIssuer || p == web.WellKnown }

// belowOurs returns the answer to a path of our families that no endpoint has; nil for any other.
func (e *Edge) belowOurs(path string) *route {
	if f := e.Catalogue.family(e.Issuer, path); f != nil {
		return unknown[f.Wire]
	}
	return nil
}

func notRecognized(http.ResponseWriter, *http.Request) error {
	return model.NewError(model.NotRecognized)
}

// refused is the answer to what must not reach the homeserver, unknown that to a path of ours that is nothing,
// in the words of its wire.
var (
	refused = always(web.Endpoint{Name: "refused", Place: web.Root, Wire: web.MatrixWire}, notRecognized)
	unknown = func() map[web.Wire]*route {
		all := map[web.Wire]*route{}
		for _, wire := range web.Wires {
			all[wire] = always(web.Endpoint{Name: "unknown", Wire: wire}, notRecognized)
		}
		return all
	}()
)
