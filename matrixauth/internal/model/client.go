package model

import (
	"net/url"
	"slices"
	"time"
)

// ApplicationType says where a client runs; it decides which redirect URIs it may have (REG-8..15).
type ApplicationType string

// The application types of OpenID Connect Dynamic Client Registration section 2.
const (
	WebApplication    ApplicationType = "web"
	NativeApplication ApplicationType = "native"
)

// AuthMethod says how a client proves itself at the token endpoint (RFC 7591 section 2).
type AuthMethod string

// The methods of client authentication that we have.
const (
	AuthNone  AuthMethod = "none"
	AuthBasic AuthMethod = "client_secret_basic"
	AuthPost  AuthMethod = "client_secret_post"
)

// The grant types that we have.
const (
	GrantCode    = "authorization_code"
	GrantRefresh = "refresh_token"
)

// ClientMetadata is what a client says of itself, under the names of RFC 7591 section 2. The texts are
// the client's own: they are shown, and never believed.
type ClientMetadata struct {
	Name            string          `json:"client_name,omitempty"`
	URI             string          `json:"client_uri,omitempty"`
	LogoURI         string          `json:"logo_uri,omitempty"`
	TOSURI          string          `json:"tos_uri,omitempty"`
	PolicyURI       string          `json:"policy_uri,omitempty"`
	ApplicationType ApplicationType `json:"application_type"`
	AuthMethod      AuthMethod      `json:"token_endpoint_auth_method"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types"`
	RedirectURIs    []string        `json:"redirect_uris,omitempty"`
	Contacts        []string        `json:"contacts,omitempty"`
	SoftwareID      string          `json:"software_id,omitempty"`
	SoftwareVersion string          `json:"software_version,omitempty"`
	// Localized holds the members with a language behind a "#", such as "client_name#de".
	Localized map[string]string `json:"-"`
}

// Client is an OAuth client.
type Client struct {
	ID       string
	Metadata ClientMetadata
	// SecretHash is the hash of the client's secret; the zero hash for a public client.
	SecretHash TokenHash
	// Static clients stand in the configuration: their operator vouches for them.
	Static    bool
	CreatedAt time.Time
	UsedAt    time.Time
}

// Public tells whether the client has no secret that it could prove itself with.
func (c Client) Public() bool { return c.Metadata.AuthMethod == AuthNone }

// Grants tells whether the client registered for a grant type.
func (c Client) Grants(grantType string) bool {
	return slices.Contains(c.Metadata.GrantTypes, grantType)
}

// DeviceName is the name that a new device of the client gets: clients cannot send one themselves (TOK-20).
func (c Client) DeviceName() string {
	if c.Metadata.Name != "" {
		return c.Metadata.Name
	}
	return c.Host()
}

// Host is the host of the client's address, which people know it by; the id if there is no address.
func (c Client) Host() string {
	if u, err := url.Parse(c.Metadata.URI); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return c.ID
}
