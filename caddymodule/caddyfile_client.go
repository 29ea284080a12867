package caddymodule

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// client reads the block of an OAuth client. Its options are known by the client's id before theirs.
func (p *parser) client(nesting int) {
	t, args := p.d.Token(), p.d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		p.at(t, "client takes an id and a block, such as: client portal { ... }")
		p.skipBlock()
		return
	}
	c := Client{ID: args[0]}
	option := matrixauth.ClientOption(c.ID, "")
	if first, twice := p.places[option]; twice {
		p.at(t, "%s is there twice, first in line %d", option, first.Line)
		p.skipBlock()
		return
	}
	p.places[option] = t
	for p.d.NextBlock(nesting) {
		p.clientOption(&c)
	}
	p.settings.Client = append(p.settings.Client, c)
}

func (p *parser) clientOption(c *Client) {
	option := matrixauth.ClientOption(c.ID, p.d.Val())
	switch p.d.Val() {
	case "secret":
		p.value(option, &c.Secret)
	case "secret_file":
		p.value(option, &c.SecretFile)
	case "redirect_uri":
		p.redirects(option, c)
	case "name":
		p.value(option, &c.Name)
	case "uri":
		p.value(option, &c.URI)
	case "auth_method":
		p.value(option, &c.AuthMethod)
	case "application_type":
		p.value(option, &c.ApplicationType)
	default:
		p.unknown("client", "secret, secret_file, redirect_uri, name, uri, auth_method and application_type")
	}
}

// redirects reads redirect URIs: several in a line, in several lines, or both.
func (p *parser) redirects(option string, c *Client) {
	t := p.d.Token()
	if _, again := p.places[option]; !again {
		p.places[option] = t
	}
	args := p.args(option)
	if len(args) == 0 {
		p.at(t, "%s takes addresses", option)
	}
	c.RedirectURI = append(c.RedirectURI, args...)
}

// judgeClients checks what can be checked of the clients before anything runs.
func (p *parser) judgeClients() {
	for _, c := range p.settings.Client {
		prefix := matrixauth.ClientOption(c.ID, "") + " "
		p.judgeSecret(prefix, c.Secret, c.SecretFile)
		itself := p.place(matrixauth.ClientOption(c.ID, ""))
		for _, problem := range c.known().Check() {
			if problem.Option == matrixauth.ClientOption(c.ID, "") && strings.Contains(c.ID, "{") {
				continue
			}
			place, found := p.places[problem.Option]
			if !found {
				place = itself
			}
			p.at(place, "%s", problem)
		}
	}
}

// known is the client as far as it is known without its placeholders: what holds one stands as
// something that nothing is wrong with.
func (c Client) known() matrixauth.Client {
	const secret, uri = "a secret that comes later", "https://later.example"
	unless := func(value, otherwise string) string {
		if strings.Contains(value, "{") {
			return otherwise
		}
		return value
	}
	k := matrixauth.Client{
		ID: c.ID, Secret: unless(c.Secret, secret), Name: c.Name, URI: unless(c.URI, uri),
		AuthMethod: unless(c.AuthMethod, ""), ApplicationType: unless(c.ApplicationType, "native"),
	}
	if c.SecretFile != "" {
		k.Secret = secret
	}
	for _, redirect := range c.RedirectURI {
		k.RedirectURIs = append(k.RedirectURIs, unless(redirect, uri))
	}
	return k
}
