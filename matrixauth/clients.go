package matrixauth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Client is an OAuth client that stands in the configuration and need not register.
type Client struct {
	// ID is its client_id.
	ID string
	// Secret proves it at the token endpoint; empty for a public client.
	Secret string
	// RedirectURIs are where it may have answers sent, compared as strings.
	RedirectURIs []string
	// Name is shown to people; empty means the host of URI, or the id.
	Name string
	// URI is the address of its own page.
	URI string
	// AuthMethod is none, client_secret_basic or client_secret_post. Empty means client_secret_basic
	// with a secret, and none without.
	AuthMethod string
	// ApplicationType is web or native; empty means web.
	ApplicationType string
}

func (c Client) method() model.AuthMethod {
	switch {
	case c.AuthMethod != "":
		return model.AuthMethod(c.AuthMethod)
	case c.Secret != "":
		return model.AuthBasic
	}
	return model.AuthNone
}

func (c Client) kind() model.ApplicationType {
	if c.ApplicationType == "" {
		return model.WebApplication
	}
	return model.ApplicationType(c.ApplicationType)
}

// ClientOption returns the name by which a Problem tells an option of a client; an empty name is the client
// itself.
func ClientOption(id, name string) string { return strings.TrimSpace("client " + id + " " + name) }

func checkClients(clients []Client) (all []Problem) {
	seen := map[string]bool{}
	for _, c := range clients {
		if seen[c.ID] {
			all = append(all, Problem{ClientOption(c.ID, ""), "is there twice"})
		}
		seen[c.ID] = true
		all = append(all, c.Check()...)
	}
	return all
}

// Check returns every problem of a client.
func (c Client) Check() (all []Problem) {
	add := func(name, text string) {
		if text != "" {
			all = append(all, Problem{ClientOption(c.ID, name), text})
		}
	}
	add("", client.CheckID(c.ID))
	if kind := c.kind(); !slices.Contains(model.ApplicationTypes, kind) {
		add("application_type", fmt.Sprintf("%q is not known; write %s", kind, model.OneOf(model.ApplicationTypes)))
	}
	switch method := c.method(); {
	case !slices.Contains(model.AuthMethods, method):
		add("auth_method", fmt.Sprintf("%q is not known; write %s", method, model.OneOf(model.AuthMethods)))
	case method.Public() && c.Secret != "":
		add("auth_method", fmt.Sprintf("%s is for a client without a secret; this one has one", method))
	case !method.Public() && c.Secret == "":
		add("auth_method", fmt.Sprintf("%s needs a secret", method))
	}
	if c.Secret != "" && len(c.Secret) < bound.ClientSecretLeast {
		add("secret", fmt.Sprintf("must have %d characters or more", bound.ClientSecretLeast))
	}
	if len(c.RedirectURIs) == 0 {
		add("redirect_uri", "is missing: it is where the client has people sent back to")
	}
	for _, uri := range c.RedirectURIs {
		if problem := client.CheckRedirect(c.kind(), uri); problem != "" {
			add("redirect_uri", quoted(uri)+" "+problem)
		}
	}
	if c.URI != "" {
		if problem := client.CheckURI(c.URI); problem != "" {
			add("uri", quoted(c.URI)+" "+problem)
		}
	}
	return all
}

// quoted returns an address for a problem's text, unless it may hold a password.
func quoted(uri string) string {
	if strings.Contains(uri, "@") {
		return "the address"
	}
	return strconv.Quote(uri)
}

// staticClients returns the clients of the configuration as the domain knows them.
func (c Config) staticClients() map[string]model.Client {
	all := make(map[string]model.Client, len(c.Clients))
	for _, static := range c.Clients {
		known := model.Client{ID: static.ID, Static: true, Metadata: model.ClientMetadata{
			Name: model.PlainText(static.Name), URI: static.URI, ApplicationType: static.kind(), AuthMethod: static.method(),
			GrantTypes: model.GrantTypeNames(), ResponseTypes: model.ResponseTypes(model.GrantTypeNames()),
			RedirectURIs: slices.Clone(static.RedirectURIs),
		}}
		if static.Secret != "" {
			known.SecretHash = model.HashToken(static.Secret)
		}
		all[static.ID] = known
	}
	return all
}
