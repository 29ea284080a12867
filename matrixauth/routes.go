package matrixauth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/account"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// route is one path with what answers it.
type route struct {
	// name stands for the path in logs.
	name string
	wire web.Wire
	// issuer keeps the route to the issuer's host; other hosts serve only the Matrix API.
	issuer bool
	// hot routes are logged only when debugging: the homeserver asks them on every request.
	hot     bool
	methods map[string]web.Handler
	// allow is the Allow header of the path.
	allow string
}

// table finds a route by its exact path.
type table map[string]*route

// routes lists every route: public ones at the site, internal ones on the listener for the
// homeserver. Paths not listed are not ours.
func (s *Server) routes() (public, internal table) {
	public, internal = table{}, table{}
	get, post := http.MethodGet, http.MethodPost

	client := func(r route, versions []string, suffix string) {
		r.wire = web.MatrixWire
		for _, version := range versions {
			// Synapse never cared for a slash at the end either.
			public.add(r, "/_matrix/client/"+version+suffix)
			public.add(r, "/_matrix/client/"+version+suffix+"/")
		}
	}
	old := []string{"api/v1", "r0", "v3", "unstable"} // the aliases that Synapse used to serve (LEG-1)
	client(route{name: "login", methods: methods{get: s.compat.Flows, post: s.compat.Login}}, old, "/login")
	client(route{name: "logout", methods: methods{post: s.compat.Logout}}, old, "/logout")
	client(route{name: "logout_all", methods: methods{post: s.compat.LogoutAll}}, old, "/logout/all")
	client(route{name: "refresh", methods: methods{post: s.compat.Refresh}}, []string{"r0", "v3", "unstable", "unstable/org.matrix.msc2918"}, "/refresh")

	// From us, whatever Synapse's version (SYN-22, DISC-8).
	client(route{name: "auth_metadata", methods: methods{get: s.oauth.Metadata}}, []string{"v1", "unstable/org.matrix.msc2965"}, "/auth_metadata")
	client(route{name: "auth_issuer", methods: methods{get: s.oauth.AuthIssuer}}, []string{"v1", "unstable/org.matrix.msc2965"}, "/auth_issuer")

	s.oauthRoutes(public)

	s.accountRoutes(public)

	// What the homeserver asks: on its own listener, and at the issuer for one that lives elsewhere.
	for _, t := range []struct {
		table
		base string
	}{{public, s.base}, {internal, "/"}, {internal, s.base}} {
		t.add(route{name: "introspect", wire: web.OAuthWire, issuer: true, hot: true, methods: methods{post: s.oauth.Introspect}}, t.base+oauth.IntrospectPath)
		t.add(route{name: "discovery", wire: web.OpenOAuthWire, issuer: true, methods: methods{get: s.oauth.Metadata}}, t.base+discoveryPath)
	}
	internal.add(route{name: "health", wire: web.PlainWire, hot: true, methods: methods{get: s.health}}, "/health")
	return public, internal
}

// oauthRoutes adds what clients and users of the OAuth API call, at the issuer's host alone.
func (s *Server) oauthRoutes(public table) {
	get, post := http.MethodGet, http.MethodPost
	api := func(name, path string, handler web.Handler) {
		public.add(route{name: name, wire: web.OpenOAuthWire, issuer: true, methods: methods{post: handler}}, s.base+path)
	}
	api("token", oauth.TokenPath, s.oauth.Token)
	api("revoke", oauth.RevokePath, s.oauth.Revoke)
	api("registration", oauth.RegistrationPath, s.oauth.Register)
	page := func(name, path string, m methods) {
		public.add(route{name: name, wire: web.PageWire, issuer: true, methods: m}, s.base+path)
	}
	page("authorize", oauth.AuthorizePath, methods{get: s.oauth.Authorize, post: s.oauth.Authorize})
	page("consent", oauth.ConsentPath, methods{get: s.oauth.Consent, post: s.oauth.Answer})
	for _, path := range authorizationServerPaths(s.base) {
		public.add(route{name: "discovery", wire: web.OpenOAuthWire, issuer: true, methods: methods{get: s.oauth.Metadata}}, path)
	}
}

// accountRoutes adds the pages on which people sign in and see where they are signed in.
func (s *Server) accountRoutes(public table) {
	get, post := http.MethodGet, http.MethodPost
	page := func(name, path string, m methods) {
		public.add(route{name: name, wire: web.PageWire, issuer: true, methods: m}, s.base+path)
	}
	page("sign_in", account.LoginPath, methods{get: s.account.LoginPage, post: s.account.Login})
	page("sign_out", account.LogoutPath, methods{post: s.account.Logout})
	page("signed_out", account.SignedOutPath, methods{get: s.account.SignedOut})
	page("account", strings.TrimSuffix(account.HomePath, "/"), methods{get: s.account.Bare})
	page("account", account.HomePath, methods{get: s.account.Home})
	page("end_session", account.EndPath, methods{post: s.account.EndSession})
	page("end_others", account.EndOthersPath, methods{get: s.account.AskEndOthers, post: s.account.EndOthers})
	page("withdraw_consent", account.WithdrawPath, methods{post: s.account.WithdrawConsent})
	page("withdrawn", account.WithdrawnPath, methods{get: s.account.Withdrawn})
	page("cross_signing_reset", account.ResetPath, methods{post: s.account.Reset})
	for _, asset := range s.pages.Assets() {
		public.add(route{name: "asset", wire: web.PageWire, issuer: true, hot: true, methods: methods{get: asset.Serve}}, asset.Path)
	}
}

