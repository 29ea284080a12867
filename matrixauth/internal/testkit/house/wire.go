package house

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Endpoint is one of our paths, as bad input meets it.
type Endpoint struct {
	Name    string
	Paths   []string
	Inside  bool
	Wire    web.Wire
	Methods []string
	Allow   string
}

var (
	oldVersions = []string{"api/v1", "r0", "v3", "unstable"}
	ownVersions = []string{"r0", "v3", "unstable"}
)

// aliases are the paths of a client endpoint, with and without a slash at the end (LEG-1).
func aliases(suffix string, versions ...string) (paths []string) {
	for _, v := range versions {
		paths = append(paths, "/_matrix/client/"+v+suffix, "/_matrix/client/"+v+suffix+"/")
	}
	return paths
}

// Endpoints are all of ours, so that each is met by the same bad input.
var Endpoints = []Endpoint{
	{"login", aliases("/login", oldVersions...), false, web.MatrixWire, []string{"GET", "HEAD", "POST"}, "GET, HEAD, POST, OPTIONS"},
	{"logout", aliases("/logout", oldVersions...), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"logout_all", aliases("/logout/all", oldVersions...), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"refresh", aliases("/refresh", "r0", "v3", "unstable", "unstable/org.matrix.msc2918"), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"account_password", aliases("/account/password", ownVersions...), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"account_deactivate", aliases("/account/deactivate", ownVersions...), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"delete_devices", aliases("/delete_devices", ownVersions...), false, web.MatrixWire, []string{"POST"}, "POST, OPTIONS"},
	{"register_available", aliases("/register/available", oldVersions...), false, web.MatrixWire, []string{"GET", "HEAD"}, "GET, HEAD, OPTIONS"},
	{"auth_metadata", aliases("/auth_metadata", "v1", "unstable/org.matrix.msc2965"), false, web.MatrixWire, []string{"GET", "HEAD"}, "GET, HEAD, OPTIONS"},
	{"auth_issuer", aliases("/auth_issuer", "v1", "unstable/org.matrix.msc2965"), false, web.MatrixWire, []string{"GET", "HEAD"}, "GET, HEAD, OPTIONS"},
	{"introspect_public", []string{"/oauth2/introspect"}, false, web.OAuthWire, []string{"POST"}, "POST"},
	{"introspect_internal", []string{"/oauth2/introspect"}, true, web.OAuthWire, []string{"POST"}, "POST"},
	{"discovery_public", []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}, false, web.OpenOAuthWire, []string{"GET", "HEAD"}, "GET, HEAD, OPTIONS"},
	{"discovery_internal", []string{"/.well-known/openid-configuration"}, true, web.OpenOAuthWire, []string{"GET", "HEAD"}, "GET, HEAD, OPTIONS"},
	{"token", []string{TokenPath}, false, web.OpenOAuthWire, []string{"POST"}, "POST, OPTIONS"},
	{"revoke", []string{RevokePath}, false, web.OpenOAuthWire, []string{"POST"}, "POST, OPTIONS"},
	{"registration", []string{"/oauth2/registration"}, false, web.OpenOAuthWire, []string{"POST"}, "POST, OPTIONS"},
	{"authorize", []string{AuthorizePath}, false, web.PageWire, []string{"GET", "HEAD", "POST"}, "GET, HEAD, POST"},
	{"consent", []string{ConsentPath}, false, web.PageWire, []string{"GET", "HEAD", "POST"}, "GET, HEAD, POST"},
	{"sign_in", []string{"/account/login"}, false, web.PageWire, []string{"GET", "HEAD", "POST"}, "GET, HEAD, POST"},
	{"sign_out", []string{"/account/logout"}, false, web.PageWire, []string{"POST"}, "POST"},
	{"signed_out", []string{"/account/signed-out"}, false, web.PageWire, []string{"GET", "HEAD"}, "GET, HEAD"},
	{"account", []string{"/account/", "/account"}, false, web.PageWire, []string{"GET", "HEAD"}, "GET, HEAD"},
	{"end_session", []string{"/account/sessions/end"}, false, web.PageWire, []string{"GET", "HEAD", "POST"}, "GET, HEAD, POST"},
	{"health", []string{"/health"}, true, web.PlainWire, []string{"GET", "HEAD"}, "GET, HEAD"},
}

// EndpointNamed returns the endpoint of a name, which must be there.
func EndpointNamed(name string) Endpoint {
	return Endpoints[slices.IndexFunc(Endpoints, func(e Endpoint) bool { return e.Name == name })]
}

