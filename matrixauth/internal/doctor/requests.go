package doctor

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/account"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/edge"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
)

// SampleRequest is a request of a client that must reach us.
type SampleRequest struct{ Method, Path string }

// SampleRequests returns requests to the issuer's host of each kind that clients, their browsers and Synapse send.
func SampleRequests(issuer string) []SampleRequest {
	public, err := edge.ParseIssuer(issuer)
	if err != nil {
		return nil
	}
	at := public.PathOf
	return []SampleRequest{
		{http.MethodGet, at(compat.LoginEndpoint)}, {http.MethodPost, at(compat.LoginEndpoint)}, {http.MethodOptions, at(compat.LoginEndpoint)},
		{http.MethodPost, at(compat.LogoutEndpoint)}, {http.MethodPost, at(compat.RefreshEndpoint)},
		{http.MethodGet, at(oauth.AuthMetadataEndpoint)}, {http.MethodGet, at(oauth.DiscoveryEndpoint)},
		{http.MethodGet, at(oauth.AuthorizationEndpoint)}, {http.MethodPost, at(oauth.TokenEndpoint)}, {http.MethodOptions, at(oauth.TokenEndpoint)},
		{http.MethodPost, at(oauth.RegistrationEndpoint)}, {http.MethodGet, at(account.LoginEndpoint)}, {http.MethodGet, at(account.HomeEndpoint)},
	}
}

// OpenPaths returns the paths at the issuer's host that must be open to clients, as Caddy's matcher path has them.
func OpenPaths(issuer *url.URL) []string {
	paths := []string{"/_matrix/*", "/_synapse/*", wellKnownPath + "*"}
	if base := strings.TrimSuffix(issuer.Path, "/"); base != "" {
		return append(paths, base+"/*")
	}
	paths = append(paths, "/"+oauth.AuthorizationEndpoint.Path)
	for _, family := range slices.Concat(oauth.Routes.Families, account.Routes.Families) {
		paths = append(paths, "/"+family.Prefix+"*")
	}
	return paths
}

// GuardedRequest is a request that must not reach Synapse past us, with what is wrong if it does.
type GuardedRequest struct{ Path, Harm string }

// GuardedRequests lists one of each kind.
func GuardedRequests() []GuardedRequest {
	return []GuardedRequest{
		{homeserver.QueryUserPath, "anybody can guess at the shared secret"},
		{homeserver.RoomsPath, "locked users and ended sessions can administer for a while"},
		{homeserver.WhoamiPath, "locked users and ended sessions can go on for a while, and clients of live ones may lose their keys"},
	}
}
