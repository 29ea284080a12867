package compat

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"

// The endpoints of the legacy login API. Their versions are those at which Synapse served them (LEG-1).
var (
	LoginEndpoint     = endpoint("login", "login", "v3", "r0", "api/v1", "unstable")
	LogoutEndpoint    = endpoint("logout", "logout", "v3", "r0", "api/v1", "unstable")
	logoutAllEndpoint = endpoint("logout_all", "logout/all", "v3", "r0", "api/v1", "unstable")
	RefreshEndpoint   = endpoint("refresh", "refresh", "v3", "r0", "unstable", "unstable/org.matrix.msc2918")

	passwordEndpoint   = own("account_password", "account/password", "")
	deactivateEndpoint = own("account_deactivate", "account/deactivate", "")
	devicesEndpoint    = own("delete_devices", "delete_devices", "")
	deviceEndpoint     = own("delete_device", "devices", "device_id")
	availableEndpoint  = endpoint("register_available", "register/available", "v3", "r0", "api/v1", "unstable")
)

func endpoint(name, path string, versions ...string) web.Endpoint {
	return web.Endpoint{Name: name, Place: web.ClientAPI, Versions: versions, Path: path, Wire: web.MatrixWire}
}

// own is an endpoint for what the user of an app changes of the account (LEG-45).
func own(name, path, variable string) web.Endpoint {
	e := endpoint(name, path, "v3", "r0", "unstable")
	e.Minted, e.Variable = true, variable
	return e
}

// Routes is what the door serves.
var Routes = web.Routes[*Door]{
	Routes: []web.Route[*Door]{
		{Endpoint: LoginEndpoint, Get: (*Door).Flows, Post: (*Door).Login},
		{Endpoint: LogoutEndpoint, Post: (*Door).Logout},
		{Endpoint: logoutAllEndpoint, Post: (*Door).LogoutAll},
		{Endpoint: RefreshEndpoint, Post: (*Door).Refresh},
		{Endpoint: passwordEndpoint, Post: (*Door).ChangePassword},
		{Endpoint: deactivateEndpoint, Post: (*Door).Deactivate},
		{Endpoint: devicesEndpoint, Post: (*Door).DeleteDevices},
		{Endpoint: deviceEndpoint, Delete: (*Door).DeleteDevice},
		{Endpoint: availableEndpoint, Get: (*Door).Available},
	},
}
