package account

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// A proof is the password, given in this browser session within bound.ProofLife. It is kept with the session at the server, so
// that no form and no address carries it to another browser, tab or account; and it goes with the session, which a sign-in,
// a sign-out and a password set elsewhere end (SESS-5, ACCT-6).

// proof tells a page whether its form has to ask for the password.
func (d *Door) proof(signedIn model.BrowserSession, who model.User) page.Proof {
	return page.Proof{
		Account: model.MatrixID(who.Localpart, d.ServerName), Username: who.Localpart, AskPassword: !signedIn.Proved(d.Now()),
	}
}

// proven has the person who sent the form of a page prove who they are, if the proof of the browser is too old. The page asks
// no more then, should it be shown again.
func (d *Door) proven(r *http.Request, signedIn model.BrowserSession, who model.User, shown *page.Proof, form map[string]string) error {
	if signedIn.Proved(d.Now()) {
		shown.AskPassword = false
		return nil
	}
	if err := d.prove(r, signedIn, who, form["password"]); err != nil {
		return err
	}
	shown.AskPassword = false // it counts for some minutes
	return nil
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

// refuseProof shows a page again with what stands in the way, if that is something that the person can do something about
// there: what proofs are refused for, and the problems of the page itself. proof is that of the page.
func (d *Door) refuseProof(w http.ResponseWriter, r *http.Request, proof *page.Proof, shown page.Page, err error, own ...model.Code) error {
	return d.refuseForm(w, r, &proof.Form, shown, err, append(own, model.InvalidCredentials, model.LoginRequired, model.RateLimited, model.TemporarilyDown)...)
}

// refuseForm shows a page again with what stands in the way, if that is one of its problems. form is that of the page.
func (d *Door) refuseForm(w http.ResponseWriter, r *http.Request, form *page.Form, shown page.Page, err error, problems ...model.Code) error {
	e := model.AsError(err)
	for _, problem := range problems {
		if e.Code == problem {
			form.Problem, form.Retry = e.Code, web.SetRetryAfter(w.Header(), web.PageWire, e)
			return d.refuse(w, r, shown, err)
		}
	}
	return err
}

// readForm reads the form of a page. One from before a sign-in in another tab leads back to the page of that path and query,
// which knows who it is now; the form is nil then, and err is what the handler returns. An empty path leads nowhere.
func (d *Door) readForm(w http.ResponseWriter, r *http.Request, path string, query url.Values) (map[string]string, error) {
	form, err := d.Cookie.ReadForm(w, r)
	if errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) && path != "" {
		back := url.Values{staleParam: {"1"}}
		for name, values := range query {
			back[name] = values
		}
		return nil, d.seeOther(w, path, back)
	}
	if err != nil {
		return nil, err
	}
	return form, nil
}

// staleProblem is the problem of a page to which a form led back that was not of this browser any more.
func staleProblem(r *http.Request) model.Code {
	if r.URL.Query().Has(staleParam) {
		return model.CrossOrigin
	}
	return ""
}
