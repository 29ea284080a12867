package account

import (
	"cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

// answerSkip is the button of who gives no address.
const answerSkip = "skip"

var emailStep = registerStep{
	Step: registration.Email{}, name: "email",
	show: func(d *Door, at registerVisit) page.Page {
		fixed := at.progress.Token.Email
		shown := page.RegisterEmail{
			Register: at.page, Email: cmp.Or(fixed, at.form["email"], at.progress.Verification.Address), Fixed: fixed != "",
			Optional: d.Registrations.Rules().Email == registration.EmailOptional && fixed == "",
		}
		return shown
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		if at.form["answer"] == answerSkip {
			return d.Registrations.SkipEmail(at.r.Context(), at.visitor, at.id)
		}
		return d.Registrations.GiveEmail(at.r.Context(), at.visitor, at.id, at.form["email"])
	},
}
