package account

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// leftParam holds the receipt of an account that was deactivated.
const leftParam = "left"

// leaveGoal leads to the page on which an account is deactivated.
var leaveGoal = signin.AccountPage{Action: signin.LeaveAction}

// AskLeave answers GET account/leave: it says what is lost and what stays, and asks (ACCT-5).
func (d *Door) AskLeave(w http.ResponseWriter, r *http.Request) error {
	signedIn, who, ok, err := d.owner(w, r, leaveGoal)
	if !ok {
		return err
	}
	shown, err := d.leavePage(r, signedIn, who)
	if err != nil {
		return err
	}
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) leavePage(r *http.Request, signedIn model.BrowserSession, who model.User) (page.Leave, error) {
	addresses, err := d.Users.Emails(r.Context(), who)
	return page.Leave{Proof: d.proof(signedIn, who), Addresses: len(addresses) > 0}, err
}

// Leave answers POST account/leave: the account is deactivated. It takes the whole Matrix id, so that nobody does it in passing,
// and a password that was given a moment ago (SESS-5, ACCT-6).
func (d *Door) Leave(w http.ResponseWriter, r *http.Request) error {
	form, err := d.readForm(w, r, page.LeavePath, nil)
	if form == nil {
		return err
	}
	value, sent := d.Cookie.Value(r), []byte(leftParam)
	signedIn, who, ok, err := d.ownerOrAgain(w, r, leaveGoal, d.again(r, value, sent, func(gone string) error { return d.left(w, gone) }))
	if !ok {
		return err
	}
	shown, err := d.leavePage(r, signedIn, who)
	if err != nil {
		return err
	}
	shown.Typed, shown.Erase = form["account"], form["erase"] != ""
	if !strings.EqualFold(strings.TrimSpace(shown.Typed), shown.Account) {
		return d.refuseLeave(w, r, &shown, model.NewError(model.InvalidUsername))
	}
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseLeave(w, r, &shown, err)
	}
	gone, err := d.Browsers.RenewOnce(r.Context(), value, sent, func() (string, error) {
		return model.NewBrowserValue(), d.Users.LeaveByBrowser(r.Context(), holder(r, who), value, shown.Erase)
	})
	if err != nil {
		return d.refuseLeave(w, r, &shown, err)
	}
	return d.left(w, gone)
}

func (d *Door) refuseLeave(w http.ResponseWriter, r *http.Request, shown *page.Leave, err error) error {
	return d.refuseProof(w, r, &shown.Proof, shown, err, model.InvalidUsername)
}

// again answers a form that was sent twice, once the first has done its work.
func (d *Door) again(r *http.Request, value string, sent []byte, answer func(value string) error) func() (bool, error) {
	return func() (bool, error) {
		renewed, err := d.Browsers.RenewOnce(r.Context(), value, sent, nil)
		if err != nil {
			return false, nil //nolint:nilerr // there was none, and the caller says what there is to say
		}
		return true, answer(renewed)
	}
}

// left gives the browser a value by which nobody is signed in, and leads to the page that says what was done.
func (d *Door) left(w http.ResponseWriter, value string) error {
	d.Cookie.Set(w, value)
	return d.seeOther(w, page.LeftPath, url.Values{leftParam: {web.Receipt(value, leftParam, d.Now().Add(changedShown))}})
}

// Left answers GET account/left, for the browser in which the account was deactivated a moment ago.
func (d *Door) Left(w http.ResponseWriter, r *http.Request) error {
	until, ok := web.ReadReceipt(d.Cookie.Value(r), leftParam, r.URL.Query().Get(leftParam))
	if !ok || d.Now().After(until) {
		return d.seeOther(w, page.LoginPath, nil)
	}
	return d.Pages.Render(w, r, http.StatusOK, page.Left{})
}
