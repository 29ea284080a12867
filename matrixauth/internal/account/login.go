package account

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// staleParam marks the address to which a form leads back that was not of this browser any more.
const staleParam = "stale"

// LoginPage answers GET account/login: the form, or where it would lead for those who are signed in.
func (d *Door) LoginPage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	where := readGoal(query.Get)
	shown, pending, err := d.loginFor(r, where)
	if err != nil {
		return d.answered(w, r, where, err)
	}
	signedIn, who, err := d.Browsers.Current(r.Context(), d.Cookie.Value(r), web.OriginOf(r))
	switch {
	case err == nil && !(shown.Request != "" && pending.NeedsSignIn(signedIn, d.Now())):
		return d.goOn(w, where)
	case err == nil:
		// The app wants a fresh proof of who is there, who most likely is the same person.
		shown.Username, shown.Again = who.Localpart, true
	case model.AsError(err).Kind() == model.Internal:
		return err
	}
	if shown.Request != "" {
		if err := d.Grants.Shown(r.Context(), pending); err != nil {
			return err
		}
	}
	if query.Has(staleParam) {
		shown.Problem = model.CrossOrigin
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// answered leads on to a request that loginFor found to be over: who has answered it may have come back by
// their browser's history, and the page of consent knows what came of it. It gives a code to nobody who is
// not signed in.
func (d *Door) answered(w http.ResponseWriter, r *http.Request, where goal, err error) error {
	if !errors.Is(err, model.RequestExpired) {
		return err
	}
	value := d.Cookie.Value(r)
	if _, _, missing := d.Browsers.Current(r.Context(), value, web.OriginOf(r)); missing != nil {
		if outcome, unknown := d.Grants.Answered(r.Context(), where.request, value); unknown != nil || outcome.Code != "" {
			return err
		}
	}
	return d.goOn(w, where)
}

// loginFor is the sign-in page for a goal, with the app's request if the goal is one.
func (d *Door) loginFor(r *http.Request, g goal) (shown page.Login, pending grant.Pending, err error) {
	shown = page.Login{Goal: g.shown()}
	if g.request == "" {
		return shown, pending, nil
	}
	if pending, err = d.Grants.Pending(r.Context(), g.request); err != nil {
		return shown, pending, err
	}
	shown.Client = pending.Client.Name(d.Pages.Language(r, pending.Asked.UILocales))
	shown.Create, shown.Admin = pending.Asked.Create, pending.Administers()
	shown.UILocales = pending.Asked.UILocales
	shown.Username = d.prefill(pending.Asked.LoginHint)
	return shown, pending, nil
}

// prefill is what an app's hint puts into the form: a name is shortened to how people know it here
// (AUTHZ-25).
func (d *Door) prefill(hint string) string {
	text := grant.ReadHint(hint).Text()
	if len(text) > signin.MaxIdentifier {
		return ""
	}
	if localpart, server, ok := model.ParseMatrixID(text); ok && server == d.ServerName {
		return localpart
	}
	return text
}

// Login answers POST account/login. A try that fails gives the form again, the same for every reason.
func (d *Door) Login(w http.ResponseWriter, r *http.Request) error {
	where := readGoal(r.URL.Query().Get)
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) {
		// Most likely the person signed in from another tab meanwhile: the address knows where to go on.
		query := where.query()
		query.Set(staleParam, "1")
		return d.seeOther(w, page.LoginPath, query)
	}
	if err != nil {
		return err
	}
	shown, _, err := d.loginFor(r, where)
	if err != nil {
		return d.answered(w, r, where, err)
	}
	proof, err := d.authenticate(r, user.Typed(form["username"]), form["password"])
	d.Count(model.Result(err))
	if errors.Is(err, model.InvalidCredentials) || errors.Is(err, model.RateLimited) {
		e := model.AsError(err)
		web.SetRetryAfter(w.Header(), web.PageWire, e)
		shown.Problem, shown.Retry, shown.Username = e.Code, e.Retry, form["username"]
		if failed := d.Pages.Render(w, r, web.StatusOf(web.PageWire, err), shown); failed != nil {
			return failed
		}
		return err // the answer is written; the log says what it was
	}
	if err != nil {
		return d.blocked(w, r, proof.User, page.Blocked{Goal: shown.Goal}, err)
	}
	web.SetUser(r.Context(), proof.User.ID, proof.User.Localpart)
	start := browser.Start{Proof: proof.Proof, Value: model.NewBrowserValue(), Replaced: d.Cookie.Value(r), Device: proof.Device, Origin: web.OriginOf(r)}
	if start.Device == "" {
		start.Device = model.NewBrowserValue()
	}
	if _, err := d.Browsers.Start(r.Context(), start); err != nil {
		return err
	}
	d.Cookie.Set(w, start.Value)
	d.Devices.Put(w, r, start.Device)
	return d.goOn(w, where)
}

// goOn leads a person who is signed in to where they wanted to be.
func (d *Door) goOn(w http.ResponseWriter, g goal) error {
	if g.request != "" {
		return d.seeOther(w, page.ConsentPath, goal{request: g.request}.query())
	}
	return d.seeOther(w, page.AccountPath, g.query())
}

// authenticate has a person prove their password, within the limits of where they are.
func (d *Door) authenticate(r *http.Request, id user.Identifier, password string) (signin.Success, error) {
	proof, err := d.SignIns.ByPassword(r.Context(), signin.Attempt{
		Identifier: id, Password: password, IP: web.ClientIP(r), Devices: d.Devices.Values(r), About: web.SetSignIn(r.Context()),
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
	if err != nil {
		return err
	}
	// Whoever is locked has a session too, and may leave it.
	signedIn, who, err := d.Browsers.Current(r.Context(), d.Cookie.Value(r), web.OriginOf(r))
	if err != nil && model.AsError(err).Kind() == model.Internal {
		return err
	}
	if who.ID != "" {
		web.SetUser(r.Context(), who.ID, who.Localpart)
		if err := d.Browsers.SignOut(r.Context(), holder(r, who), signedIn.ID); err != nil {
			return err
		}
	}
	d.Cookie.Clear(w)
	if query := readGoal(func(name string) string { return form[name] }).query(); len(query) > 0 || form["again"] != "" {
		return d.seeOther(w, page.LoginPath, query)
	}
	return d.seeOther(w, page.SignedOutPath, nil)
}

// SignedOut answers GET account/signed-out.
func (d *Door) SignedOut(w http.ResponseWriter, r *http.Request) error {
	return d.Pages.Render(w, r, http.StatusOK, page.SignedOut{})
}