// authorizationServerPaths is where RFC 8414 has clients look: between host and path of the issuer, and,
// as OpenID Connect has it, behind the path (DISC-10).
func authorizationServerPaths(base string) []string {
	inserted := "/" + serverMetadataPath + strings.TrimSuffix(base, "/")
	if base == "/" {
		return []string{inserted}
	}
	return []string{inserted, inserted + "/", base + serverMetadataPath}
}

// wireAtIssuer tells the wire of a path below the issuer that is ours, before there is a Server that
// has them.
func wireAtIssuer(base, path string) (wire web.Wire, ours bool) {
	rest, below := strings.CutPrefix(path, base)
	switch {
	case below && rest == oauth.IntrospectPath:
		return web.OAuthWire, true
	case below && slices.Contains(issuerPaths, rest), slices.Contains(authorizationServerPaths(base), path):
		return web.OpenOAuthWire, true
	case below && slices.Contains(pagePaths, rest):
		return web.PageWire, true
	}
	for _, f := range families {
		if below && strings.HasPrefix(rest, f.prefix) {
			return f.route.wire, true
		}
	}
	return web.PlainWire, false
}

// issuerPaths are the paths below the issuer that programs call, pagePaths those of people.
var (
	issuerPaths = []string{discoveryPath, oauth.TokenPath, oauth.RevokePath, oauth.RegistrationPath}
	pagePaths   = []string{
		oauth.AuthorizePath, oauth.ConsentPath,
		account.LoginPath, account.LogoutPath, account.SignedOutPath, account.HomePath, strings.TrimSuffix(account.HomePath, "/"), account.EndPath, account.EndOthersPath, account.WithdrawPath, account.WithdrawnPath, account.ResetPath,
	}
)

type methods = map[string]web.Handler

func (t table) add(r route, path string) {
	if handler, ok := r.methods[http.MethodGet]; ok {
		r.methods[http.MethodHead] = handler
	}
	names := make([]string, 0, 4)
	for _, name := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if _, ok := r.methods[name]; ok {
			names = append(names, name)
		}
	}
	if r.wire.Open() {
		names = append(names, http.MethodOptions)
	}
	r.allow = strings.Join(names, ", ")
	t[path] = &r
}

func notRecognized(http.ResponseWriter, *http.Request) error {
	return model.NewError(model.NotRecognized)
}

const (
	discoveryPath      = ".well-known/openid-configuration"
	serverMetadataPath = ".well-known/oauth-authorization-server"
)

// find returns the route of a public request, or nil for one that is not ours.
func (s *Server) find(r *http.Request) *route {
	if isHidden(r.URL) {
		return &refusedAtEdge
	}
	found := s.public[r.URL.Path]
	if found == nil {
		found = s.belowOurs(r.URL.Path)
	}
	if found == nil || found.issuer && !s.isIssuer(r.Host) {
		return nil
	}
	return found
}

// families are the paths below the issuer under which all is ours: what is not in the table there does not
// exist, and the homeserver behind us would only say so in its own words.
var families = []struct {
	prefix string
	route  route
}{
	{account.HomePath, route{name: "unknown", wire: web.PageWire, issuer: true, methods: methods{"": notRecognized}}},
	{oauth.AuthorizePath + "/", route{name: "unknown", wire: web.PageWire, issuer: true, methods: methods{"": notRecognized}}},
	{oauth.APIPath, route{name: "unknown", wire: web.OpenOAuthWire, issuer: true, methods: methods{"": notRecognized}}},
}

// belowOurs returns the answer to a path of our families that is not in the table; nil for any other.
func (s *Server) belowOurs(path string) *route {
	rest, below := strings.CutPrefix(path, s.base)
	if !below {
		return nil
	}
	for i := range families {
		if strings.HasPrefix(rest, families[i].prefix) {
			return &families[i].route
		}
	}
	return nil
}

var refusedAtEdge = route{name: "refused", wire: web.MatrixWire, methods: methods{"": notRecognized}}

// isIssuer reports whether a Host header names the issuer's host, whatever the port: a proxy in front
// may have another.
func (s *Server) isIssuer(host string) bool { return isHost(host, s.host) }

// isHost reports whether a Host header names a host, whatever the port.
func isHost(header, host string) bool {
	if i := strings.LastIndexByte(header, ':'); i >= 0 && !strings.HasSuffix(header, "]") {
		header = header[:i]
	}
	header = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	return strings.EqualFold(header, host)
}
