package page

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// CodeLetter has the code that proves an address.
type CodeLetter struct {
	// Code is six digits.
	Code string
	// Register reports whether the address is for a new account, and not for one that is there.
	Register bool
}

func (CodeLetter) letter() string { return "code" }

// Minutes is for how long the code counts.
func (CodeLetter) Minutes() int { return int(bound.EmailCodeLife.Minutes()) }

// TakenLetter tells the owner of an address that somebody typed it, for an account that has it already: they alone may
// learn of that (MAIL-10).
type TakenLetter struct {
	// Account is the Matrix id of the account that has the address.
	Account string
	// Register reports whether it was typed for a new account, and not for another one that is there.
	Register bool
}

func (TakenLetter) letter() string { return "taken" }

func codeSamples() []Letter {
	return []Letter{
		CodeLetter{Code: "123456", Register: true}, CodeLetter{Code: "123456"},
		TakenLetter{Account: "@alice:example.com", Register: true}, TakenLetter{Account: "@alice:example.com"},
	}
}
