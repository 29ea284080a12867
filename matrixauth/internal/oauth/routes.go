package oauth

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// APIPath is what the paths of the endpoints that programs call begin with.
const APIPath = "oauth2/"

// The endpoints of the OAuth API.
var (
	AuthorizationEndpoint = web.Endpoint{Name: "authorize", Path: "authorize", Wire: web.PageWire}
	TokenEndpoint         = web.Endpoint{Name: "token", Path: APIPath + "token", Wire: web.OpenOAuthWire}
	RevocationEndpoint    = web.Endpoint{Name: "revoke", Path: APIPath + "revoke", Wire: web.OpenOAuthWire}
	RegistrationEndpoint  = web.Endpoint{Name: "registration", Path: APIPath + "registration", Wire: web.OpenOAuthWire}
	// IntrospectionEndpoint is what the homeserver asks about every token.
	IntrospectionEndpoint = web.Endpoint{Name: "introspect", Path: APIPath + "introspect", Wire: web.OAuthWire, Side: web.Both, Hot: true}

	// DiscoveryEndpoint is where OpenID Connect Discovery and Synapse look (SYN-2).
	DiscoveryEndpoint = web.Endpoint{Name: "discovery", Path: ".well-known/openid-configuration", Wire: web.OpenOAuthWire, Side: web.Both}
	// ServerMetadataEndpoint is where RFC 8414 has clients look.
	ServerMetadataEndpoint = web.Endpoint{Name: "discovery", Place: web.WellKnown, Path: ".well-known/oauth-authorization-server", Wire: web.OpenOAuthWire}
	// AuthMetadataEndpoint and AuthIssuerEndpoint are the Client-Server API's, from us whatever Synapse's version
	// (SYN-22, DISC-8).
	AuthMetadataEndpoint = web.Endpoint{Name: "auth_metadata", Place: web.ClientAPI, Versions: []string{"v1", "unstable/org.matrix.msc2965"}, Path: "auth_metadata", Wire: web.MatrixWire}
	AuthIssuerEndpoint   = web.Endpoint{Name: "auth_issuer", Place: web.ClientAPI, Versions: []string{"v1", "unstable/org.matrix.msc2965"}, Path: "auth_issuer", Wire: web.MatrixWire}
)

// Routes is what the door serves.
var Routes = web.Routes[*Door]{
	Routes: []web.Route[*Door]{
		{Endpoint: AuthorizationEndpoint, Get: (*Door).Authorize, Post: (*Door).Authorize},
		{Endpoint: web.Endpoint{Name: "consent", Path: page.ConsentPath, Wire: web.PageWire}, Get: (*Door).Consent, Post: (*Door).Answer},
		{Endpoint: TokenEndpoint, Post: (*Door).Token},
		{Endpoint: RevocationEndpoint, Post: (*Door).Revoke},
		{Endpoint: RegistrationEndpoint, Post: (*Door).Register},
		{Endpoint: IntrospectionEndpoint, Post: (*Door).Introspect},
		{Endpoint: DiscoveryEndpoint, Get: (*Door).Metadata},
		{Endpoint: ServerMetadataEndpoint, Get: (*Door).Metadata},
		{Endpoint: AuthMetadataEndpoint, Get: (*Door).Metadata},
		{Endpoint: AuthIssuerEndpoint, Get: (*Door).AuthIssuer},
	},
	Families: []web.Family{
		{Prefix: AuthorizationEndpoint.Path + "/", Wire: web.PageWire},
		{Prefix: APIPath, Wire: web.OpenOAuthWire},
	},
}
