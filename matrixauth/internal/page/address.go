package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// Address is one line of the mail addresses of an account.
type Address struct {
	ID, Address string
	// Recovery reports whether it is the one to which links go that are asked for by the name of the account.
	Recovery bool
}

// Addresses is the page with the mail addresses of an account.
type Addresses struct {
	inAddresses
	MatrixID string
	// Addresses are the addresses, MayAdd reports whether more can be added, and Changed whether something was done to them
	// just now.
	Addresses       []Address
	MayAdd, Changed bool
}

func (Addresses) template() string { return "addresses" }

// AddAddress is the page on which somebody adds a mail address to their account.
type AddAddress struct {
	inAddresses
	// Proof has the problem InvalidEmail, EmailNotAllowed, EmailOwned or TooManyEmails too.
	Proof
	// Typed is the address that was typed.
	Typed string
}

func (AddAddress) template() string { return "add_address" }

func (AddAddress) action() string { return AddAddressPath }

func (AddAddress) problems() map[model.Code]string { return addressProblems }

var addressProblems = map[model.Code]string{
	model.InvalidEmail:       "address.invalid",
	model.EmailNotAllowed:    "address.notAllowed",
	model.EmailOwned:         "address.owned",
	model.EmailInUse:         "address.inUse",
	model.TooManyEmails:      "address.tooMany",
	model.InvalidCredentials: "address.wrong",
	model.LoginRequired:      "address.late",
	model.RateLimited:        "address.limited",
	model.TemporarilyDown:    "address.down",
	model.CrossOrigin:        "address.stale",
}

// AddressCode is the page on which somebody types the code that was mailed to an address of theirs.
type AddressCode struct {
	inAddresses
	// Form has the problem CodeWrong, CodeOver, EmailInUse, RateLimited or CrossOrigin.
	Form
	// Address is where the code was sent.
	Address string
	// Over reports whether no code helps any more, Refused whether a mail server refused the mail for good, and Resent
	// whether another mail was asked for just now.
	Over, Refused, Resent bool
}

func (AddressCode) template() string { return "address_code" }

func (AddressCode) action() string { return AddressCodePath }

func (AddressCode) problems() map[model.Code]string { return addressProblems }

// OneAddress is the page on which somebody removes an address, or chooses it for recovery.
type OneAddress struct {
	inAddresses
	Proof
	Address
	// Last reports whether it is the only address of the account.
	Last bool
}

func (OneAddress) template() string { return "address" }

func (p OneAddress) action() string { return AddressPath + "?id=" + p.ID }

func (OneAddress) problems() map[model.Code]string { return addressProblems }

// addressSamples are samples of the pages about addresses.
func addressSamples() []Page {
	add := AddAddress{Proof: sampleProof(false)}
	asked, wrong := add, add
	asked.AskPassword, asked.Typed, asked.Problem = true, "alice@example.org", model.InvalidCredentials
	wrong.Typed, wrong.Problem = "alice@example", model.InvalidEmail
	code := AddressCode{Address: "alice@example.org"}
	again, over, refused := code, code, code
	again.Resent, over.Over, refused.Refused = true, true, true
	again.Problem, over.Problem = model.CodeWrong, model.CodeOver
	own := Address{ID: "01JSAMPLE0000000000000011", Address: "alice@example.org"}
	one := OneAddress{Proof: sampleProof(false), Address: own}
	last := one
	last.Last, last.Recovery, last.AskPassword = true, true, true
	own.Recovery = true
	return []Page{
		Addresses{
			MatrixID: "@alice:example.com", MayAdd: true, Changed: true,
			Addresses: []Address{own, {ID: "01JSAMPLE0000000000000012", Address: "alice.with.a.long.name@department.example.com"}},
		},
		Addresses{MatrixID: "@bob:example.com", MayAdd: true}, Addresses{MatrixID: "@bob:example.com"},
		add, asked, wrong, code, again, over, refused, one, last,
	}
}
