package caddymodule

import (
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// check checks what can be checked before anything runs. Values with placeholders are checked when
// the configuration is loaded.
func (p *parser) check() {
	s := p.settings
	later := map[string]bool{}
	eachText(reflect.ValueOf(&s).Elem(), "", func(option string, text *string) {
		later[option] = later[option] || hasPlaceholder(*text)
	})
	for _, problem := range s.config().Validate() {
		// Files may be there again when the configuration is loaded, or may be kept from who loads it.
		if !later[problem.Option] && (validating() || !dispensable(problem.Option)) {
			p.at(p.place(problem.Option), "%s: %s", problem.Option, problem.Text)
		}
	}
	p.checkDatabase()
	p.checkSecret("", s.Matrix.secretOptions())
	p.checkSecret("mail ", s.Mail.secretOptions())
	if problem := s.Mail.credentials(); problem.Text != "" {
		p.at(p.place(problem.Option), "%s", problem)
	}
	p.checkClients()
	if s.InternalListen.off() {
		return
	}
	for _, address := range s.InternalListen {
		if hasPlaceholder(address) {
			continue
		}
		if err := checkListen(address); err != nil {
			p.at(p.place("internal_listen"), "internal_listen: %v", err)
		}
	}
}

// hasPlaceholder reports whether a text means something only once it is replaced.
func hasPlaceholder(text string) bool { return strings.Contains(text, "{") }

// checkDatabase checks the path of the database, and its place if that is asked for.
func (p *parser) checkDatabase() {
	path := p.settings.Database
	if hasPlaceholder(path) {
		return
	}
	if path == "" {
		path = ownDatabase()
	}
	err := checkDatabase(path)
	if err == nil && validating() {
		err = matrixauth.ExamineDatabase(path)
	}
	if err != nil {
		p.at(p.place("database"), "database: %v", err)
	}
}

// checkSecret checks what two options say of one secret. prefix stands before the options' names.
func (p *parser) checkSecret(prefix string, o secretOptions) {
	name, byFile := prefix+o.name, prefix+o.name+"_file"
	if o.secret != "" && o.file != "" {
		p.at(p.place(byFile), "%s and %s_file are both there; one of them is enough", name, o.name)
	}
	if o.file == "" || hasPlaceholder(o.file) || !validating() {
		return
	}
	if _, err := readSecret(o.file); err != nil {
		p.at(p.place(byFile), "%s: %v", byFile, err)
	}
}

// place returns where an option stands, or where the directive does if it is missing.
func (p *parser) place(option string) caddyfile.Token {
	if t, ok := p.places[option]; ok {
		return t
	}
	return p.start
}

// first is what the first site with settings left for the others to be compared with.
type first struct {
	settings Settings
	start    caddyfile.Token
}

// compare makes sure that all sites mean the same instance.
func (p *parser) compare(state map[string]any) {
	const key = "matrix_auth"
	known, ok := state[key].(first)
	if !ok {
		state[key] = first{p.settings, p.start}
		return
	}
	if !reflect.DeepEqual(known.settings, p.settings) {
		p.at(p.start, "these settings differ from those of matrix_auth at %s:%d; there is one instance, so write the settings in one site and a bare matrix_auth in the others",
			known.start.File, known.start.Line)
	}
}

// checkClients checks what can be checked of the clients before anything runs.
func (p *parser) checkClients() {
	for _, c := range p.settings.Client {
		prefix := matrixauth.ClientOption(c.ID, "") + " "
		p.checkSecret(prefix, c.secretOptions())
		itself := p.place(matrixauth.ClientOption(c.ID, ""))
		for _, problem := range c.known().Check() {
			if problem.Option == matrixauth.ClientOption(c.ID, "") && hasPlaceholder(c.ID) {
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

// known returns the client as far as it is known without its placeholders: what holds one stands as
// something that nothing is wrong with.
func (c Client) known() matrixauth.Client {
	const secret, uri = "a secret that comes later", "https://later.example"
	unless := func(value, otherwise string) string {
		if hasPlaceholder(value) {
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
