package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

const waysCheck = "ways to synapse"

// ways are requests that must not reach the homeserver past matrix_auth.
var ways = matrixauth.GuardedRequests()

// surroundings looks for ways to the homeserver that lead past matrix_auth: within a handle or route it
// guards only what gets there. That is no mistake by itself, as an operator may have a site of their own
// to the homeserver, behind a firewall; so it is told and not refused.
type surroundings struct {
	// homeserver is the address to which a proxy would lead.
	homeserver string
	named      map[string]*caddyhttp.Route
	findings   []matrixauth.Finding
}

// examineSites examines the sites of a configuration that has been provisioned.
func examineSites(sites *caddyhttp.App, endpoint string) []matrixauth.Finding {
	s := surroundings{homeserver: dialOfEndpoint(endpoint)}
	for _, name := range slices.Sorted(maps.Keys(sites.Servers)) {
		server := sites.Servers[name]
		s.named = server.NamedRoutes
		s.list(server.Routes, newPassage(), 0)
	}
	return s.findings
}

// passage is what may come along a chain of handlers.
type passage struct {
	// guarded reports whether all of it has passed matrix_auth.
	guarded bool
	// open tells of each of the ways whether a request for it may come here.
	open []bool
	// site names the hosts of the site, for people.
	site string
}

func newPassage() passage {
	p := passage{open: make([]bool, len(ways)), site: "a site"}
	return p.rewritten()
}

// rewritten returns a passage in which any path may have become any other.
func (p passage) rewritten() passage {
	p.open = slices.Repeat([]bool{true}, len(ways))
	return p
}

// maxDepth bounds how deep routes are followed: named ones may invoke each other.
const maxDepth = 32

// list follows a list of routes, and returns the passage behind it.
func (s *surroundings) list(routes caddyhttp.RouteList, p passage, depth int) passage {
	if depth > maxDepth {
		return p
	}
	for _, route := range routes {
		behind := s.route(route, p, depth)
		if len(route.MatcherSets) == 0 {
			p = behind
		}
	}
	return p
}

func (s *surroundings) route(route caddyhttp.Route, p passage, depth int) passage {
	p = p.through(route.MatcherSets)
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *Handler:
			p.guarded = true
		case *caddyhttp.Subroute:
			p = s.list(h.Routes, p, depth+1)
		case *caddyhttp.Invoke:
			if named := s.named[h.Name]; named != nil {
				p = s.list(caddyhttp.RouteList{*named}, p, depth+1)
			}
		case *rewrite.Rewrite:
			p = p.rewritten()
		case *reverseproxy.Handler:
			s.proxy(h, p)
		}
	}
	return p
}

// proxy notes a proxy to the homeserver that requests reach unguarded.
func (s *surroundings) proxy(h *reverseproxy.Handler, p passage) {
	i := slices.Index(p.open, true)
	if p.guarded || i < 0 || !slices.ContainsFunc(h.Upstreams, func(u *reverseproxy.Upstream) bool { return dialOf(u.Dial) == s.homeserver }) {
		return
	}
	s.findings = append(s.findings, matrixauth.Wrong(waysCheck, "unguarded",
		fmt.Sprintf("requests such as %s reach Synapse without passing matrix_auth: %s", ways[i].Path, ways[i].Harm),
		"reverse_proxy "+h.Upstreams[0].Dial+" of "+p.site, "write a bare matrix_auth in that site, outside of any handle or route that only some requests enter; or let nobody but you reach it"))
}

// through returns what of a passage may pass matchers.
func (p passage) through(sets caddyhttp.MatcherSets) passage {
	if len(sets) == 0 {
		return p
	}
	open := make([]bool, len(ways))
	for i, way := range ways {
		open[i] = p.open[i] && slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool { return mayMatch(set, way.Path) })
	}
	p.open = open
	for _, set := range sets {
		for _, matcher := range set {
			if hosts, ok := matcher.(*caddyhttp.MatchHost); ok && len(*hosts) > 0 {
				p.site = strings.Join(*hosts, ", ")
			}
		}
	}
	return p
}

// mayMatch reports whether a request for a path may match a set. Only what is said of paths is looked at.
func mayMatch(set caddyhttp.MatcherSet, path string) bool {
	return !slices.ContainsFunc(set, func(matcher any) bool {
		if not, ok := matcher.(*caddyhttp.MatchNot); ok {
			return slices.ContainsFunc(not.MatcherSets, func(set caddyhttp.MatcherSet) bool { return mustMatch(set, path) })
		}
		return isPathMatcher(matcher) && !matches(matcher, path)
	})
}

// mustMatch reports whether every request for a path matches a set.
func mustMatch(set caddyhttp.MatcherSet, path string) bool {
	return !slices.ContainsFunc(set, func(matcher any) bool { return !isPathMatcher(matcher) || !matches(matcher, path) })
}

func isPathMatcher(matcher any) bool {
	switch matcher.(type) {
	case *caddyhttp.MatchPath, *caddyhttp.MatchPathRE:
		return true
	}
	return false
}

func matches(matcher any, path string) bool {
	m, ok := matcher.(caddyhttp.RequestMatcherWithError)
	if !ok {
		return true
	}
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, Header: http.Header{}}).WithContext(ctx)
	found, err := m.MatchWithError(r)
	return found || err != nil
}

// dialOfEndpoint returns the address that the homeserver's own has for a proxy.
func dialOfEndpoint(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return dialOf(net.JoinHostPort(u.Hostname(), port))
}

// dialOf writes an address so that two of one place are equal. It is empty for one that is known only
// when a request comes.
func dialOf(address string) string {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp/"))
	if err != nil || strings.Contains(address, "{") {
		return ""
	}
	if matrixauth.IsLoopback(host) {
		host = "localhost"
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}

// namedSites returns the sites that are known by a name, and where Caddy listens for them.
func namedSites(sites *caddyhttp.App) (all []matrixauth.Site) {
	for _, name := range slices.Sorted(maps.Keys(sites.Servers)) {
		server := sites.Servers[name]
		if len(server.Listen) == 0 {
			continue
		}
		listener, err := caddy.ParseNetworkAddress(server.Listen[0])
		if err != nil || listener.PortRangeSize() > 1 {
			continue // Caddy has checked it
		}
		scheme, network, at, port := "http", listener.Network, listener.JoinHostPort(0), ""
		if len(server.TLSConnPolicies) > 0 {
			scheme = "https"
		}
		if !listener.IsUnixNetwork() {
			port = fmt.Sprintf(":%d", listener.StartPort)
			if ip, err := netip.ParseAddr(listener.Host); listener.Host == "" || err == nil && ip.IsUnspecified() {
				at = "localhost" + port
			}
		}
		for _, host := range hostsOf(server.Routes, 0) {
			all = append(all, matrixauth.Site{Address: scheme + "://" + host + port, Network: network, Listener: at})
		}
	}
	return all
}

// hostsOf returns the names that the routes of a server are for, without patterns and placeholders.
func hostsOf(routes caddyhttp.RouteList, depth int) (hosts []string) {
	for _, route := range routes {
		for _, set := range route.MatcherSets {
			for _, matcher := range set {
				if names, ok := matcher.(*caddyhttp.MatchHost); ok {
					hosts = append(hosts, *names...)
				}
			}
		}
		for _, handler := range route.Handlers {
			if below, ok := handler.(*caddyhttp.Subroute); ok && depth < maxDepth {
				hosts = append(hosts, hostsOf(below.Routes, depth+1)...)
			}
		}
	}
	return slices.DeleteFunc(hosts, func(host string) bool { return strings.ContainsAny(host, "*{") })
}
