package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The pages of the way from a client and back, below the issuer.
const (
	ConsentPath = "account/consent"
	LoginPath   = "account/login"
)

// Consent answers GET account/consent: it asks the user who is signed in whether a client may have what
// it asks for, unless they granted it before.
func (d *Door) Consent(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("request")
	session, user, err := d.Browsers.Current(r.Context(), d.Cookie.Value(r), web.OriginOf(r))
	if errors.Is(err, model.NotSignedIn) {
		return seeOther(w, d.loginURL(id))
	}
	if err != nil {
		return err
	}
	web.SetUser(r.Context(), user.ID)
	review, err := d.Grants.Review(r.Context(), id, session)
	switch {
	case errors.Is(err, model.LoginRequired):
		return seeOther(w, d.loginURL(id))
	case errors.Is(err, model.AccessDenied):
		return d.offerReturn(w, r, review.Client, review.Request, err)
	case err != nil:
		return err
	case review.Remembered:
		return d.approve(w, r, id, session, d.Grants.ApproveRemembered)
	}
	return d.Pages.Render(w, r, http.StatusOK, d.consentPage(review, user, d.Pages.Language(r, review.Request.UILocales)))
}

// consentPage says who asks, for what, as whom, and where the way leads (AUTHZ-19).
func (d *Door) consentPage(review grant.Review, user model.User, language string) page.Consent {
	c, request := review.Client, review.Request
	shown := page.Consent{
		Request: review.ID, Client: c.Name(language), ClientHost: c.Host(), ClientURI: c.Metadata.URI,
		TOSURI: c.TOSURI(language), PolicyURI: c.PolicyURI(language),
		Vouched: c.Static, Destination: destination(request.RedirectURI),
		Account: model.MatrixID(user.Localpart, d.ServerName), Device: request.DeviceID,
		Admin:    model.HasScope(request.Scope, model.ScopeSynapseAdmin),
		Replaces: review.Replaces, UILocales: request.UILocales,
	}
	if hint := grant.ReadHint(request.LoginHint); !hint.Names(user.Localpart, d.ServerName) {
		shown.OtherAccount = hint.Text()
	}
	return shown
}

// Answer answers POST account/consent: the user consents, or declines and goes back (AUTHZ-20).
func (d *Door) Answer(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if err != nil {
		return err
	}
	switch form["answer"] {
	case "continue":
	case "cancel":
		return d.decline(w, r, form["request"])
	default: // what is not said is no consent
		return &model.Error{Kind: model.Invalid, Code: model.InvalidParam, Param: "answer"}
	}
	session, user, err := d.Browsers.Current(r.Context(), d.Cookie.Value(r), web.OriginOf(r))
	if errors.Is(err, model.NotSignedIn) {
		return seeOther(w, d.loginURL(form["request"]))
	}
	if err != nil {
		return err
	}
	web.SetUser(r.Context(), user.ID)
	return d.approve(w, r, form["request"], session, d.Grants.Approve)
}

func (d *Door) decline(w http.ResponseWriter, r *http.Request, id string) error {
	pending, err := d.Grants.Decline(r.Context(), id)
	if err != nil {
		return err
	}
	denied := &model.Error{Kind: model.Denied, Code: model.AccessDenied, Text: "the user declined"}
	return d.respond(w, r, pending.Request, failure(denied)...)
}

// approval is one of the ways to approve a request.
type approval func(ctx context.Context, id string, session model.BrowserSession) (grant.Review, string, error)

func (d *Door) approve(w http.ResponseWriter, r *http.Request, id string, session model.BrowserSession, how approval) error {
	review, code, err := how(r.Context(), id, session)
	switch {
	case errors.Is(err, model.LoginRequired):
		return seeOther(w, d.loginURL(id))
	case errors.Is(err, model.ConsentRequired):
		return seeOther(w, d.consentURL(id)) // it was remembered a moment ago
	case err != nil:
		return err
	}
	return d.respond(w, r, review.Request, field{"code", code})
}
