package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

var invitationStep = registerStep{
	Step: registration.Invitation{}, name: "invitation",
	show: func(_ *Door, at registerVisit) page.Page {
		shown := page.RegisterInvitation{Register: at.page, Token: at.form["token"]}
		if at.form == nil {
			// The token of a link is shown, and taken when the form is sent: who only looks at a link uses nothing up.
			if token := at.r.URL.Query().Get(tokenParam); len(token) <= bound.RegistrationToken {
				shown.Token, shown.Linked = token, token != ""
			}
		}
		if at.id != "" && at.progress.TokenID == "" && shown.Problem == "" {
			shown.Problem = model.InvitationRefused // it was used up since
		}
		return shown
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		return d.Registrations.ShowInvitation(at.r.Context(), at.visitor, at.id, at.form["token"])
	},
}
