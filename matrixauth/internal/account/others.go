package account

import (
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// whatParam says which sessions are meant to be signed out at once: those of all apps, or all browsers
// but the one that asks.
const (
	whatParam    = "what"
	whatApps     = "apps"
	whatBrowsers = "browsers"
)

func checkWhat(what string) error {
	if what == whatApps || what == whatBrowsers {
		return nil
	}
	return model.NewError(model.InvalidParam)
}

// AskEndOthers answers GET account/sessions/end-others: it says what is lost, and asks (ACCT-5).
func (d *Door) AskEndOthers(w http.ResponseWriter, r *http.Request) error {
	what := r.URL.Query().Get(whatParam)
	if err := checkWhat(what); err != nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, othersGoal(what))
	if !ok {
		return err
	}
	shown, err := d.endOthersPage(r, signedIn, who, what)
	if err != nil {
		return err
	}
	if shown.Number < 1 {
		return d.seeOther(w, othersPath(what), nil)
	}
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// othersGoal leads to the page that lists what is signed out, and othersPath is that page.
func othersGoal(what string) signin.AccountPage {
	if what == whatBrowsers {
		return browsersGoal
	}
	return signin.AccountPage{}
}

func othersPath(what string) string {
	if what == whatBrowsers {
		return page.BrowsersPath
	}
	return page.AccountPath
}

func (d *Door) endOthersPage(r *http.Request, signedIn model.BrowserSession, who model.User, what string) (shown page.EndOthers, err error) {
	shown = page.EndOthers{Apps: what == whatApps, Proof: d.proof(signedIn, who)}
	if shown.Apps {
		live, err := d.Sessions.Live(r.Context(), who.ID)
		shown.Number = len(live)
		return shown, err
	}
	live, err := d.Browsers.List(r.Context(), who.ID)
	shown.Number = len(live) - 1 // without the one that asks
	return shown, err
}

// EndOthers answers POST account/sessions/end-others (ACCT-12). It takes a password that was given a moment ago (ACCT-6).
// Doing it again changes nothing.
func (d *Door) EndOthers(w http.ResponseWriter, r *http.Request) error {
	path, what := "", r.URL.Query().Get(whatParam)
	if checkWhat(what) == nil {
		path = page.EndOthersPath
	}
	form, err := d.readForm(w, r, path, url.Values{whatParam: {what}})
	if form == nil {
		return err
	}
	what = form[whatParam]
	if err := checkWhat(what); err != nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, othersGoal(what))
	if !ok {
		return err
	}
	shown, err := d.endOthersPage(r, signedIn, who, what)
	if err != nil {
		return err
	}
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseProof(w, r, &shown.Proof, &shown, err)
	}
	if shown.Apps {
		_, err = d.Sessions.EndAllOwn(r.Context(), holder(r, who))
	} else {
		_, err = d.Browsers.EndOthers(r.Context(), holder(r, who), signedIn.ID)
	}
	if err != nil {
		return err
	}
	return d.seeOther(w, othersPath(what), url.Values{endedParam: {endedAll}})
}
