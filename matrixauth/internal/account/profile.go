package account

import (
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// savedParam marks the address of the profile after the name was changed, and removedParam after the picture was removed.
const (
	savedParam   = "saved"
	removedParam = "removed"
)

// whatAvatar in the field whatParam is the button that removes the picture.
const whatAvatar = "avatar"

// profileGoal leads to the page with what others see of an account.
var profileGoal = signin.AccountPage{Action: signin.ProfileAction}

// AskProfile answers GET account/profile. The homeserver keeps the name, and is asked each time.
func (d *Door) AskProfile(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.owner(w, r, profileGoal)
	if !ok {
		return err
	}
	query := r.URL.Query()
	shown := page.Profile{MatrixID: model.MatrixID(who.Localpart, d.ServerName), Saved: query.Has(savedParam), Removed: query.Has(removedParam)}
	found, err := d.Users.Profile(r.Context(), who)
	if err != nil {
		return d.refuseProfile(w, r, &shown, err)
	}
	shown.Known, shown.DisplayName, shown.Avatar, shown.Problem = true, found.DisplayName, found.Avatar, staleProblem(r)
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
	if form[whatParam] == whatAvatar {
		return d.removeAvatar(w, r, who)
	}
	if err := d.Users.Rename(r.Context(), holder(r, who), who, form["display_name"]); err != nil {
		shown := page.Profile{MatrixID: model.MatrixID(who.Localpart, d.ServerName), Known: true, DisplayName: form["display_name"]}
		return d.refuseProfile(w, r, &shown, err)
	}
	return d.seeOther(w, page.ProfilePath, url.Values{savedParam: {"1"}})
}

func (d *Door) removeAvatar(w http.ResponseWriter, r *http.Request, who model.User) error {
	if err := d.Users.RemoveAvatar(r.Context(), holder(r, who), who); err != nil {
		// There is no name to put into a form.
		return d.refuseProfile(w, r, &page.Profile{MatrixID: model.MatrixID(who.Localpart, d.ServerName)}, err)
	}
	return d.seeOther(w, page.ProfilePath, url.Values{removedParam: {"1"}})
}

func (d *Door) refuseProfile(w http.ResponseWriter, r *http.Request, shown *page.Profile, err error) error {
	return d.refuseForm(w, r, &shown.Form, shown, err, model.InvalidParam, model.RateLimited, model.TemporarilyDown)
}
