package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// Settings are the settings of the one instance that a configuration has. Any site's handler may
// bear them; the handlers of other sites leave them out and join.
type Settings struct {
	// The public address of the site, https except on loopback. It may have a path. Required.
	Issuer string `json:"issuer,omitempty"`

	// The homeserver.
	Matrix Homeserver `json:"matrix,omitzero"`

	// The SQLite file. Default: `matrix_auth/matrix_auth.db` in Caddy's data directory.
	Database string `json:"database,omitempty"`

	// The addresses on which the homeserver reaches us, or `off`.
	// Default: `127.0.0.1:8080` and `[::1]:8080`.
	InternalListen []string `json:"internal_listen,omitempty"`

	// The life of access tokens that can be refreshed. Default: 5m.
	AccessTokenLifetime caddy.Duration `json:"access_token_lifetime,omitempty"`

	// The limits of password attempts.
	LoginLimit LoginLimit `json:"login_limit,omitzero"`

	// The OAuth clients that need not register.
	Client []Client `json:"client,omitempty"`

	// Lets clients register http addresses on loopback, for development.
	AllowHTTPClients bool `json:"allow_http_clients,omitempty"`

	// Registrations of OAuth clients from one network. Default: 60, then 20 per minute.
	RegistrationLimit Rate `json:"registration_limit,omitzero"`
	// RefreshLimit bounds the refreshes of one session.
	RefreshLimit Rate `json:"refresh_limit,omitzero"`

	// How pages look.
	Branding Branding `json:"branding,omitzero"`

	// A folder with files that replace templates, texts or the stylesheet of pages.
	Templates string `json:"templates,omitempty"`
}

// Branding is how pages look.
type Branding struct {
	// The name on every page. Default: the homeserver's server_name.
	Name string `json:"name,omitempty"`

	// The path of a picture: .svg, .png, .jpg, .webp or .gif. Default: a mark with the name's first letter.
	Logo string `json:"logo,omitempty"`

	// The accent colour as `rrggbb`. Default: a green.
	Accent string `json:"accent,omitempty"`

	// The address of the terms of service, linked at the foot of every page and told to clients. Default: none.
	Terms string `json:"terms,omitempty"`

	// The address of the privacy policy, linked at the foot of every page and told to clients. Default: none.
	Privacy string `json:"privacy,omitempty"`

	// The address of the imprint, linked at the foot of every page. Default: none.
	Imprint string `json:"imprint,omitempty"`

	// Where people get help, linked at the foot of every page; a mailto address will do. Default: none.
	Help string `json:"help,omitempty"`
}

// Client is an OAuth client that need not register.
type Client struct {
	// The client_id. Required.
	ID string `json:"id,omitempty"`

	// The secret of a confidential client. Use a placeholder such as `{env.PORTAL_SECRET}` or
	// `{file./path}`, as a literal secret would be part of the stored configuration.
	Secret string `json:"secret,omitempty"`

	// A file that holds the secret, in place of it.
	SecretFile string `json:"secret_file,omitempty"`

	// Where the client may have people sent back to. Required.
	RedirectURI []string `json:"redirect_uri,omitempty"`

	// The name that people are shown. Default: the host of `uri`, or the id.
	Name string `json:"name,omitempty"`

	// The address of the client's own page.
	URI string `json:"uri,omitempty"`

	// `none`, `client_secret_basic` or `client_secret_post`.
	// Default: `client_secret_basic` with a secret, `none` without.
	AuthMethod string `json:"auth_method,omitempty"`

	// `web` (the default) or `native`.
	ApplicationType string `json:"application_type,omitempty"`
}

// Homeserver is the homeserver, under the names that matrix-authentication-service documents.
type Homeserver struct {
	// `synapse` (the default), or `synapse_read_only`, which never writes to the homeserver.
	Kind string `json:"kind,omitempty"`

	// The server_name in Synapse's configuration. Required.
	Homeserver string `json:"homeserver,omitempty"`

	// Where Synapse's client API is reached. Default: `http://localhost:8008`.
	Endpoint string `json:"endpoint,omitempty"`

	// The secret shared with Synapse. Use a placeholder such as `{env.MATRIX_SECRET}` or
	// `{file./path}`, as a literal secret would be part of the stored configuration.
	// Default: generated once, in a file beside the database.
	Secret string `json:"secret,omitempty"`

	// A file that holds the secret, in place of it.
	SecretFile string `json:"secret_file,omitempty"`
}

// LoginLimit bounds password attempts, each by a burst and by tries per minute after it.
type LoginLimit struct {
	// Attempts from one network: an IPv4 address or an IPv6 /64. Default: 20, then 12 per minute.
	Network Rate `json:"network,omitzero"`

	// Attempts at one account. Default: 10, then 2 per minute.
	Account Rate `json:"account,omitzero"`
}

