package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

// profileStep is answered by CompleteRegistration.
var profileStep = registerStep{
	Step: registration.Profile{}, name: "profile",
	show: func(d *Door, at registerVisit) page.Page {
		shown := page.RegisterProfile{
			Register: at.page, MatrixID: model.MatrixID(at.progress.Localpart, d.ServerName), NameFixed: at.progress.Token.Localpart != "",
			DisplayName: at.progress.DisplayName, Approval: d.Registrations.Rules().Approval,
		}
		if at.form != nil {
			shown.DisplayName = at.form["display_name"]
		}
		return shown
	},
}
