package page

import (
	"fmt"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// Register is what all pages have on which somebody makes an account. The registration stands in the address of each form
// beside the goal.
type Register struct {
	Goal
	// Form has a problem that a page names among its own, or RateLimited, TemporarilyDown or CrossOrigin.
	Form
	// Registration is the id of the registration; empty on the first page.
	Registration string
	// SignedIn is the Matrix id of who is signed in in the browser; empty for nobody.
	SignedIn string
	// Number is which of the steps the page is, Of how many there are; both are zero where that is not told.
	Number, Of int
}

// registrationParam names the registration in addresses of pages.
const registrationParam = "registration"

// at returns a page of the registration, with its query.
func (r Register) at(path string) string {
	values := r.values()
	if r.Registration != "" {
		values.Set(registrationParam, r.Registration)
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// with adds a page's own problems to those that all have.
func (Register) with(own map[model.Code]string) map[model.Code]string {
	all := map[model.Code]string{
		model.RateLimited:     "login.limited",
		model.CrossOrigin:     "register.stale",
		model.TemporarilyDown: "register.down",
	}
	for code, text := range own {
		all[code] = text
	}
	return all
}

// steps are the pages of a registration by the names that templates have for them.
var steps = map[string]string{
	"invitation": RegisterInvitationPath, "name": RegisterNamePath, "email": RegisterEmailPath, "password": RegisterPasswordPath, "terms": RegisterTermsPath,
}

// Step returns the address of a page of a registration, by its name, for who wants to change what they typed.
func (v *view) Step(name string, r Register) (string, error) {
	path, ok := steps[name]
	if !ok {
		return "", fmt.Errorf("no page of a registration is called %q", name)
	}
	return v.Base() + r.at(path), nil
}

// To returns the address of a page, by its name, on the way to a goal.
func (v *view) To(name string, g Goal) (string, error) {
	path, err := v.Path(name)
	return path + g.query(), err
}

// values returns the goal as it stands in an address.
func (g Goal) values() url.Values {
	values := url.Values{}
	switch {
	case g.Request != "":
		values.Set("request", g.Request)
	case g.Action != "":
		values.Set("action", g.Action)
		if g.DeviceID != "" {
			values.Set("device_id", g.DeviceID)
		}
	}
	return values
}

// RegisterInvitation asks for a registration token.
type RegisterInvitation struct {
	// Register has the problem InvitationRefused too.
	Register
	// Token fills the form in: what a link had, or what was typed.
	Token string
	// Linked reports whether a link had it.
	Linked bool
}

func (RegisterInvitation) template() string { return "register_invitation" }

func (p RegisterInvitation) action() string { return p.at(RegisterInvitationPath) }

func (p RegisterInvitation) problems() map[model.Code]string {
	return p.with(map[model.Code]string{
		model.InvitationRefused: "register.invitation.refused",
		model.UserUnavailable:   "register.invitation.nameTaken",
	})
}

// RegisterName asks for the name that the Matrix id will have.
type RegisterName struct {
	// Register has the problems InvalidUsername and UserUnavailable too.
	Register
	// Username fills the form in, ServerName is what follows it in the Matrix id.
	Username, ServerName string
	// Reason says why a name was refused: "empty", "long", "characters", "digits", "underscore", "foreign", "banned" or
	// "taken"; empty if none was.
	Reason string
	// Lost is the name that somebody else has got since it was chosen; empty if none was lost.
	Lost string
}

func (RegisterName) template() string { return "register_name" }

func (p RegisterName) action() string { return p.at(RegisterNamePath) }

func (p RegisterName) problems() map[model.Code]string { return p.with(nil) }

// RegisterPassword asks for a password.
type RegisterPassword struct {
	// Register has the problems InvalidPassword, of which Weak tells more, and InvalidParam for two that differ.
	Register
	// Username is the name that was chosen, for password managers, and MatrixID what it makes.
	Username, MatrixID string
	// Weak is why a password was refused; empty if none was.
	Weak password.Reason
}

func (RegisterPassword) template() string { return "register_password" }

func (p RegisterPassword) action() string { return p.at(RegisterPasswordPath) }

func (p RegisterPassword) problems() map[model.Code]string {
	return p.with(map[model.Code]string{
		model.InvalidParam: "register.password.differ",
	})
}

// RegisterTerms asks for the operator's terms to be accepted.
type RegisterTerms struct {
	// Register has the problem MissingParam too.
	Register
	// URL is the address of the terms, Version what the form says was accepted.
	URL, Version string
}

func (RegisterTerms) template() string { return "register_terms" }

func (p RegisterTerms) action() string { return p.at(RegisterTermsPath) }

func (p RegisterTerms) problems() map[model.Code]string {
	return p.with(map[model.Code]string{model.MissingParam: "register.terms.missing"})
}

// RegisterProfile shows what the account will be, asks for a display name, and makes the account.
type RegisterProfile struct {
	// Register has the problem InvalidParam too.
	Register
	MatrixID string
	// NameFixed reports whether an invitation chose the name.
	NameFixed bool
	// DisplayName fills the form in.
	DisplayName string
	// Approval reports whether the account will wait for the operator.
	Approval bool
}

func (RegisterProfile) template() string { return "register_profile" }

func (p RegisterProfile) action() string { return p.at(RegisterProfilePath) }

func (p RegisterProfile) problems() map[model.Code]string {
	return p.with(map[model.Code]string{model.InvalidParam: "register.profile.long"})
}

// RegisterOver says that a registration cannot go on, and leads to a new one.
type RegisterOver struct{ Goal }

func (RegisterOver) template() string { return "register_over" }

// RegisterEmail asks for a mail address.
type RegisterEmail struct {
	// Register has the problems InvalidEmail, MissingParam and EmailNotAllowed.
	Register
	// Email fills the form in. Fixed reports whether an invitation chose it.
	Email string
	Fixed bool
	// Optional reports whether the person may go on without an address.
	Optional bool
}

func (RegisterEmail) template() string { return "register_email" }

func (p RegisterEmail) action() string { return p.at(RegisterEmailPath) }

func (p RegisterEmail) problems() map[model.Code]string {
	return p.with(map[model.Code]string{
		model.InvalidEmail:    "register.email.invalid",
		model.MissingParam:    "register.email.missing",
		model.EmailNotAllowed: "register.email.domain",
	})
}

// RegisterCode asks for the code that was mailed.
type RegisterCode struct {
	// Register has the problems CodeWrong, CodeOver and EmailInUse.
	Register
	// Email is where the code was sent.
	Email string
	// Again reports whether it was sent once more just now, Refused whether the address takes no mail.
	Again, Refused bool
}

func (RegisterCode) template() string { return "register_code" }

func (p RegisterCode) action() string { return p.at(RegisterCodePath) }

func (p RegisterCode) problems() map[model.Code]string {
	return p.with(map[model.Code]string{
		model.CodeWrong:  "register.code.wrong",
		model.CodeOver:   "register.code.over",
		model.EmailInUse: "register.code.taken",
	})
}

// RegisterWaiting says that an account waits for the operator, or what they decided.
type RegisterWaiting struct {
	Register
	MatrixID string
	// State is "waiting", "approved" or "rejected".
	State string
	// Mail reports whether the person is told by mail.
	Mail bool
}

func (RegisterWaiting) template() string { return "register_waiting" }
