package account

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// AskRename answers GET account/sessions/name: how a device is to be called.
func (d *Door) AskRename(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	shown, err := d.renamePage(r, who, r.URL.Query().Get(sessionParam))
	if err != nil {
		return err
	}
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// renamePage returns the page for a session with a device. It returns SessionNotFound for any other (ACCT-4).
func (d *Door) renamePage(r *http.Request, who model.User, id string) (shown page.Rename, err error) {
	chosen, err := d.chosen(r, who, []string{id})
	if err != nil {
		return shown, err
	}
	if len(chosen) == 0 || chosen[0].DeviceID == "" {
		return shown, sessionNotFound()
	}
	return page.Rename{Session: chosen[0], Typed: chosen[0].DeviceName}, nil
}

// Rename answers POST account/sessions/name: a device has another name. It takes nothing from anybody, and so no fresh proof.
func (d *Door) Rename(w http.ResponseWriter, r *http.Request) error {
	path, query := "", url.Values{}
	if id := r.URL.Query().Get(sessionParam); id != "" {
		path, query = page.RenamePath, url.Values{sessionParam: {id}}
	}
	form, err := d.readForm(w, r, path, query)
	if form == nil {
		return err
	}
	_, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	err = d.Sessions.Rename(r.Context(), holder(r, who), form[sessionParam], form["name"])
	if errors.Is(err, model.InvalidParam) || errors.Is(err, model.RateLimited) {
		shown, failed := d.renamePage(r, who, form[sessionParam])
		if failed != nil {
			return failed
		}
		shown.Typed = form["name"]
		return d.refuseForm(w, r, &shown.Form, &shown, err, model.InvalidParam, model.RateLimited)
	}
	if err != nil {
		return err
	}
	return d.seeOther(w, page.AccountPath, url.Values{renamedParam: {"1"}})
}
