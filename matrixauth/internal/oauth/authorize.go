package oauth

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Authorize answers GET and POST /authorize (RFC 6749 section 4.1.1). What is wrong with client or
// redirect URI is told to the person on a page; everything else to the client (AUTHZ-3).
func (d *Door) Authorize(w http.ResponseWriter, r *http.Request) error {
	params, err := readParams(w, r)
	if err != nil {
		return err
	}
	if err := d.Limiter.TakeNetwork(limit.Authorizations, web.ClientIP(r), bound.AuthorizationsPerNetwork); err != nil {
		return err
	}
	c, err := d.asking(r, params)
	if err != nil {
		return err
	}
	ask := askOf(params)
	request, err := grant.ParseRequest(c, params["redirect_uri"], ask)
	if err != nil {
		return d.turnDown(w, r, c, ask, params["redirect_uri"], err)
	}
	if ask.None() {
		return d.silently(w, r, c, request)
	}
	id, err := d.Grants.Begin(r.Context(), c, request, web.ClientIP(r))
	if err != nil {
		return err
	}
	return seeOther(w, d.requestURL(signin.Request{ID: id}))
}

// readParams reads the parameters from the query, or from the form of a POST (AUTHZ-1).
func readParams(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	if r.Method == http.MethodPost {
		return web.ReadForm(w, r)
	}
	return web.ReadQuery(r)
}

// asking finds the client, and makes sure that the redirect URI is its own (AUTHZ-4, AUTHZ-6).
func (d *Door) asking(r *http.Request, params map[string]string) (model.Client, error) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if params[name] == "" {
			return model.Client{}, missing(name)
		}
	}
	c, err := d.Clients.Find(r.Context(), params["client_id"])
	if err != nil {
		return c, err
	}
	if !client.MatchRedirect(c, params["redirect_uri"]) {
		return c, model.NewError(model.RedirectMismatch)
	}
	return c, nil
}

func askOf(params map[string]string) grant.Ask {
	_, hasState := params["state"]
	return grant.Ask{
		ResponseType: params["response_type"], ResponseMode: params["response_mode"],
		Scope: params["scope"], State: params["state"], HasState: hasState,
		Challenge: params["code_challenge"], ChallengeMethod: params["code_challenge_method"],
		Prompt: params["prompt"], MaxAge: params["max_age"],
		LoginHint: params["login_hint"], UILocales: params["ui_locales"],
		Request: params["request"], RequestURI: params["request_uri"], Registration: params["registration"],
	}
}

// silently answers prompt=none: with a code if the user is signed in and granted all of it before, and
// otherwise with the error that says what is missing. No page is shown (OIDC-10), but for a client that
// nobody ever consented to.
func (d *Door) silently(w http.ResponseWriter, r *http.Request, c model.Client, request model.Request) error {
	code, err := d.SignIns.Silently(r.Context(), c, request, d.browser(r))
	if err == nil {
		return d.respond(w, r, request.Delivery.Redirect, field{"code", code})
	}
	if model.Inconclusive(err) {
		return err
	}
	if !c.Proven() {
		return d.offerReturn(w, r, c, request.Delivery.Redirect, request.Asked.UILocales, err)
	}
	return d.respond(w, r, request.Delivery.Redirect, failure(err)...)
}

// turnDown tells a client that its request cannot be granted. Whoever registers a client can have us
// send people to its address by a wrong request, so before anybody did anything they are told first
// where the way leads (AUTHZ-21). Static clients are vouched for. prompt=none shows no page as soon as
// anybody consented to the client: before that it would be no more than a link that leads anywhere.
func (d *Door) turnDown(w http.ResponseWriter, r *http.Request, c model.Client, ask grant.Ask, redirectURI string, err error) error {
	if model.Inconclusive(err) {
		return err
	}
	mode, _ := ask.Mode(redirectURI) // a mode that cannot be is what the error is about, and travels by query
	to := model.Redirect{RedirectURI: redirectURI, ResponseMode: mode, State: ask.State, HasState: ask.HasState}
	if c.Static || ask.None() && c.Proven() {
		return d.respond(w, r, to, failure(err)...)
	}
	return d.offerReturn(w, r, c, to, ask.UILocales, err)
}

// seeOther redirects by a fixed answer to GET: after a POST of credentials nothing else would do (AUTHZ-16).
func seeOther(w http.ResponseWriter, location string) error {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// requestURL returns where the way of a request goes on.
func (d *Door) requestURL(request signin.Request) string {
	return d.Base + page.ConsentPath + "?" + request.Query().Encode()
}
