package account

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// hintParam says who most likely signs in, for who comes without a request of an app.
const hintParam = "login_hint"

// staleParam marks the address to which a form leads back that was not of this browser any more.
const staleParam = "stale"

// LoginPage answers GET account/login: the form, or the next step for those who are signed in.
func (d *Door) LoginPage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	goal := signin.ReadGoal(query.Get)
	step, err := d.SignIns.Step(r.Context(), goal, d.browser(r))
	if err != nil {
		return err
	}
	switch step.(type) {
	case signin.Password, signin.Blocked, signin.Register: // whoever is blocked may sign in as somebody else
	default:
		return d.lead(w, goal, step)
	}
	shown, err := d.loginPage(r, goal, step)
	if err != nil {
		return err
	}
	if err := d.SignIns.Shown(r.Context(), step); err != nil {
		return err
	}
	if query.Has(staleParam) {
		shown.Problem = model.CrossOrigin
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// loginPage returns the sign-in page for a goal. It returns RequestExpired if the goal is a request that is over.
func (d *Door) loginPage(r *http.Request, goal signin.Goal, step signin.Step) (shown page.Login, err error) {
	shown.Goal, shown.Recovery, shown.Registers = d.pageGoal(r, goal, step), d.Recoveries.Offered(), d.Registrations.On()
	at := step.At()
	switch goal.(type) {
	case signin.AccountPage:
		shown.Username = d.prefill(r.URL.Query().Get(hintParam))
	case signin.Request:
		if at.Pending == nil {
			return shown, model.NewError(model.RequestExpired)
		}
		asked := at.Pending.Asked
		shown.Create, shown.Admin = asked.Create && !shown.Registers, at.Pending.Administers()
		shown.Username = d.prefill(asked.LoginHint)
	}
	if p, ok := step.(signin.Password); ok && p.Again {
		// The app wants a fresh proof of who is there, who most likely is the same person.
		shown.Username, shown.Again = at.User.Localpart, true
	}
	return shown, nil
}

// prefill returns what an app's hint puts into the form: a name is shortened to how people know it here
// (AUTHZ-25).
func (d *Door) prefill(hint string) string {
	text := grant.ReadHint(hint).Text()
	if len(text) > bound.Identifier {
		return ""
	}
	if localpart, server, ok := model.ParseMatrixID(text); ok && server == d.ServerName {
		return localpart
	}
	return text
}

// Login answers POST account/login. A try that fails gives the form again, the same for every reason.
func (d *Door) Login(w http.ResponseWriter, r *http.Request) error {
	goal := signin.ReadGoal(r.URL.Query().Get)
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) {
		// Most likely the person signed in from another tab meanwhile: the address knows where to go on.
		query := goal.Query()
		query.Set(staleParam, "1")
		return d.seeOther(w, page.LoginPath, query)
	}
	if err != nil {
		return err
	}
	step, err := d.SignIns.Step(r.Context(), goal, d.browser(r))
	if err != nil {
		return err
	}
	if done, ok := step.(signin.Done); ok && done.Outcome.ID != "" {
		return d.lead(w, goal, step) // they come back to a request that they have answered
	}
	shown, err := d.loginPage(r, goal, step)
	if err != nil {
		return err
	}
	proof, err := d.authenticate(r, user.Typed(form["username"]), form["password"])
	d.Count(model.Result(err))
	if errors.Is(err, model.InvalidCredentials) || errors.Is(err, model.RateLimited) {
		e := model.AsError(err)
		web.SetRetryAfter(w.Header(), web.PageWire, e)
		shown.Problem, shown.Retry, shown.Username = e.Code, e.Retry, form["username"]
		return d.refuse(w, r, shown, err)
	}
	if err != nil {
		return d.blocked(w, r, proof.User, page.Blocked{Goal: shown.Goal}, err)
	}
	web.SetUser(r.Context(), proof.User.ID, proof.User.Localpart)
	start := browser.Start{Proof: proof.Proof, Value: model.NewBrowserValue(), Replaced: d.Cookie.Value(r), Device: proof.Device, Source: web.SourceOf(r)}
	start.Known, start.Language, start.Agent = proof.Device != "", d.Pages.Language(r, shown.UILocales), browserOf(start.Source.UserAgent)
	if start.Device == "" {
		start.Device = model.NewBrowserValue()
	}
	if start, err = d.Browsers.StartOnce(r.Context(), start); err != nil {
		return d.blocked(w, r, proof.User, page.Blocked{Goal: shown.Goal}, err)
	}
	d.Cookie.Set(w, start.Value)
	d.Devices.Put(w, r, start.Device)
	next, err := d.SignIns.Step(r.Context(), goal, signin.Browser{Value: start.Value, Source: start.Source})
	if err != nil {
		return err
	}
	return d.lead(w, goal, next)
}

// authenticate has a person prove their password, within the limits of where they are.
func (d *Door) authenticate(r *http.Request, id user.Identifier, password string) (signin.Success, error) {
	proof, err := d.SignIns.ByPassword(r.Context(), signin.Attempt{
		Identifier: id, Password: password, IP: web.ClientIP(r), UserAgent: web.SourceOf(r).UserAgent, Devices: d.Devices.Values(r), About: web.SetSignIn(r.Context()),
	})
	if err == nil {
		err = d.Users.Confirm(r.Context(), proof.User)
	}
	return proof, err
}

// Logout answers POST account/logout: the browser is signed out, and nothing else is (SESS-8). With a goal,
// or "again", it goes on to sign in as somebody else.
//
// There is no Clear-Site-Data: cookies and storage of the host are not ours alone. A client may be
// served there, and would lose its keys.
func (d *Door) Logout(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if goal := signin.ReadGoal(r.URL.Query().Get); errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) && len(goal.Query()) > 0 {
		// Most likely somebody signed in from another tab meanwhile: who it is now is not signed out, but sees so.
		step, err := d.SignIns.Step(r.Context(), goal, d.browser(r))
		if err != nil {
			return err
		}
		return d.lead(w, goal, step)
	}
	if err != nil {
		return err
	}
	// Whoever is locked has a session too, and may leave it.
	signedIn, who, err := d.Browsers.Current(r.Context(), d.Cookie.Value(r), web.SourceOf(r))
	if model.Inconclusive(err) {
		return err
	}
	if who.ID != "" {
		web.SetUser(r.Context(), who.ID, who.Localpart)
		if err := d.Browsers.SignOut(r.Context(), holder(r, who), signedIn.ID); err != nil {
			return err
		}
	}
	d.Cookie.Clear(w)
	if goal := signin.ReadGoal(func(name string) string { return form[name] }); len(goal.Query()) > 0 || form["again"] != "" {
		return d.lead(w, goal, signin.Password{})
	}
	return d.seeOther(w, page.SignedOutPath, nil)
}

// SignedOut answers GET account/signed-out.
func (d *Door) SignedOut(w http.ResponseWriter, r *http.Request) error {
	return d.Pages.Render(w, r, http.StatusOK, page.SignedOut{})
}
