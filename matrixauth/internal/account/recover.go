package account

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

const (
	// userParam and doneParam are the account whose password was set, and the receipt of that.
	userParam = "user"
	doneParam = "done"
	// doneFor is how long the page says so, which somebody may reload.
	doneFor = 10 * time.Minute
)

// NewPasswordPage answers GET account/recover/password, to which the link of a mail leads. It changes nothing, however often
// it is opened: programs that scan mail and browsers that look ahead open links (MAIL-3).
func (d *Door) NewPasswordPage(w http.ResponseWriter, r *http.Request) error {
	ticket := r.URL.Query().Get(recovery.TicketParam)
	opened, err := d.Recoveries.Open(r.Context(), ticket, web.ClientIP(r))
	if err != nil {
		return d.refuseTicket(w, r, err)
	}
	return d.Pages.Render(w, r, http.StatusOK, d.newPassword(opened, ticket))
}

func (d *Door) newPassword(opened recovery.Opened, ticket string) page.NewPassword {
	return page.NewPassword{Ticket: ticket, Account: model.MatrixID(opened.User.Localpart, d.ServerName), Username: opened.User.Localpart, Apps: opened.Apps}
}

// NewPassword answers POST account/recover/password: it sets the password. Nobody is signed in by it: whoever reads the
// mail need not have what a sign-in asks for beside the password (MAIL-5).
func (d *Door) NewPassword(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if err != nil {
		return err
	}
	use := recovery.Use{
		Ticket: form[recovery.TicketParam], Password: form["password"], EndApps: form["apps"] != "", Browser: d.Cookie.Value(r), Source: web.SourceOf(r),
	}
	who, err := d.Recoveries.Use(r.Context(), use)
	if err != nil {
		return d.refuseNewPassword(w, r, use, err)
	}
	web.SetUser(r.Context(), who.ID, who.Localpart)
	return d.seeOther(w, page.RecoverDonePath, url.Values{
		userParam: {who.Localpart}, doneParam: {web.Receipt(use.Browser, recoveredWhat(who.Localpart), d.Now().Add(doneFor))},
	})
}

// recoveredWhat is what a receipt says of an account.
func recoveredWhat(localpart string) string { return "recovered\x00" + localpart }

// refuseNewPassword shows the form again if another password may do, or says that the ticket is over.
func (d *Door) refuseNewPassword(w http.ResponseWriter, r *http.Request, use recovery.Use, err error) error {
	e := model.AsError(err)
	if e.Code != model.InvalidPassword && e.Code != model.TemporarilyDown {
		return d.refuseTicket(w, r, err)
	}
	opened, failed := d.Recoveries.Open(r.Context(), use.Ticket, use.Source.IP)
	if failed != nil {
		return d.refuseTicket(w, r, failed)
	}
	shown := d.newPassword(opened, use.Ticket)
	shown.Weak = password.ReasonOf(err)
	shown.EndApps, shown.Problem, shown.Retry = use.EndApps, e.Code, web.SetRetryAfter(w.Header(), web.PageWire, e)
	return d.refuse(w, r, shown, err)
}

// refuseTicket says that a ticket is over, and offers to ask for another one where that is possible.
func (d *Door) refuseTicket(w http.ResponseWriter, r *http.Request, err error) error {
	if model.AsError(err).Code != model.RecoveryOver {
		return err
	}
	return d.refuse(w, r, page.RecoveryOver{Offered: d.Recoveries.Offered()}, err)
}

// Recovered answers GET account/recover/done: it says that the password was set, and leads to the sign-in.
func (d *Door) Recovered(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	localpart := query.Get(userParam)
	until, ok := web.ReadReceipt(d.Cookie.Value(r), recoveredWhat(localpart), query.Get(doneParam))
	if !ok || !d.Now().Before(until) {
		return d.seeOther(w, page.LoginPath, nil) // somebody else's link
	}
	return d.Pages.Render(w, r, http.StatusOK, page.Recovered{Username: localpart, Account: model.MatrixID(localpart, d.ServerName)})
}
