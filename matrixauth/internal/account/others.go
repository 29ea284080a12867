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
	_, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	shown := page.EndOthers{Apps: what == whatApps}
	if shown.Apps {
		live, err := d.Sessions.Live(r.Context(), who.ID)
		if err != nil {
			return err
		}
		shown.Number = len(live)
	} else {
		live, err := d.Browsers.List(r.Context(), who.ID)
		if err != nil {
			return err
		}
		shown.Number = len(live) - 1 // without the one that asks
	}
	if shown.Number < 1 {
		return d.seeOther(w, page.AccountPath, nil)
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// EndOthers answers POST account/sessions/end-others (ACCT-12). Doing it again changes nothing.
func (d *Door) EndOthers(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if err != nil {
		return err
	}
	if err := checkWhat(form[whatParam]); err != nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	if form[whatParam] == whatApps {
		_, err = d.Sessions.EndAllOwn(r.Context(), holder(r, who))
	} else {
		_, err = d.Browsers.EndOthers(r.Context(), holder(r, who), signedIn.ID)
	}
	if err != nil {
		return err
	}
	return d.seeOther(w, page.AccountPath, url.Values{endedParam: {endedAll}})
}
