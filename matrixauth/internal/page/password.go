package page

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// ChangePassword is the page on which somebody changes the password of their account (PW-8).
type ChangePassword struct {
	inPassword
	// Form has the problem InvalidCredentials, InvalidPassword, RateLimited, TemporarilyDown or CrossOrigin.
	Form
	// Weak says why the new password was refused, where that is the problem.
	Weak password.Reason
	// Account is the Matrix id of who is signed in, Username their localpart.
	Account, Username string
	// None reports whether the account has no password to change.
	None bool
	// Recovery reports whether a first password can be set by a link that is mailed.
	Recovery bool
	// Apps is how many apps are signed in, and Browsers how many browsers beside the one that asks.
	Apps, Browsers int
	// EndApps reports whether the box was ticked that signs the apps out too.
	EndApps bool
}

func (ChangePassword) template() string { return "change_password" }

func (ChangePassword) action() string { return PasswordPath }

func (ChangePassword) problems() map[model.Code]string {
	return map[model.Code]string{
		model.InvalidCredentials: "password.wrong",
		model.RateLimited:        "login.limited",
		model.CrossOrigin:        "password.stale",
		model.TemporarilyDown:    "password.down",
	}
}

// passwordSamples are samples of the pages about passwords.
func passwordSamples() []Page {
	alice := ChangePassword{Account: "@alice:example.com", Username: "alice", Apps: 3, Browsers: 1}
	weak, wrong, limited := alice, alice, alice
	weak.Problem, weak.Weak, weak.EndApps = model.InvalidPassword, password.FewWords, true
	wrong.Problem, wrong.Apps, wrong.Browsers = model.InvalidCredentials, 0, 0
	limited.Problem, limited.Retry = model.RateLimited, 3*time.Minute
	return []Page{alice, weak, wrong, limited, ChangePassword{Account: "@alice:example.com", None: true}, ChangePassword{Account: "@alice:example.com", None: true, Recovery: true}}
}
