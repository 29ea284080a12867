package account

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// RegistrationWaiting answers GET account/register/waiting: that an account waits for the operator, or what they decided.
func (d *Door) RegistrationWaiting(w http.ResponseWriter, r *http.Request) error {
	at, ok, err := d.visit(w, r)
	if !ok {
		return err
	}
	switch at.progress.State {
	case model.RegistrationWaiting, model.RegistrationApproved, model.RegistrationRejected:
		return d.Pages.Render(w, r, http.StatusOK, page.RegisterWaiting{
			Register: at.page, MatrixID: model.MatrixID(at.progress.Localpart, d.ServerName), State: string(at.progress.State), Mail: d.Registrations.Mails(at.progress),
		})
	case model.RegistrationOpen:
		return d.leadOn(w, at)
	case model.RegistrationDone:
		return d.lead(w, at.goal, signin.Password{})
	}
	return d.seeOther(w, page.RegisterPath, at.goal.Query())
}
