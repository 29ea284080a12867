package registration

// Mode says who can register.
type Mode string

// The modes of registration, by their names in the configuration.
const (
	// Off lets nobody register: operators make the accounts.
	Off Mode = "off"
	// Open lets everybody register.
	Open Mode = "open"
	// ByToken lets those register who have a registration token.
	ByToken Mode = "token"
)

// EmailRule says whether an address is asked for.
type EmailRule string

// The rules for addresses, by their names in the configuration.
const (
	EmailOff      EmailRule = "off"
	EmailOptional EmailRule = "optional"
	EmailRequired EmailRule = "required"
)

// Rules are what a configuration says about registration.
type Rules struct {
	Mode Mode
	// Email says whether an address is asked for. Without mail it is EmailOff.
	Email EmailRule
	// TermsURL is the address of the terms that people have to accept, TermsVersion what is kept of that; both are
	// empty if there are none.
	TermsURL, TermsVersion string
	// Names are the names that can be chosen, Domains those of mail addresses.
	Names   Names
	Domains Domains
	// Approval has complete registrations wait for an operator.
	Approval bool
}

// On reports whether anybody can register.
func (r Rules) On() bool { return r.Mode == Open || r.Mode == ByToken }
