package account

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
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
	shown.Problem = staleProblem(r)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

func (d *Door) resetPage(signedIn model.BrowserSession, who model.User) page.Reset {
	return page.Reset{Proof: d.proof(signedIn, who), Action: signin.ResetAction}
}

// Reset answers POST account/cross-signing-reset: the clients of the user may replace the cross-signing
// keys for some minutes. Whoever finds a browser signed in must not be able to have that, so it takes a
// password that was given a moment ago, at the sign-in or here (XS-4, ACCT-6). Doing it again does no
// harm.
func (d *Door) Reset(w http.ResponseWriter, r *http.Request) error {
	form, err := d.readForm(w, r, page.AccountPath, resetGoal.Query())
	if form == nil {
		return err
	}
	signedIn, who, ok, err := d.owner(w, r, resetGoal)
	if !ok {
		return err
	}
	shown := d.resetPage(signedIn, who)
	if err := d.proven(r, signedIn, who, &shown.Proof, form); err != nil {
		return d.refuseProof(w, r, &shown.Proof, &shown, err)
	}
	until, err := d.Users.AllowReset(r.Context(), holder(r, who), who)
	if err != nil {
		return d.refuseProof(w, r, &shown.Proof, &shown, err)
	}
	query := resetGoal.Query()
	query.Set(allowedParam, web.Receipt(d.Cookie.Value(r), signin.ResetAction, until))
	return d.seeOther(w, page.AccountPath, query)
}
