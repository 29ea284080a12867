package compat

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"

// The endpoints of the legacy login API. Their versions are those at which Synapse served them (LEG-1).
var (
	LoginEndpoint     = endpoint("login", "login", "v3", "r0", "api/v1", "unstable")
	LogoutEndpoint    = endpoint("logout", "logout", "v3", "r0", "api/v1", "unstable")
	logoutAllEndpoint = endpoint("logout_all", "logout/all", "v3", "r0", "api/v1", "unstable")
	RefreshEndpoint   = endpoint("refresh", "refresh", "v3", "r0", "unstable", "unstable/org.matrix.msc2918")
)

func endpoint(name, path string, versions ...string) web.Endpoint {
	return web.Endpoint{Name: name, Place: web.ClientAPI, Versions: versions, Path: path, Wire: web.MatrixWire}
}

// Routes is what the door serves.
var Routes = web.Routes[*Door]{
	Routes: []web.Route[*Door]{
		{Endpoint: LoginEndpoint, Get: (*Door).Flows, Post: (*Door).Login},
		{Endpoint: LogoutEndpoint, Post: (*Door).Logout},
		{Endpoint: logoutAllEndpoint, Post: (*Door).LogoutAll},
		{Endpoint: RefreshEndpoint, Post: (*Door).Refresh},
	},
}
