package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

// answerAgain is the button of who wants the code once more.
const answerAgain = "again"

var codeStep = registerStep{
	Step: registration.Code{}, name: "code",
	show: func(_ *Door, at registerVisit) page.Page {
		return page.RegisterCode{
			Register: at.page, Email: at.progress.Verification.Address, Again: at.progress.Verification.Mails > 1,
			Refused: !at.progress.Verification.RefusedAt.IsZero(),
		}
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		if at.form["answer"] == answerAgain {
			return d.Registrations.SendCodeAgain(at.r.Context(), at.visitor, at.id)
		}
		return d.Registrations.ProveEmail(at.r.Context(), at.visitor, at.id, at.form["code"])
	},
}
