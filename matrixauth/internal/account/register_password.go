package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

var passwordStep = registerStep{
	Step: registration.Password{}, name: "password",
	show: func(d *Door, at registerVisit) page.Page {
		return page.RegisterPassword{Register: at.page, Username: at.progress.Localpart, Weak: password.ReasonOf(at.problem), MatrixID: model.MatrixID(at.progress.Localpart, d.ServerName)}
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		if at.form["password"] != at.form["repeat"] {
			return at.progress, model.NewError(model.InvalidParam)
		}
		return d.Registrations.ChoosePassword(at.r.Context(), at.visitor, at.id, at.form["password"])
	},
}
