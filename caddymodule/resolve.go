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

// resolve is settle for callers that need all of it: what is missing is an error too.
func (s Settings) resolve() (resolved, error) {
	r, err := s.settle()
	errs := []error{err}
	for _, p := range r.missing {
		errs = append(errs, p.asError())
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

// problems returns what is missing.
func (r resolved) problems() (all []matrixauth.Problem) {
	for _, p := range r.missing {
		all = append(all, p.Problem)
	}
	return all
}

// asError returns the absence as an error for commands.
func (a absence) asError() error {
	if a.unset {
		return unsetProblem{a.Problem}
	}
	return a.Problem
}

// settle replaces placeholders, reads secrets and checks everything. It writes nothing. The error is about
// mistakes; what a configuration without a mistake lacks at this moment is in the result.
func (s Settings) settle() (r resolved, err error) {
	replacer := caddy.NewReplacer()
	var errs []error
	expanded := s.mapTexts(func(option, text string) string {
		out, err := replacer.ReplaceOrErr(text, true, true)
		if err != nil {
			// The replacer's error names the placeholder, not a value.
			r.missing = append(r.missing, absence{matrixauth.Problem{Option: option, Text: err.Error()}, true})
			return ""
		}
		return out
	})
	r.config, r.database = expanded.config(), ownDatabase()
	errs = append(errs, r.settleListen(expanded.InternalListen))
	if s.Database != "" {
		r.database = expanded.Database
	}
	if r.database != "" {
		if err := checkDatabase(r.database); err != nil {
			errs = append(errs, matrixauth.Problem{Option: "database", Text: err.Error()})
		}
		r.database = filepath.Clean(r.database)
		r.secretFile = matrixauth.SecretFile(r.database)
	}
	r.config.Secret, err = r.secret("", s.Matrix.secretOptions(), expanded.Matrix.secretOptions())
	errs = append(errs, err)
	if problem := s.Mail.credentials(); problem.Text != "" {
		errs = append(errs, problem)
	}
	r.config.Mail.Password, err = r.secret("mail ", s.Mail.secretOptions(), expanded.Mail.secretOptions())
	errs = append(errs, err)
	for i, c := range expanded.Client {
		itself := matrixauth.ClientOption(s.Client[i].ID, "")
		known := c.withoutSecret()
		known.Secret, err = r.secret(itself+" ", s.Client[i].secretOptions(), c.secretOptions())
		if errs = append(errs, err); err == nil && !r.lacksSecret(itself+" ", "secret") {
			r.config.Clients = append(r.config.Clients, known)
		}
	}
	return r, errors.Join(append(errs, r.check()...)...)
}

// settleListen takes the addresses of the listener, or the default ones. They are needed before all else, so
// one that is not known yet is a mistake.
func (r *resolved) settleListen(expanded Addresses) error {
	r.listen = expanded
	if len(expanded) == 0 {
		r.listen, r.listenDefault = defaultListen, true
	}
	if expanded.off() {
		r.listen = nil
	}
	var errs []error
	r.missing = slices.DeleteFunc(r.missing, func(m absence) bool {
		if m.Option == "internal_listen" {
			errs = append(errs, m.asError())
		}
		return m.Option == "internal_listen"
	})
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, address := range r.listen {
		if err := checkListen(address); err != nil {
			errs = append(errs, matrixauth.Problem{Option: "internal_listen", Text: err.Error()})
		}
	}
	return errors.Join(errs...)
}

// config returns the configuration that settings make. Secrets and clients are not in it.
func (s Settings) config() matrixauth.Config {
	return matrixauth.Config{
		ServerName: s.Matrix.Homeserver, Issuer: s.Issuer, Kind: matrixauth.Kind(s.Matrix.Kind), Endpoint: s.Matrix.Endpoint,
		AccessTokenLifetime: timeOf(s.AccessTokenLifetime),
		LoginsPerNetwork:    matrixauth.Rate(s.LoginLimit.Network), LoginsPerAccount: matrixauth.Rate(s.LoginLimit.Account),
		RegistrationsPerNetwork: matrixauth.Rate(s.RegistrationLimit), RefreshesPerSession: matrixauth.Rate(s.RefreshLimit), AllowHTTPClients: s.AllowHTTPClients,
		Passwords:     s.Passwords.config(),
		PasswordHash:  s.PasswordHash,
		Backup:        matrixauth.Backups{Dir: s.Backup.Dir, Every: timeOf(s.Backup.Every), Keep: int(s.Backup.Keep)},
		Mail:          s.Mail.config(),
		Recovery:      s.Recovery,
		LegacyAccount: s.LegacyAccount,
		Branding:      matrixauth.Branding(s.Branding), Templates: s.Templates, SealFile: s.SealFile, KeyFile: s.KeyFile,
		Registration: s.Registration.config(),
	}.WithDefaults()
}

// config returns how mails are sent. The password is not in it.
func (m Mail) config() matrixauth.Mail {
	address, security := m.SMTP.parts()
	return matrixauth.Mail{
		From: m.From, ReplyTo: m.ReplyTo, SMTP: address, Security: security, User: m.User, Sendmail: string(m.Sendmail), Notices: m.Notices,
	}
}

// credentials returns what is wrong with a user and a password of which one alone is there.
func (m Mail) credentials() (problem matrixauth.Problem) {
	secret := m.Password != "" || m.PasswordFile != ""
	switch {
	case m.User != "" && !secret:
		return matrixauth.Problem{Option: "mail user", Text: "there is no password for it; write password {env.NAME}, or password_file /path/to/a/file"}
	case m.User == "" && secret:
		return matrixauth.Problem{Option: "mail password", Text: "there is no user for it; write user NAME"}
	}
	return problem
}

// dispensable reports whether ours stand in for what an option names, if it cannot be used: files may be there
// again later, and nobody's session hangs on a picture or a list.
func dispensable(option string) bool {
	return option == "templates" || option == "branding logo" || option == blocklistOption
}

// lacks reports whether the value of an option cannot be had now.
func (r *resolved) lacks(option string) bool {
	return slices.ContainsFunc(r.missing, func(m absence) bool { return m.Option == option })
}

// check returns the mistakes of what is there, and goes without what can be gone without.
func (r *resolved) check() (mistakes []error) {
	for _, p := range r.config.Validate() {
		switch {
		case r.lacks(p.Option):
		case p.Option == "templates":
			r.unusable, r.config.Templates = append(r.unusable, p), ""
		case p.Option == "branding logo":
			r.unusable, r.config.Branding.Logo = append(r.unusable, p), ""
		case p.Option == blocklistOption:
			r.unusable, r.config.Passwords.Blocklist = append(r.unusable, p), ""
		default:
			mistakes = append(mistakes, p)
		}
	}
	return mistakes
}

// ownDatabase returns where the database lies that no configuration names, in this process's data directory.
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

// withoutSecret returns a client whose placeholders are replaced, but for its secret.
func (c Client) withoutSecret() matrixauth.Client {
	return matrixauth.Client{
		ID: c.ID, Name: c.Name, URI: c.URI, AuthMethod: c.AuthMethod, ApplicationType: c.ApplicationType, RedirectURIs: c.RedirectURI,
	}
}

// secretOptions are the two ways to configure one secret: by the option name, or by a file.
type secretOptions struct{ name, secret, file string }

func (h Homeserver) secretOptions() secretOptions {
	return secretOptions{"secret", h.Secret, h.SecretFile}
}

func (c Client) secretOptions() secretOptions { return secretOptions{"secret", c.Secret, c.SecretFile} }

func (m Mail) secretOptions() secretOptions {
	return secretOptions{"password", m.Password, m.PasswordFile}
}

// secret returns a configured secret, or nothing if none is configured or it cannot be had now. written is what
// the settings say, expanded the same with placeholders replaced; prefix stands before the options' names.
func (r *resolved) secret(prefix string, written, expanded secretOptions) (string, error) {
	name := written.name
	if written.secret != "" && written.file != "" {
		return "", matrixauth.Problem{Option: prefix + name, Text: name + " and " + name + "_file are both there; one of them is enough"}
	}
	if r.lacksSecret(prefix, name) {
		return "", nil
	}
	if written.file != "" {
		secret, err := readSecret(expanded.file)
		if err != nil {
			r.missing = append(r.missing, absence{matrixauth.Problem{Option: prefix + name + "_file", Text: err.Error()}, false})
			return "", nil
		}
		return secret, nil
	}
	secret := strings.TrimSpace(expanded.secret)
	if written.secret != "" && secret == "" {
		r.missing = append(r.missing, absence{matrixauth.Problem{Option: prefix + name, Text: "is empty"}, false})
	}
	return secret, nil
}

// lacksSecret reports whether a secret is configured and cannot be had now.
func (r *resolved) lacksSecret(prefix, name string) bool {
	return r.lacks(prefix+name) || r.lacks(prefix+name+"_file")
}

// empty reports whether these are the settings of a handler that joins the instance of another.
func (s Settings) empty() bool { return reflect.ValueOf(s).IsZero() }

func checkListen(address string) error {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return fmt.Errorf("%q is not an address: %w", address, err)
	}
	if strings.Contains(address, "/") || parsed.Network != "tcp" || parsed.PortRangeSize() != 1 || parsed.StartPort == 0 {
		return fmt.Errorf("%q must be a host and one port, such as 127.0.0.1:8080", address)
	}
	return nil
}
