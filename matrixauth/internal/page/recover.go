package page

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// Recover asks who forgot their password for an address or a name, to which a link is sent.
type Recover struct {
	Goal
	// Form has the problem MissingParam, InvalidParam, RateLimited or CrossOrigin.
	Form
	// Username fills the form in.
	Username string
}

func (Recover) template() string { return "recover" }

func (p Recover) action() string { return RecoverPath + p.query() }

func (Recover) problems() map[model.Code]string {
	return map[model.Code]string{
		model.MissingParam: "recover.missing",
		model.InvalidParam: "recover.missing",
		model.RateLimited:  "recover.limited",
		model.CrossOrigin:  "recover.expired",
	}
}

// RecoverSent says that a link is on its way if there is an account, and says it to everybody.
type RecoverSent struct{ Goal }

func (RecoverSent) template() string { return "recover_sent" }

// NewPassword asks who opened a link for recovery for a new password. The ticket goes on in the form, so that it stands in
// no address any more.
type NewPassword struct {
	// Form has the problem InvalidPassword or TemporarilyDown.
	Form
	// Weak is why a password was refused; empty if none was.
	Weak password.Reason
	// Ticket is what the link held.
	Ticket string
	// Account is the Matrix id that it is about, Username the localpart.
	Account, Username string
	// Apps is how many apps are signed in, and EndApps whether these are to be signed out.
	Apps    int
	EndApps bool
}

func (NewPassword) template() string { return "recover_password" }

func (NewPassword) action() string { return RecoverPasswordPath }

func (NewPassword) problems() map[model.Code]string {
	return map[model.Code]string{
		model.TemporarilyDown: "recover.busy",
	}
}

// RecoveryOver says that a link for recovery is not good any more.
type RecoveryOver struct {
	// Offered reports whether another one can be asked for here.
	Offered bool
}

func (RecoveryOver) template() string { return "recover_over" }

// Recovered says that a new password was set, and leads to the sign-in.
type Recovered struct {
	// Account is the Matrix id that it is about, Username the localpart.
	Account, Username string
}

func (Recovered) template() string { return "recover_done" }

// recoverySamples are the pages of a recovery.
func recoverySamples() []Page {
	return []Page{
		NewPassword{Account: "@alice:example.com", Username: "alice", Ticket: "sample", Apps: 3},
		NewPassword{Account: "@bob:example.com", Username: "bob", Ticket: "sample", Form: Form{Problem: model.InvalidPassword}, Weak: password.FewWords},
		RecoveryOver{Offered: true},
		RecoveryOver{},
		Recover{},
		Recover{Goal: Goal{Request: "01JSAMPLE0000000000000009"}, Username: "alice@example.com", Form: Form{Problem: model.RateLimited, Retry: 5 * time.Minute}},
		RecoverSent{Goal: Goal{Request: "01JSAMPLE0000000000000009"}},
		Recovered{Account: "@alice:example.com", Username: "alice"},
	}
}
