package account

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// The sessions that are to be signed out: sessionParam names one of an app, and more than once in an address several;
// browserParam one of a browser. selectedField has those of several apps in a form.
const (
	sessionParam  = "session"
	browserParam  = "browser"
	selectedField = "sessions"
)

// AskEndSession answers GET account/sessions/end: it says what is lost, and asks (ACCT-5). Of several sessions those that are
// over, or somebody else's, are left out without a word (ACCT-4).
func (d *Door) AskEndSession(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if query.Has(browserParam) {
		return d.askEndBrowser(w, r, query.Get(browserParam))
	}
	signedIn, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	asked := query[sessionParam]
	chosen, err := d.chosen(r, who, asked)
	if err != nil {
		return err
	}
	if len(chosen) == 0 && len(asked) == 1 {
		return sessionNotFound()
	}
	if len(chosen) == 0 { // nothing was ticked, or all of it is signed out already
		return d.seeOther(w, page.AccountPath, nil)
	}
	proof := d.proof(signedIn, who)
	proof.Problem = staleProblem(r)
	if len(chosen) == 1 {
		return d.Pages.Render(w, r, http.StatusOK, page.EndSession{Session: chosen[0], Proof: proof})
	}
	return d.Pages.Render(w, r, http.StatusOK, page.EndSelected{Sessions: chosen, Proof: proof})
}

// chosen returns the live sessions of a user's apps that have one of some ids.
func (d *Door) chosen(r *http.Request, who model.User, ids []string) ([]page.Session, error) {
	all, err := d.sessions(r.Context(), who, d.named(r.Context(), d.Pages.Language(r, "")))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s page.Session) bool { return !slices.Contains(ids, s.ID) }), nil
}

func (d *Door) askEndBrowser(w http.ResponseWriter, r *http.Request, id string) error {
	signedIn, who, ok, err := d.owner(w, r, browsersGoal)
	if !ok {
		return err
	}
	shown, err := d.endBrowserPage(r, signedIn, who, id)
	if err != nil {
		return err
	}
	if shown.Current {
		return d.seeOther(w, page.BrowsersPath, nil) // it has a button of its own there
	}
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// endBrowserPage returns the page for a live browser session of a user. It returns SessionNotFound for any other.
func (d *Door) endBrowserPage(r *http.Request, signedIn model.BrowserSession, who model.User, id string) (shown page.EndBrowser, err error) {
	all, err := d.browsers(r.Context(), signedIn)
	if err != nil {
		return shown, err
	}
	at := slices.IndexFunc(all, func(s page.Session) bool { return s.ID == id })
	if at < 0 {
		return shown, sessionNotFound()
	}
	return page.EndBrowser{Session: all[at], Proof: d.proof(signedIn, who)}, nil
}

// EndSession answers POST account/sessions/end: it signs out one session of the user, of an app or of
// a browser, or several of apps. All but the own browser take a password that was given a moment ago: whoever finds a browser
// signed in must not take the person's devices from them (ACCT-6, SESS-5).
func (d *Door) EndSession(w http.ResponseWriter, r *http.Request) error {
	path, query := "", url.Values{}
	for _, name := range []string{sessionParam, browserParam} {
		if values := r.URL.Query()[name]; len(values) > 0 {
			path, query[name] = page.EndSessionPath, values
		}
	}
	form, err := d.readForm(w, r, path, query)
	switch {
	case form == nil:
		return err
	case form[browserParam] != "":
		return d.endBrowser(w, r, form)
	case form[selectedField] != "":
		return d.endSelected(w, r, form)
	}
	return d.endOne(w, r, form)
}

func (d *Door) endOne(w http.ResponseWriter, r *http.Request, form map[string]string) error {
	signedIn, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	chosen, err := d.chosen(r, who, []string{form[sessionParam]})
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		return sessionNotFound()
	}
	shown := page.EndSession{Session: chosen[0], Proof: d.proof(signedIn, who)}
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseProof(w, r, &shown.Proof, &shown, err)
	}
	if err := d.Sessions.EndOwn(r.Context(), holder(r, who), shown.ID); err != nil {
		return err
	}
	return d.seeOther(w, page.AccountPath, url.Values{endedParam: {"1"}})
}

// endSelected signs out several apps at once. Those that are over are what the person wants them to be.
func (d *Door) endSelected(w http.ResponseWriter, r *http.Request, form map[string]string) error {
	signedIn, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	ids := strings.Fields(form[selectedField])
	chosen, err := d.chosen(r, who, ids)
	if err != nil {
		return err
	}
	if len(chosen) > 0 {
		shown := page.EndSelected{Sessions: chosen, Proof: d.proof(signedIn, who)}
		if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
			return d.refuseProof(w, r, &shown.Proof, &shown, err)
		}
		if _, err := d.Sessions.EndSomeOwn(r.Context(), holder(r, who), ids); err != nil {
			return err
		}
	}
	return d.seeOther(w, page.AccountPath, url.Values{endedParam: {endedAll}})
}

func (d *Door) endBrowser(w http.ResponseWriter, r *http.Request, form map[string]string) error {
	signedIn, who, ok, err := d.owner(w, r, browsersGoal)
	if !ok {
		return err
	}
	shown, err := d.endBrowserPage(r, signedIn, who, form[browserParam])
	if err != nil {
		return err
	}
	if !shown.Current {
		if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
			return d.refuseProof(w, r, &shown.Proof, &shown, err)
		}
	}
	if err := d.Browsers.EndOwn(r.Context(), holder(r, who), shown.ID); err != nil {
		return err
	}
	return d.seeOther(w, page.BrowsersPath, url.Values{endedParam: {"1"}})
}