// Rate is a burst, and tries per minute after it.
type Rate struct {
	Burst     int     `json:"burst,omitempty"`
	PerMinute float64 `json:"per_minute,omitempty"`
}

// listenOff is the value of InternalListen that opens no listener.
const listenOff = "off"

var defaultListen = []string{"127.0.0.1:8080", "[::1]:8080"}

// resolved are settings ready for use: placeholders replaced, defaults filled in.
type resolved struct {
	config   matrixauth.Config
	database string
	listen   []string
	// listenDefault reports whether nobody chose the addresses, so that one of them may be missing.
	listenDefault bool
	// secretFile is where the secret is kept if none was configured, beside the database. The two are empty
	// if the database is named by a placeholder that says nothing here.
	secretFile string
	// missing is what cannot be had now and may come: placeholders and files of secrets.
	missing []absence
	// unusable is what can be gone without: the operator's templates and logo, for which ours stand in.
	unusable []matrixauth.Problem
}

// unsetProblem is a problem with a placeholder that says nothing in this process. In another one's
// environment it may.
type unsetProblem struct{ matrixauth.Problem }

// onlyUnset reports whether nothing but such problems are in an error.
func onlyUnset(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(one error) bool { return !onlyUnset(one) })
	}
	var unset unsetProblem
	return errors.As(err, &unset)
}

// resolve is settle for who needs all of it: what is missing is an error too.
func (s Settings) resolve() (resolved, error) {
	r, err := s.settle()
	errs := []error{err}
	for _, p := range r.missing {
		errs = append(errs, p.said())
	}
	for _, p := range r.unusable {
		errs = append(errs, p)
	}
	return r, errors.Join(errs...)
}

// absence is an error about what cannot be had now and may come.
type absence struct {
	matrixauth.Problem
	// unset reports whether it is a placeholder that says nothing in this process.
	unset bool
}

// problems are what is missing.
func (r resolved) problems() (all []matrixauth.Problem) {
	for _, p := range r.missing {
		all = append(all, p.Problem)
	}
	return all
}

// said is the absence as an error for commands.
func (a absence) said() error {
	if a.unset {
		return unsetProblem{a.Problem}
	}
	return a.Problem
}

// settle replaces placeholders, reads secrets and judges everything. It writes nothing. The error is about
// mistakes; what a configuration without a mistake lacks at this moment is in the result.
func (s Settings) settle() (r resolved, err error) {
	replacer := caddy.NewReplacer()
	var errs []error
	var missing []absence
	text := func(option, value string) string {
		out, err := replacer.ReplaceOrErr(value, true, true)
		if err != nil {
			missing = append(missing, absence{matrixauth.Problem{Option: option, Text: err.Error()}, true})
			return ""
		}
		return out
	}
	r = resolved{config: s.config(text), database: ownDatabase(), listen: s.InternalListen}
	if s.Database != "" {
		r.database = text("database", s.Database)
	}
	if len(r.listen) == 0 {
		r.listen, r.listenDefault = defaultListen, true
	}
	if len(r.listen) == 1 && r.listen[0] == listenOff {
		r.listen = nil
	}
	for _, address := range r.listen {
		if err := checkListen(address); err != nil {
			errs = append(errs, matrixauth.Problem{Option: "internal_listen", Text: err.Error()})
		}
	}
	if r.database != "" {
		if err := checkDatabase(r.database); err != nil {
			errs = append(errs, matrixauth.Problem{Option: "database", Text: err.Error()})
		}
		r.database = filepath.Clean(r.database)
		r.secretFile = matrixauth.SecretFile(r.database)
	}
	note := func(err error) {
		var absent absence
		switch {
		case errors.As(err, &absent):
			missing = append(missing, absent)
		case err != nil:
			errs = append(errs, err)
		}
	}
	r.config.Secret, err = resolveSecret(replacer, "", s.Matrix.Secret, s.Matrix.SecretFile)
	note(err)
	for _, c := range s.Client {
		known, err := c.resolve(replacer, text)
		if note(err); err == nil {
			r.config.Clients = append(r.config.Clients, known)
		}
	}
	r.missing = missing
	return r, errors.Join(append(errs, r.judge()...)...)
}