// WantWire checks the headers that every answer of a wire bears, whatever its status: CORS exactly once
// for the Client-Server API and none between servers (LEG-6, INTRO-7), JSON, no sniffing, no storing.
func WantWire(t testing.TB, wire web.Wire, a Answer) {
	t.Helper()
	if wire == web.PageWire {
		WantPageHeaders(t, a)
		return
	}
	cors := map[string]string{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Allow-Methods":  "GET, HEAD, POST, PUT, DELETE, OPTIONS",
		"Access-Control-Allow-Headers":  "X-Requested-With, Content-Type, Authorization, Date",
		"Access-Control-Expose-Headers": "Retry-After",
	}
	for name, want := range cors {
		got := a.Header.Values(name)
		if wire.Open() && (len(got) != 1 || got[0] != want) {
			t.Errorf("%s is %q, want %q once", name, got, want)
		}
		if !wire.Open() && len(got) != 0 {
			t.Errorf("%s is %q, want none", name, got)
		}
	}
	if got := a.Header.Values("Access-Control-Allow-Credentials"); got != nil {
		t.Errorf("Access-Control-Allow-Credentials is %q, want none", got)
	}
	if got := a.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", got)
	}
	if a.Status == http.StatusNoContent {
		return
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
}

// What the wires say in words of their own.
const (
	// WrongPass is said of a wrong password, and of an account that is not there.
	WrongPass = `{"errcode":"M_FORBIDDEN","error":"Invalid username or password"}`
	// BadToken is said of an access token that is not ours, or is over.
	BadToken = `{"errcode":"M_UNKNOWN_TOKEN","error":"Unknown access token"}`
	// BadFresh is said of a refresh token that is not ours, or is over.
	BadFresh = `{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid refresh token"}`
)

// Healthy is the answer of a server that is well.
func (h *House) Healthy(waiting, oldest int) string {
	h.T.Helper()
	schema, err := h.Store.Schema(context.Background())
	h.Must(err)
	return fmt.Sprintf(`{"status":"ok","schema":%d,"outbox":{"waiting":%d,"set_aside":0,"oldest_age_seconds":%d}}`, schema, waiting, oldest)
}

// wantMetadata is the whole document: what is in it, clients rely upon, and nothing else is there. Synapse reads its first
// and the account's address (SYN-2, AMB-15), clients what they may ask for (ACCT-1, DISC-17).
const wantMetadata = `{"issuer":"` + Issuer + `",` +
	`"authorization_endpoint":"` + Issuer + `authorize",` +
	`"token_endpoint":"` + Issuer + `oauth2/token",` +
	`"registration_endpoint":"` + Issuer + `oauth2/registration",` +
	`"revocation_endpoint":"` + Issuer + `oauth2/revoke",` +
	`"introspection_endpoint":"` + Issuer + `oauth2/introspect",` +
	`"scopes_supported":["urn:matrix:client:api:*","urn:matrix:org.matrix.msc2967.client:api:*","urn:synapse:admin:*"],` +
	`"response_types_supported":["code"],` +
	`"response_modes_supported":["query","fragment","form_post"],` +
	`"grant_types_supported":["authorization_code","refresh_token"],` +
	`"token_endpoint_auth_methods_supported":["none","client_secret_basic","client_secret_post"],` +
	`"revocation_endpoint_auth_methods_supported":["none","client_secret_basic","client_secret_post"],` +
	`"introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],` +
	`"code_challenge_methods_supported":["S256"],` +
	`"prompt_values_supported":["none","login","consent","select_account"],` +
	`"ui_locales_supported":["en","ar","de","es","fr","it","ja","nl","pl","pt-BR","ru","uk","zh-Hans"],` +
	`"authorization_response_iss_parameter_supported":true,` +
	`"claims_parameter_supported":false,"request_parameter_supported":false,"request_uri_parameter_supported":false,` +
	`"account_management_uri":"` + Issuer + `account/",` +
	`"account_management_actions_supported":ACTIONS,` +
	`"org.matrix.msc4191.account_management_uri":"` + Issuer + `account/",` + // ACCT-10
	`"org.matrix.msc4191.account_management_actions_supported":ACTIONS}`

// MetadataText is the whole document of the tests' issuer.
func MetadataText() string {
	actions, err := json.Marshal(signin.Actions)
	if err != nil {
		panic(err) // strings always marshal
	}
	return strings.ReplaceAll(wantMetadata, "ACTIONS", string(actions))
}
