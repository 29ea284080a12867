package account

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

var nameStep = registerStep{
	Step: registration.Name{}, name: "name",
	show: func(d *Door, at registerVisit) page.Page {
		shown := page.RegisterName{
			Register: at.page, ServerName: d.ServerName, Username: at.progress.Localpart, Lost: at.progress.LostLocalpart,
			Reason: string(registration.NameReasonOf(at.problem)),
		}
		switch {
		case at.form != nil:
			shown.Username = at.form["username"]
		case at.id == "" && at.asked != nil:
			if hint := d.prefill(at.asked.LoginHint); !strings.Contains(hint, "@") {
				shown.Username = hint
			}
		}
		return shown
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		return d.Registrations.ChooseName(at.r.Context(), at.visitor, at.id, at.form["username"])
	},
}