// config is the configuration with placeholders replaced by text. Secrets and clients are not in it.
func (s Settings) config(text func(option, value string) string) matrixauth.Config {
	return matrixauth.Config{
		ServerName: text("homeserver", s.Matrix.Homeserver), Issuer: text("issuer", s.Issuer),
		Kind: matrixauth.Kind(text("kind", s.Matrix.Kind)), Endpoint: text("endpoint", s.Matrix.Endpoint),
		AccessTokenLifetime: timeOf(s.AccessTokenLifetime),
		LoginsPerNetwork:    matrixauth.Rate(s.LoginLimit.Network), LoginsPerAccount: matrixauth.Rate(s.LoginLimit.Account),
		RegistrationsPerNetwork: matrixauth.Rate(s.RegistrationLimit), RefreshesPerSession: matrixauth.Rate(s.RefreshLimit), AllowHTTPClients: s.AllowHTTPClients,
		Branding: matrixauth.Branding{
			Name: text("branding name", s.Branding.Name), Logo: text("branding logo", s.Branding.Logo), Accent: text("branding accent", s.Branding.Accent),
			Terms: text("branding terms", s.Branding.Terms), Privacy: text("branding privacy", s.Branding.Privacy),
			Imprint: text("branding imprint", s.Branding.Imprint), Help: text("branding help", s.Branding.Help),
		},
		Templates: text("templates", s.Templates),
	}.WithDefaults()
}

// judge returns the mistakes of what is there, and goes without what can be gone without.
func (r *resolved) judge() (mistakes []error) {
	for _, p := range r.config.Validate() {
		switch {
		case slices.ContainsFunc(r.missing, func(m absence) bool { return m.Option == p.Option }):
		case p.Option == "templates":
			r.unusable, r.config.Templates = append(r.unusable, p), ""
		case p.Option == "branding logo":
			r.unusable, r.config.Branding.Logo = append(r.unusable, p), ""
		default:
			mistakes = append(mistakes, p)
		}
	}
	return mistakes
}

// ownDatabase is where the database lies that no configuration names, in this process's data directory.
func ownDatabase() string {
	path := defaultDatabase(caddy.AppDataDir())
	if whole, err := filepath.Abs(path); err == nil {
		return whole // Caddy's data directory is a relative one where there is no home
	}
	return path
}

// checkDatabase wants a path that means the same file whoever asks: a service runs in another directory than
// its operator's shell.
func checkDatabase(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is relative to whatever directory Caddy runs in; write the whole path, such as /var/lib/caddy/matrix_auth.db", path)
	}
	return nil
}

// resolve replaces a client's placeholders, by replace, and reads its secret.
func (c Client) resolve(replacer *caddy.Replacer, replace func(option, value string) string) (matrixauth.Client, error) {
	text := func(option, value string) string { return replace(matrixauth.ClientOption(c.ID, option), value) }
	known := matrixauth.Client{
		ID: text("", c.ID), Name: text("name", c.Name), URI: text("uri", c.URI),
		AuthMethod: text("auth_method", c.AuthMethod), ApplicationType: text("application_type", c.ApplicationType),
	}
	for _, uri := range c.RedirectURI {
		known.RedirectURIs = append(known.RedirectURIs, text("redirect_uri", uri))
	}
	var err error
	known.Secret, err = resolveSecret(replacer, matrixauth.ClientOption(c.ID, "")+" ", c.Secret, c.SecretFile)
	return known, err
}

// resolveSecret returns a configured secret, or nothing if none is configured. prefix stands before the
// options' names in errors.
func resolveSecret(replacer *caddy.Replacer, prefix, secret, file string) (string, error) {
	if secret != "" && file != "" {
		return "", matrixauth.Problem{Option: prefix + "secret", Text: "secret and secret_file are both there; one of them is enough"}
	}
	if file != "" {
		path, err := replacer.ReplaceOrErr(file, true, true)
		if err != nil {
			return "", absence{matrixauth.Problem{Option: prefix + "secret_file", Text: err.Error()}, true}
		}
		if secret, err = readSecret(path); err != nil {
			return "", absence{matrixauth.Problem{Option: prefix + "secret_file", Text: err.Error()}, false}
		}
		return secret, nil
	}
	if secret == "" {
		return "", nil
	}
	secret, err := replacer.ReplaceOrErr(secret, true, true)
	if err != nil {
		// The replacer's error names the placeholder, not a value.
		return "", absence{matrixauth.Problem{Option: prefix + "secret", Text: err.Error()}, true}
	}
	if secret = strings.TrimSpace(secret); secret == "" {
		return "", absence{matrixauth.Problem{Option: prefix + "secret", Text: "is empty"}, false}
	}
	return secret, nil
}

// empty tells settings of a handler that joins the instance of another.
func (s Settings) empty() bool { return reflect.ValueOf(s).IsZero() }

func checkListen(address string) error {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return fmt.Errorf("%q is no address: %w", address, err)
	}
	if strings.Contains(address, "/") || parsed.Network != "tcp" || parsed.PortRangeSize() != 1 || parsed.StartPort == 0 {
		return fmt.Errorf("%q must be a host and one port, such as 127.0.0.1:8080", address)
	}
	return nil
}
