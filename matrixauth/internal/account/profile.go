package account

import (
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// savedParam marks the address of the profile after it was changed.
const savedParam = "saved"

// profileGoal leads to the page with what others see of an account.
var profileGoal = signin.AccountPage{Action: signin.ProfileAction}

// AskProfile answers GET account/profile. The homeserver keeps the name, and is asked each time.
func (d *Door) AskProfile(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.owner(w, r, profileGoal)
	if !ok {
		return err
	}
	shown := page.Profile{MatrixID: model.MatrixID(who.Localpart, d.ServerName), Saved: r.URL.Query().Has(savedParam)}
	found, err := d.Users.Profile(r.Context(), who)
	if err != nil {
		return d.refuseProfile(w, r, &shown, err)
	}
	shown.Known, shown.DisplayName, shown.Problem = true, found.DisplayName, staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// ChangeProfile answers POST account/profile: others see another name from now on, or none. What was typed stands in the form
// again if it was not taken.
func (d *Door) ChangeProfile(w http.ResponseWriter, r *http.Request) error {
	form, err := d.readForm(w, r, page.ProfilePath, nil)
	if form == nil {
		return err
	}
	_, who, ok, err := d.owner(w, r, profileGoal)
	if !ok {
		return err
	}
	if err := d.Users.Rename(r.Context(), holder(r, who), who, form["display_name"]); err != nil {
		shown := page.Profile{MatrixID: model.MatrixID(who.Localpart, d.ServerName), Known: true, DisplayName: form["display_name"]}
		return d.refuseProfile(w, r, &shown, err)
	}
	return d.seeOther(w, page.ProfilePath, url.Values{savedParam: {"1"}})
}

func (d *Door) refuseProfile(w http.ResponseWriter, r *http.Request, shown *page.Profile, err error) error {
	return d.refuseForm(w, r, &shown.Form, shown, err, model.InvalidParam, model.RateLimited, model.TemporarilyDown)
}
