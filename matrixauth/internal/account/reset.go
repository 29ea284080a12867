package account

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// allowedParam holds the receipt of a reset that was allowed.
const allowedParam = "allowed"

// resetGoal leads to the page of the reset.
var resetGoal = signin.AccountPage{Action: signin.ResetAction}

// askReset answers GET account/ with the action of a cross-signing reset: it says what is lost, and asks
// (XS-3, ACCT-5). With the receipt of one that was allowed it sends the person back to the app (XS-7).
func (d *Door) askReset(w http.ResponseWriter, r *http.Request, signedIn model.BrowserSession, who model.User) error {
	query := r.URL.Query()
	if until, ok := web.ReadReceipt(d.Cookie.Value(r), signin.ResetAction, query.Get(allowedParam)); ok && d.Now().Before(until) {
		return d.Pages.Render(w, r, http.StatusOK, page.ResetAllowed{Left: until.Sub(d.Now())})
	}
	shown := d.resetPage(signedIn, who)
	if query.Has(staleParam) {
		shown.Problem = model.CrossOrigin
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) resetPage(signedIn model.BrowserSession, who model.User) page.Reset {
	return page.Reset{
		Account: model.MatrixID(who.Localpart, d.ServerName), Username: who.Localpart, Action: signin.ResetAction,
		AskPassword: !signedIn.Proved(d.Now()),
	}
}

// Reset answers POST account/cross-signing-reset: the clients of the user may replace the cross-signing
// keys for some minutes. Whoever finds a browser signed in must not be able to have that, so it takes a
// password that was given a moment ago, at the sign-in or here (XS-4, ACCT-6). Doing it again does no
// harm.
func (d *Door) Reset(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) {
		// Most likely the person signed in from another tab meanwhile: the page knows who it is now.
		query := resetGoal.Query()
		query.Set(staleParam, "1")
		return d.seeOther(w, page.AccountPath, query)
	}
	if err != nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, resetGoal)
	if !ok {
		return err
	}
	if !signedIn.Proved(d.Now()) {
		if err := d.prove(r, signedIn, who, form["password"]); err != nil {
			return d.refuseReset(w, r, d.resetPage(signedIn, who), err)
		}
	}
	until, err := d.Users.AllowReset(r.Context(), holder(r, who), who)
	if err != nil {
		shown := d.resetPage(signedIn, who)
		shown.AskPassword = false // it counts for some minutes
		return d.refuseReset(w, r, shown, err)
	}
	query := resetGoal.Query()
	query.Set(allowedParam, web.Receipt(d.Cookie.Value(r), signin.ResetAction, until))
	return d.seeOther(w, page.AccountPath, query)
}

// prove has the person who is signed in give their password again, within the limits of all sign-ins and
// at their cost (PW-13).
func (d *Door) prove(r *http.Request, signedIn model.BrowserSession, who model.User, password string) error {
	if password == "" {
		// The page had no field for it when it was shown.
		return model.NewError(model.LoginRequired)
	}
	proof, err := d.authenticate(r, user.Identifier{Name: who.Localpart}, password)
	d.Count(model.Result(err))
	if err != nil {
		return err
	}
	if proof.User.ID != who.ID {
		return model.NewError(model.InvalidCredentials)
	}
	return d.Browsers.Prove(r.Context(), signedIn.ID, proof.Proof)
}

// refuseReset shows the page again with what stands in the way, if that is something that the person can
// do something about here.
func (d *Door) refuseReset(w http.ResponseWriter, r *http.Request, shown page.Reset, err error) error {
	e := model.AsError(err)
	switch e.Code {
	case model.InvalidCredentials, model.RateLimited, model.LoginRequired, model.TemporarilyDown:
	default:
		return err
	}
	shown.Problem, shown.Retry = e.Code, web.SetRetryAfter(w.Header(), web.PageWire, e)
	return d.refuse(w, r, shown, err)
}
