package oauth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// maxRequest is more than the id of a request has, in bytes.
const maxRequest = 64

// Consent answers GET account/consent: it asks the user who is signed in whether a client may have what
// it asks for, unless they granted it before.
func (d *Door) Consent(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("request")
	visitor, user, err := d.visitor(r)
	before := func() (grant.Outcome, error) { return d.Grants.Answered(r.Context(), id, visitor.Value) }
	if errors.Is(err, model.NotSignedIn) {
		// Whoever declines need not sign in, and nor does who comes back then.
		if outcome, unknown := before(); unknown == nil && outcome.Code == "" {
			return d.conclude(w, r, id, before)
		}
		return seeOther(w, d.loginURL(id))
	}
	if err != nil {
		return d.blocked(w, r, user, id, err)
	}
	web.SetUser(r.Context(), user.ID, user.Localpart)
	review, err := d.Grants.Review(r.Context(), id, visitor)
	switch {
	case errors.Is(err, model.RequestExpired):
		return d.conclude(w, r, id, before)
	case errors.Is(err, model.LoginRequired):
		return seeOther(w, d.loginURL(id))
	case errors.Is(err, model.AccessDenied):
		return d.refuse(w, r, review.Pending, err)
	case err != nil:
		return err
	case review.Remembered:
		return d.conclude(w, r, id, func() (grant.Outcome, error) { return d.Grants.ApproveRemembered(r.Context(), id, visitor) })
	}
	if err := d.Grants.Shown(r.Context(), review.Pending); err != nil {
		return err
	}
	to, err := deliveryOf(review.Delivery)
	if err != nil {
		return err
	}
	shown := d.consentPage(review, user, d.Pages.Language(r, review.Asked.UILocales))
	shown.Destination = to.destination(review.Delivery)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// consentPage says who asks, for what, as whom, and where the way leads (AUTHZ-19).
func (d *Door) consentPage(review grant.Review, user model.User, language string) page.Consent {
	c, asked := review.Client, review.Asked
	shown := page.Consent{
		Goal:       page.Goal{Request: review.ID, Client: c.Name(language), UILocales: asked.UILocales},
		ClientHost: c.Host(), ClientURI: c.Metadata.URI,
		TOSURI: c.TOSURI(language), PolicyURI: c.PolicyURI(language),
		Vouched: c.Static,
		Account: model.MatrixID(user.Localpart, d.ServerName), Device: asked.DeviceID,
		Scopes: model.ScopesIn(asked.Scope), Admin: model.Administers(asked.Scope),
		Replaces: review.Replaces,
	}
	if hint := grant.ReadHint(asked.LoginHint); !hint.Names(user.Localpart, d.ServerName) {
		shown.OtherAccount = hint.Text()
	}
	return shown
}

// Answer answers POST account/consent: the user consents, or declines and goes back (AUTHZ-20).
func (d *Door) Answer(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if shown := r.URL.Query().Get("request"); errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) && shown != "" && len(shown) <= maxRequest {
		// Most likely the person signed in from another tab meanwhile: they are asked again, as who they are now.
		return seeOther(w, d.consentURL(shown))
	}
	if err != nil {
		return err
	}
	id := form["request"]
	switch form["answer"] {
	case "continue":
	case "cancel":
		return d.conclude(w, r, id, func() (grant.Outcome, error) { return d.Grants.Decline(r.Context(), id, d.Cookie.Value(r)) })
	default: // what is not said is no consent
		return model.NewError(model.InvalidParam)
	}
	visitor, user, err := d.visitor(r)
	if errors.Is(err, model.NotSignedIn) {
		return seeOther(w, d.loginURL(id))
	}
	if err != nil {
		return d.blocked(w, r, user, id, err)
	}
	web.SetUser(r.Context(), user.ID, user.Localpart)
	return d.conclude(w, r, id, func() (grant.Outcome, error) { return d.Grants.Approve(r.Context(), id, visitor) })
}

// visitor finds out who is signed in in the browser that asks. Its errors are those of Browsers.Current.
func (d *Door) visitor(r *http.Request) (grant.Visitor, model.User, error) {
	value := d.Cookie.Value(r)
	session, user, err := d.Browsers.Current(r.Context(), value, web.OriginOf(r))
	return grant.Visitor{BrowserSession: session, Value: value}, user, err
}

// blocked shows whose account may do nothing at present, and the ways out: as somebody else, or back to the
// client without an answer. An error that says anything else it gives back.
func (d *Door) blocked(w http.ResponseWriter, r *http.Request, who model.User, id string, err error) error {
	if who.ID == "" || !model.IsBlocked(err) {
		return err
	}
	web.SetUser(r.Context(), who.ID, who.Localpart)
	shown := page.Blocked{Code: model.AsError(err).Code, Account: model.MatrixID(who.Localpart, d.ServerName)}
	pending, missing := d.Grants.Pending(r.Context(), id)
	switch {
	case missing == nil:
		shown.Request, shown.UILocales = id, pending.Asked.UILocales
		shown.Client = pending.Client.Name(d.Pages.Language(r, pending.Asked.UILocales))
	case model.AsError(missing).Kind() == model.Internal:
		return missing
	}
	if failed := d.Pages.Render(w, r, web.StatusOf(web.PageWire, err), shown); failed != nil {
		return failed
	}
	return err // the answer is written; the log says what it was
}

// conclude answers a request and sends the user back to the client with what came of it. A browser that
// sends its answer twice, or comes back, is sent the same way again, until the client has its tokens: then
// there is nothing to send any more, and the person is told that all is well.
func (d *Door) conclude(w http.ResponseWriter, r *http.Request, id string, answer func() (grant.Outcome, error)) error {
	outcome, err := answer()
	switch {
	case errors.Is(err, model.LoginRequired):
		return seeOther(w, d.loginURL(id))
	case errors.Is(err, model.ConsentRequired):
		return seeOther(w, d.consentURL(id)) // it was remembered a moment ago
	case err != nil:
		return err
	}
	to, err := deliveryOf(outcome.Delivery)
	if err != nil {
		return err
	}
	if outcome.Done {
		return d.Pages.Render(w, r, http.StatusOK, d.donePage(outcome, to.destination(outcome.Delivery), d.Pages.Language(r, outcome.Asked.UILocales)))
	}
	return to.conclude(d, w, r, outcome)
}

// refuse shows why a request cannot be granted to who is signed in.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, p grant.Pending, reason error) error {
	to, err := deliveryOf(p.Delivery)
	if err != nil {
		return err
	}
	return to.refuse(d, w, r, p, reason)
}

// donePage says that the sign-in is done. Its link leads to the website of the client, and is there if that
// is where the answer went: the redirect URI without an answer is not for people, and what an app says of
// its website proves nothing.
func (d *Door) donePage(o grant.Outcome, destination, language string) page.Done {
	shown := page.Done{Client: o.Client.Name(language), UILocales: o.Asked.UILocales}
	if home, err := url.Parse(o.Client.Metadata.URI); err == nil && home.Scheme == "https" && home.Host == destination {
		shown.URL = o.Client.Metadata.URI
	}
	return shown
}
