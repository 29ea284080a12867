package matrixauth

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

// Registration says who can make an account of their own, and what they are asked for.
type Registration struct {
	// Mode is "off", "open" or "token"; empty is off.
	Mode string
	// Email is "required", "optional" or "off"; empty is optional where mail is configured, and off where it is not.
	Email string
	// Terms are the address of the terms that people have to accept, and what their version is called; without a version
	// the address stands for it. None are empty.
	Terms []string
	// Names are the names that people can choose.
	Names RegistrationNames
	// EmailDomains are the domains of addresses that people can register with.
	EmailDomains RegistrationDomains
	// Approval has new accounts wait for an operator.
	Approval bool
}

// RegistrationNames are the names that people can choose. Banned ones count before allowed ones; if none is allowed by
// name, all others are.
type RegistrationNames struct {
	Banned, BannedPrefix, BannedRegex    []string
	Allowed, AllowedPrefix, AllowedRegex []string
}

// RegistrationDomains are domains of mail addresses, in which * stands for one label and ** for one or several. Banned ones
// count before allowed ones; if none is allowed by name, all others are.
type RegistrationDomains struct{ Banned, Allowed []string }

// problems returns what is wrong with the registration of a configuration.
func (r Registration) problems(c Config) (all []Problem) {
	add := func(option, text string) {
		if text != "" {
			all = append(all, Problem{option, text})
		}
	}
	switch registration.Mode(r.Mode) {
	case "", registration.Off, registration.Open, registration.ByToken:
	default:
		add("registration", strconv.Quote(r.Mode)+" is not known; write off, open or token")
	}
	if c.Kind == SynapseReadOnly && r.rules(c).On() {
		add("registration", "nothing is written to a homeserver of kind synapse_read_only, so nobody can register; write registration off")
	}
	switch registration.EmailRule(r.Email) {
	case "", registration.EmailOff, registration.EmailOptional, registration.EmailRequired:
	default:
		add("registration email", strconv.Quote(r.Email)+" is not known; write required, optional or off")
	}
	if email := registration.EmailRule(r.Email); (email == registration.EmailOptional || email == registration.EmailRequired) && !c.Mail.on() {
		add("registration email", "an address is proven by mail, which is not configured; write a mail block, or email off")
	}
	add("registration terms", r.checkTerms())
	for option, patterns := range map[string][]string{"banned_regex": r.Names.BannedRegex, "allowed_regex": r.Names.AllowedRegex} {
		for _, pattern := range patterns {
			if _, err := registration.CompileName(pattern); err != nil {
				add("registration names "+option, strconv.Quote(pattern)+" is not a regular expression of Go: "+err.Error())
			}
		}
	}
	for option, patterns := range map[string][]string{"banned": r.EmailDomains.Banned, "allowed": r.EmailDomains.Allowed} {
		for _, pattern := range patterns {
			if _, err := registration.CheckDomainPattern(pattern); err != nil {
				add("registration email_domains "+option, strconv.Quote(pattern)+" is no domain: "+err.Error())
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Problem) int { return strings.Compare(a.Option, b.Option) })
	return all
}

func (r Registration) checkTerms() string {
	switch {
	case len(r.Terms) == 0:
		return ""
	case len(r.Terms) > 2:
		return "takes an address and a version, such as https://example.com/terms 2026-11"
	case len(r.Terms) == 2 && (len([]rune(r.Terms[1])) > bound.TermsVersion || strings.ContainsFunc(r.Terms[1], unicode.IsControl)):
		return "a version has at most " + strconv.Itoa(bound.TermsVersion) + " characters, and is one line"
	}
	return textOf(page.CheckLink(r.Terms[0], false))
}

// rules returns the rules of a configuration that has no problems.
func (r Registration) rules(c Config) registration.Rules {
	rules := registration.Rules{Mode: registration.Mode(r.Mode), Email: registration.EmailRule(r.Email), Approval: r.Approval}
	switch {
	case !c.Mail.on():
		rules.Email = registration.EmailOff
	case rules.Email == "":
		rules.Email = registration.EmailOptional
	}
	if rules.Mode == "" {
		rules.Mode = registration.Off
	}
	if len(r.Terms) > 0 {
		rules.TermsURL, rules.TermsVersion = r.Terms[0], r.Terms[len(r.Terms)-1]
	}
	rules.Names.Banned = patterns(r.Names.Banned, r.Names.BannedPrefix, r.Names.BannedRegex)
	rules.Names.Allowed = patterns(r.Names.Allowed, r.Names.AllowedPrefix, r.Names.AllowedRegex)
	rules.Domains = registration.Domains{Banned: domains(r.EmailDomains.Banned), Allowed: domains(r.EmailDomains.Allowed)}
	return rules
}

func patterns(exact, prefixes, expressions []string) (p registration.Patterns) {
	for _, name := range exact {
		p.Exact = append(p.Exact, strings.ToLower(name))
	}
	for _, prefix := range prefixes {
		p.Prefixes = append(p.Prefixes, strings.ToLower(prefix))
	}
	for _, expression := range expressions {
		if e, err := registration.CompileName(expression); err == nil {
			p.Expressions = append(p.Expressions, e)
		}
	}
	return p
}

func domains(patterns []string) (all []string) {
	for _, pattern := range patterns {
		if plain, err := registration.CheckDomainPattern(pattern); err == nil {
			all = append(all, plain)
		}
	}
	return all
}
