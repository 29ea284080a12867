package oauth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Consent answers GET account/consent: it asks the user who is signed in whether a client may have what
// it asks for, unless they granted it before.
func (d *Door) Consent(w http.ResponseWriter, r *http.Request) error {
	request := signin.ReadRequest(r.URL.Query().Get)
	step, err := d.SignIns.Proceed(r.Context(), request, d.browser(r))
	if err != nil {
		return err
	}
	asked, ok := step.(signin.Consent)
	if !ok {
		return d.lead(w, r, request, step)
	}
	web.SetUser(r.Context(), asked.User.ID, asked.User.Localpart)
	if err := d.SignIns.Shown(r.Context(), step); err != nil {
		return err
	}
	to, err := deliveryOf(asked.Review.Delivery)
	if err != nil {
		return err
	}
	shown := d.consentPage(asked.Review, asked.User, d.Pages.Language(r, asked.Review.Asked.UILocales))
	shown.Destination = to.destination(asked.Review.Delivery)
	// Who was signed in when the app asked for a new account may want one all the same (CREATE-1).
	shown.Create = asked.Review.Asked.Create && d.SignIns.Registers() && asked.Session.CreatedAt.Before(asked.Review.CreatedAt)
	return d.Pages.Render(w, r, http.StatusOK, shown)
}

// lead leads on to a step on the way of a request, which is shown if its page is that of the request.
func (d *Door) lead(w http.ResponseWriter, r *http.Request, request signin.Request, step signin.Step) error {
	if who := step.At().User; who.ID != "" {
		web.SetUser(r.Context(), who.ID, who.Localpart)
	}
	switch left := step.(type) {
	case signin.Done:
		return d.conclude(w, r, left.Outcome)
	case signin.Blocked:
		return d.blocked(w, r, request, left)
	case signin.Refused:
		return d.refuse(w, r, *left.Pending, left.Reason)
	}
	return seeOther(w, d.Base+signin.Address(request, step))
}

// consentPage returns a page which says who asks, for what, as whom, and where the way leads (AUTHZ-19).
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
	if shown := signin.ReadRequest(r.URL.Query().Get); errors.Is(err, model.CrossOrigin) && d.Cookie.SameOrigin(r) && shown.ID != "" {
		// Most likely the person signed in from another tab meanwhile: they are asked again, as who they are now.
		return seeOther(w, d.requestURL(shown))
	}
	if err != nil {
		return err
	}
	request := signin.Request{ID: form["request"]}
	var step signin.Step
	switch form["answer"] {
	case "continue":
		step, err = d.SignIns.Approve(r.Context(), request, d.browser(r))
	case "cancel":
		step, err = d.SignIns.Decline(r.Context(), request, d.browser(r))
	default: // what is not said is no consent
		return model.NewError(model.InvalidParam)
	}
	if err != nil {
		return err
	}
	return d.lead(w, r, request, step)
}

// browser returns the browser that asks.
func (d *Door) browser(r *http.Request) signin.Browser {
	return signin.Browser{Value: d.Cookie.Value(r), Source: web.SourceOf(r)}
}

// blocked shows whose account may do nothing at present, and the ways out: as somebody else, or back to the
// client without an answer.
func (d *Door) blocked(w http.ResponseWriter, r *http.Request, request signin.Request, at signin.Blocked) error {
	shown := page.Blocked{Code: model.AsError(at.Reason).Code, Account: model.MatrixID(at.User.Localpart, d.ServerName)}
	if p := at.Pending; p != nil {
		shown.Request, shown.UILocales = request.ID, p.Asked.UILocales
		shown.Client = p.Client.Name(d.Pages.Language(r, p.Asked.UILocales))
	}
	if err := d.Pages.Render(w, r, web.StatusOf(web.PageWire, at.Reason), shown); err != nil {
		return err
	}
	return at.Reason // the answer is written; the log says what it was
}

// conclude sends the user back to the client with what came of a request. A browser that sends its answer
// twice, or comes back, is sent the same way again, until the client has its tokens: then there is nothing
// to send any more, and the person is told that all is well.
func (d *Door) conclude(w http.ResponseWriter, r *http.Request, outcome grant.Outcome) error {
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

// donePage returns a page which says that the sign-in is done. Its link leads to the website of the client, and is there if that
// is where the answer went: the redirect URI without an answer is not for people, and what an app says of
// its website proves nothing.
func (d *Door) donePage(o grant.Outcome, destination, language string) page.Done {
	shown := page.Done{Client: o.Client.Name(language), UILocales: o.Asked.UILocales}
	if home, err := url.Parse(o.Client.Metadata.URI); err == nil && home.Scheme == "https" && home.Host == destination {
		shown.URL = o.Client.Metadata.URI
	}
	return shown
}
