package caddymodule

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"

// Registration says who can make an account of their own, and what they are asked for.
type Registration struct {
	// `off`, `open` or `token`, which asks for an invitation.
	Mode string `json:"mode,omitempty" caddyfile:"argument"`

	// Whether a mail address is asked for: `required`, `optional` or `off`.
	// Default: `optional` where mail is configured, `off` where it is not.
	Email string `json:"email,omitempty"`

	// The address of the terms that people have to accept, and what their version is called. Default: none; without a
	// version, the address.
	Terms Words `json:"terms,omitempty"`

	// The names that people can choose. Default: all.
	Names RegistrationNames `json:"names,omitzero"`

	// The domains of mail addresses that people can register with. Default: all.
	EmailDomains RegistrationDomains `json:"email_domains,omitzero"`

	// Has new accounts wait until an operator approves them.
	Approval bool `json:"approval,omitempty"`
}

// RegistrationNames are the names that people can choose. Banned ones count before allowed ones.
type RegistrationNames struct {
	// Names that nobody can choose.
	Banned []string `json:"banned,omitempty" caddyfile:"lines"`

	// What no name can begin with.
	BannedPrefix []string `json:"banned_prefix,omitempty" caddyfile:"lines"`

	// Regular expressions that no whole name can match.
	BannedRegex []string `json:"banned_regex,omitempty" caddyfile:"lines"`

	// Names that can be chosen. With any of these three, all others cannot.
	Allowed []string `json:"allowed,omitempty" caddyfile:"lines"`

	// What names can begin with.
	AllowedPrefix []string `json:"allowed_prefix,omitempty" caddyfile:"lines"`

	// Regular expressions that a whole name can match.
	AllowedRegex []string `json:"allowed_regex,omitempty" caddyfile:"lines"`
}

// RegistrationDomains are domains, in which `*` stands for one label and `**` for one or several. Banned ones count before
// allowed ones.
type RegistrationDomains struct {
	// Domains that nobody can register with.
	Banned []string `json:"banned,omitempty" caddyfile:"lines"`

	// Domains that people can register with. With any of these, no others.
	Allowed []string `json:"allowed,omitempty" caddyfile:"lines"`
}

// config returns the configuration of registration that settings make.
func (r Registration) config() matrixauth.Registration {
	return matrixauth.Registration{
		Mode: r.Mode, Email: r.Email, Terms: r.Terms, Names: matrixauth.RegistrationNames(r.Names),
		EmailDomains: matrixauth.RegistrationDomains(r.EmailDomains), Approval: r.Approval,
	}
}
