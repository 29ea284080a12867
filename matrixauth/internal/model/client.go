package model

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ApplicationType says where a client runs; it decides which redirect URIs it may have (REG-8..15).
type ApplicationType string

// The application types of OpenID Connect Dynamic Client Registration section 2.
const (
	WebApplication    ApplicationType = "web"
	NativeApplication ApplicationType = "native"
)

// ApplicationTypes lists the application types.
var ApplicationTypes = []ApplicationType{WebApplication, NativeApplication}

// AuthMethod says how a client proves itself at the token endpoint (RFC 7591 section 2).
type AuthMethod string

// The methods of client authentication that we have.
const (
	AuthNone  AuthMethod = "none"
	AuthBasic AuthMethod = "client_secret_basic"
	AuthPost  AuthMethod = "client_secret_post"
)

// AuthMethods lists the methods of client authentication, in the order of the metadata.
var AuthMethods = []AuthMethod{AuthNone, AuthBasic, AuthPost}

// Public reports whether the method is that of clients that cannot prove themselves.
func (m AuthMethod) Public() bool { return m == AuthNone }

// ProvingAuthMethods returns the methods by which a client proves itself.
func ProvingAuthMethods() []AuthMethod {
	return slices.DeleteFunc(slices.Clone(AuthMethods), AuthMethod.Public)
}

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
	// Localized holds the members with a language behind a "#", such as "client_name#de". In JSON they
	// stand among the others.
	Localized map[string]string `json:"-"`
}

// members is ClientMetadata without its methods.
type members ClientMetadata

// MarshalJSON writes the localized members beside the others.
func (m ClientMetadata) MarshalJSON() ([]byte, error) {
	text, err := MarshalText(members(m))
	out := []byte(text)
	if err != nil || len(m.Localized) == 0 {
		return out, err
	}
	localized, err := MarshalText(m.Localized)
	if err != nil {
		return nil, err
	}
	out[len(out)-1] = ','
	return append(out, localized[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *ClientMetadata) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*members)(m)); err != nil {
		return err
	}
	all := map[string]any{}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	m.Localized = nil
	for name, value := range all {
		text, ok := value.(string)
		if !ok || !strings.Contains(name, "#") {
			continue
		}
		if m.Localized == nil {
			m.Localized = map[string]string{}
		}
		m.Localized[name] = text
	}
	return nil
}

// localized returns a member in a language: the very language tag, or else a broader one, so that de-AT
// gets what is said in de, or else what is said in none.
func (m ClientMetadata) localized(member, language, otherwise string) string {
	for tag := language; tag != ""; {
		for name, value := range m.Localized {
			if strings.EqualFold(name, member+"#"+tag) {
				return value
			}
		}
		tag = tag[:max(0, strings.LastIndexByte(tag, '-'))]
	}
	return otherwise
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
	// UsedAt is the time of its last use or registration, ProvenAt that of the first consent of anybody to
	// it; zero before.
	UsedAt   time.Time
	ProvenAt time.Time
	// Network is the site from which it registered last (see Site); empty once it is proven.
	Network string
}

// Proven reports whether anybody trusted the client: an operator, or a user who consented. Anybody can
// register any other.
func (c Client) Proven() bool { return c.Static || !c.ProvenAt.IsZero() }

// Name returns the client's name for a person who reads a language. A client that gave none is known by its
// host, and else by its id. So is one that nobody vouches for and whose name is an address that is not its
// own: people take that for who it is.
func (c Client) Name(language string) string {
	return c.nameOrHost(c.Metadata.localized("client_name", language, c.Metadata.Name))
}

func (c Client) nameOrHost(name string) string {
	if name == "" || !c.Static && namesAnother(name, c.Host()) {
		return c.Host()
	}
	return name
}

// TOSURI returns the address of the client's terms of service in a language; empty if it gave none.
func (c Client) TOSURI(language string) string {
	return c.Metadata.localized("tos_uri", language, c.Metadata.TOSURI)
}

// PolicyURI returns the address of the client's privacy policy in a language; empty if it gave none.
func (c Client) PolicyURI(language string) string {
	return c.Metadata.localized("policy_uri", language, c.Metadata.PolicyURI)
}

// Public reports whether the client has no secret that it could prove itself with.
func (c Client) Public() bool { return c.Metadata.AuthMethod.Public() }

// MayUse reports whether the client may use a grant type: it registered for it, or everybody may.
func (c Client) MayUse(grantType string) bool {
	g, known := FindGrantType(grantType)
	return known && (g.Unregistered || slices.Contains(c.Metadata.GrantTypes, grantType))
}

// DeviceName returns the name that a new device of the client gets: clients cannot send one themselves (TOK-20).
func (c Client) DeviceName() string { return c.nameOrHost(c.Metadata.Name) }

// Host returns the host of the client's address, which people know it by; the id if there is no address.
func (c Client) Host() string {
	if u, err := url.Parse(c.Metadata.URI); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return c.ID
}

// NewClientSecret makes a secret of 260 random bits, in letters that no encoding changes (CAUTH-5).
func NewClientSecret() string { return rand.Text() + rand.Text() }
