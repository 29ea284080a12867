package account

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// RecoverPage answers GET account/recover: whoever forgot their password asks for a link by mail.
func (d *Door) RecoverPage(w http.ResponseWriter, r *http.Request) error {
	if !d.Recoveries.Offered() {
		return model.NewError(model.NotRecognized)
	}
	query := r.URL.Query()
	shown := page.Recover{Goal: goalOf(signin.ReadGoal(query.Get)), Username: d.prefill(query.Get(hintParam))}
	if query.Has(staleParam) {
		shown.Problem = model.CrossOrigin
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// goalOf returns a goal as pages have it in their addresses, without what only its own page needs to know.
func goalOf(goal signin.Goal) page.Goal {
	switch goal := goal.(type) {
	case signin.Request:
		return page.Goal{Request: goal.ID}
	case signin.AccountPage:
		return page.Goal{Action: goal.Action, DeviceID: goal.DeviceID}
	}
	return page.Goal{}
}

// Recover answers POST account/recover. It leads to a page that says the same whatever was typed, and whoever it is
// about (MAIL-1).
func (d *Door) Recover(w http.ResponseWriter, r *http.Request) error {
	goal := signin.ReadGoal(r.URL.Query().Get)
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) && d.Recoveries.Offered() {
		query := goal.Query()
		query.Set(staleParam, "1")
		return d.seeOther(w, page.RecoverPath, query)
	}
	if err != nil {
		return err
	}
	shown := page.Recover{Goal: goalOf(goal), Username: form["username"]}
	err = d.Recoveries.Request(r.Context(), recovery.Request{Typed: shown.Username, Language: d.Pages.Language(r, ""), Source: web.SourceOf(r)})
	if err == nil {
		return d.seeOther(w, page.RecoverSentPath, goal.Query())
	}
	e := model.AsError(err)
	switch e.Code {
	case model.MissingParam, model.InvalidParam, model.RateLimited:
	default:
		return err
	}
	shown.Problem, shown.Retry = e.Code, web.SetRetryAfter(w.Header(), web.PageWire, e)
	return d.refuse(w, r, shown, err)
}

// RecoverSent answers GET account/recover/sent.
func (d *Door) RecoverSent(w http.ResponseWriter, r *http.Request) error {
	if !d.Recoveries.Offered() {
		return model.NewError(model.NotRecognized)
	}
	return d.Pages.Render(w, r, http.StatusOK, page.RecoverSent{Goal: goalOf(signin.ReadGoal(r.URL.Query().Get))})
}
