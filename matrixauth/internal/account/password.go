package account

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// changedParam holds the receipt of a password that was changed, in the address of the account page. It holds for
// changedShown.
const (
	changedParam = "changed"
	changedShown = 5 * time.Minute
)

// passwordGoal leads to the page on which the password is changed.
var passwordGoal = signin.AccountPage{Action: signin.PasswordAction}

// AskPassword answers GET account/password.
func (d *Door) AskPassword(w http.ResponseWriter, r *http.Request) error {
	_, who, ok, err := d.owner(w, r, passwordGoal)
	if !ok {
		return err
	}
	shown, err := d.passwordPage(r, who)
	if err != nil {
		return err
	}
	if r.URL.Query().Has(staleParam) {
		shown.Problem = model.CrossOrigin
	}
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) passwordPage(r *http.Request, who model.User) (shown page.ChangePassword, err error) {
	shown = page.ChangePassword{Account: model.MatrixID(who.Localpart, d.ServerName), Username: who.Localpart, Recovery: d.Recoveries.Offered()}
	has, err := d.Users.HasPassword(r.Context(), who.ID)
	if err != nil {
		return shown, err
	}
	apps, err := d.Sessions.Live(r.Context(), who.ID)
	if err != nil {
		return shown, err
	}
	browsers, err := d.Browsers.List(r.Context(), who.ID)
	shown.None, shown.Apps, shown.Browsers = !has, len(apps), len(browsers)-1 // without the one that asks
	return shown, err
}

// ChangePassword answers POST account/password. It asks for the current password however new the sign-in is: who finds a
// browser signed in must not have the account by it (PW-8, SESS-5). The tries are within the limits of all sign-ins, and
// cost what those do (PW-13).
func (d *Door) ChangePassword(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) {
		return d.stalePassword(w)
	}
	if err != nil {
		return err
	}
	value := d.Cookie.Value(r)
	sent := []byte(strings.Join([]string{form["current"], form["new"], form["apps"]}, "\x00"))
	_, who, ok, err := d.ownerOrAgain(w, r, passwordGoal, d.again(r, value, sent, func(renewed string) error { return d.passwordChanged(w, renewed) }))
	if !ok {
		return err
	}
	renewed, err := d.Browsers.RenewOnce(r.Context(), value, sent, func() (string, error) { return d.changePassword(r, who, form) })
	switch {
	case errors.Is(err, model.NotSignedIn):
		return d.stalePassword(w)
	case err != nil:
		shown, failed := d.passwordPage(r, who)
		if failed != nil {
			return failed
		}
		shown.EndApps = form["apps"] != ""
		return d.refusePassword(w, r, shown, who, err)
	}
	return d.passwordChanged(w, renewed)
}

// changePassword has the person prove the password so far and replaces it. It returns the browser's new value.
func (d *Door) changePassword(r *http.Request, who model.User, form map[string]string) (value string, err error) {
	proof, err := d.authenticate(r, user.Identifier{Name: who.Localpart}, form["current"])
	d.Count(model.Result(err))
	if err != nil {
		return "", err
	}
	return d.Users.ChangePassword(r.Context(), holder(r, who), user.PasswordChange{
		Proof: proof.Proof, Old: form["current"], New: form["new"], Value: d.Cookie.Value(r), Apps: form["apps"] != "",
	})
}

// passwordChanged gives the browser its new value, and leads to the account page, which says what was done.
func (d *Door) passwordChanged(w http.ResponseWriter, value string) error {
	d.Cookie.Set(w, value)
	return d.seeOther(w, page.AccountPath, url.Values{changedParam: {web.Receipt(value, changedParam, d.Now().Add(changedShown))}})
}

// showsChanged reports whether the address of the account page says, for this browser, that the password was changed.
func (d *Door) showsChanged(r *http.Request) bool {
	until, ok := web.ReadReceipt(d.Cookie.Value(r), changedParam, r.URL.Query().Get(changedParam))
	return ok && d.Now().Before(until)
}

// stalePassword leads back from a form that is not this browser's any more: most likely somebody signed in, or changed the
// password, in another tab meanwhile.
func (d *Door) stalePassword(w http.ResponseWriter) error {
	return d.seeOther(w, page.PasswordPath, url.Values{staleParam: {"1"}})
}

// refusePassword shows the page again with what stands in the way, if that is something that the person can do something
// about here.
func (d *Door) refusePassword(w http.ResponseWriter, r *http.Request, shown page.ChangePassword, who model.User, err error) error {
	e := model.AsError(err)
	switch e.Code {
	case model.InvalidCredentials, model.InvalidPassword, model.RateLimited, model.TemporarilyDown:
	default:
		return d.blocked(w, r, who, page.Blocked{Goal: page.Goal{Action: signin.PasswordAction}}, err)
	}
	shown.Problem, shown.Weak, shown.Retry = e.Code, password.ReasonOf(err), web.SetRetryAfter(w.Header(), web.PageWire, e)
	return d.refuse(w, r, shown, err)
}
