package oauth

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// metadata is what we are, by RFC 8414 section 2 and the Client-Server API. It holds what is there and
// nothing else (DISC-24). All documents are made of it (DISC-23).
type metadata struct {
	Issuer                string `json:"issuer"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	RegistrationEndpoint  string `json:"registration_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`

	ScopesSupported        []string             `json:"scopes_supported"`
	ResponseTypesSupported []string             `json:"response_types_supported"`
	ResponseModesSupported []model.ResponseMode `json:"response_modes_supported"`
	GrantTypesSupported    []string             `json:"grant_types_supported"`
	// Synapse hands these on to clients as they stand.
	TokenAuthMethods         []model.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods    []model.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods []model.AuthMethod `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods         []string           `json:"code_challenge_methods_supported"`
	PromptValues             []string           `json:"prompt_values_supported"`
	UILocales                []string           `json:"ui_locales_supported"`

	IssInResponse bool `json:"authorization_response_iss_parameter_supported"`
	// OpenID Connect Discovery takes request URIs for supported where nothing is said (DISC-17).
	ClaimsParameter     bool `json:"claims_parameter_supported"`
	RequestParameter    bool `json:"request_parameter_supported"`
	RequestURIParameter bool `json:"request_uri_parameter_supported"`

	// Where the operator's terms and policy are, if they were given (DISC-20).
	PolicyURI string `json:"op_policy_uri,omitempty"`
	TOSURI    string `json:"op_tos_uri,omitempty"`

	AccountManagementURI     string   `json:"account_management_uri"`
	AccountManagementActions []string `json:"account_management_actions_supported"`
	// The same under the names that they had before they were in the specification (ACCT-10).
	OldAccountManagementURI     string   `json:"org.matrix.msc4191.account_management_uri"`
	OldAccountManagementActions []string `json:"org.matrix.msc4191.account_management_actions_supported"`
}

// describeServer builds the metadata.
func (d *Door) describeServer() metadata {
	return metadata{
		Issuer:                d.Issuer,
		AuthorizationEndpoint: d.Issuer + AuthorizationEndpoint.Path,
		TokenEndpoint:         d.Issuer + TokenEndpoint.Path,
		RegistrationEndpoint:  d.Issuer + RegistrationEndpoint.Path,
		RevocationEndpoint:    d.Issuer + RevocationEndpoint.Path,
		IntrospectionEndpoint: d.Issuer + IntrospectionEndpoint.Path,

		ScopesSupported:          model.SupportedScopes(),
		ResponseTypesSupported:   model.ResponseTypes(model.GrantTypeNames()),
		ResponseModesSupported:   model.ResponseModes,
		GrantTypesSupported:      model.GrantTypeNames(),
		TokenAuthMethods:         model.AuthMethods,
		RevocationAuthMethods:    model.AuthMethods,
		IntrospectionAuthMethods: model.ProvingAuthMethods(),
		ChallengeMethods:         []string{grant.ChallengeMethod},
		PromptValues:             grant.PromptValues(d.SignIns.Registers()),
		UILocales:                d.Pages.Languages(),

		IssInResponse: true,

		PolicyURI: d.Pages.Links.Privacy,
		TOSURI:    d.Pages.Links.Terms,

		// Synapse appends a query to it (DISC-15, AMB-15).
		AccountManagementURI:        d.Issuer + page.AccountPath,
		AccountManagementActions:    d.AccountActions,
		OldAccountManagementURI:     d.Issuer + page.AccountPath,
		OldAccountManagementActions: d.AccountActions,
	}
}

// Metadata answers every document that tells what we are: that of RFC 8414, that of OpenID Connect
// Discovery, which Synapse reads (SYN-2), and those of the Client-Server API (DISC-1, DISC-8).
func (d *Door) Metadata(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w.Header())
	return web.WriteJSON(w, http.StatusOK, d.describeServer())
}

// AuthIssuer answers the older document of the Client-Server API, which names the issuer alone (DISC-8).
func (d *Door) AuthIssuer(w http.ResponseWriter, _ *http.Request) error {
	cacheable(w.Header())
	return web.WriteJSON(w, http.StatusOK, map[string]string{"issuer": d.Issuer})
}

// cacheable lets clients keep a document for a while (DISC-11).
func cacheable(h http.Header) {
	h.Set("Cache-Control", "public, max-age=600")
	h.Del("Pragma")
}
