package oauth

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// tokenAnswer is the body of a successful token request (RFC 6749 section 5.1, TOK-3).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// grantType is a row of the token endpoint: what is done for a grant type of model.GrantTypes.
type grantType struct {
	// class and rate bound the requests of one network; without a rate there is no bound.
	class limit.Class
	rate  limit.Rate
	// params are the parameters that a request must have.
	params []string
	// redeem turns what a client presents into tokens. It is called for clients that may use the grant type, with
	// params that are there.
	redeem func(*Door, *http.Request, model.Client, map[string]string) (session.Tokens, error)
}

// grantTypes are the rows by the names of the grant types.
var grantTypes = map[string]grantType{
	// Codes cannot be guessed; the bound keeps a flood from the store (ENUM-5).
	model.GrantCode: {
		class: limit.Exchanges, rate: bound.ExchangesPerNetwork, params: []string{"code", "redirect_uri", "code_verifier"}, redeem: (*Door).exchange,
	},
	// Nobody may lose a session to a bound: the one bound, that of the session, answers 503 (REF-8).
	model.GrantRefresh: {params: []string{"refresh_token"}, redeem: (*Door).refresh},
}

// Token answers POST /oauth2/token, in the same steps for every grant type: it reads the request, authenticates the
// client, asks whether the client may use the grant type, checks that the request is whole, has the tokens minted,
// and writes them.
func (d *Door) Token(w http.ResponseWriter, r *http.Request) error {
	form, err := web.ReadForm(w, r)
	if err != nil {
		return err
	}
	name := form["grant_type"]
	if name == "" {
		return missing("grant_type")
	}
	if _, known := grantTypes[name]; !known {
		return model.NewError(model.UnsupportedGrant)
	}
	tokens, err := d.mint(r, name, form)
	d.CountGrant(name, model.Result(err))
	if err != nil {
		return err
	}
	web.SetOwner(r.Context(), tokens.Owner)
	return web.WriteJSON(w, http.StatusOK, tokenAnswer{
		AccessToken: tokens.Access, TokenType: "Bearer", ExpiresIn: int64(tokens.Life.Seconds()), RefreshToken: tokens.Refresh, Scope: tokens.Scope,
	})
}

// mint takes a request for tokens through the steps between reading and writing.
func (d *Door) mint(r *http.Request, name string, form map[string]string) (session.Tokens, error) {
	c, err := d.clientOf(r, form)
	if err != nil {
		// A database that forgot the session forgot the client's registration too, and "invalid client" would end it.
		if lost := d.Sessions.CheckLost(form["refresh_token"], true, web.SourceOf(r)); lost != nil {
			err = lost
		}
		return session.Tokens{}, err
	}
	if !c.MayUse(name) {
		return session.Tokens{}, model.NewError(model.UnauthorizedClient)
	}
	row := grantTypes[name]
	if row.rate != (limit.Rate{}) {
		if err := d.Limiter.TakeNetwork(row.class, web.ClientIP(r), row.rate); err != nil {
			return session.Tokens{}, err
		}
	}
	for _, param := range row.params {
		if form[param] == "" {
			return session.Tokens{}, missing(param)
		}
	}
	return row.redeem(d, r, c, form)
}

// exchange redeems a code.
func (d *Door) exchange(r *http.Request, c model.Client, form map[string]string) (session.Tokens, error) {
	_, tokens, err := d.Grants.Exchange(r.Context(), grant.Exchange{
		Delivery: model.ByRedirect, Client: c, Code: form["code"], RedirectURI: form["redirect_uri"], Verifier: form["code_verifier"], Source: web.SourceOf(r),
	})
	return tokens, err
}

// refresh rotates tokens.
func (d *Door) refresh(r *http.Request, c model.Client, form map[string]string) (session.Tokens, error) {
	tokens, err := d.Sessions.Refresh(r.Context(), session.Refresh{
		Kind: model.OAuthSession, Token: form["refresh_token"], ClientID: c.ID, Scope: form["scope"], Source: web.SourceOf(r),
	})
	return tokens, web.NoteRefused(r.Context(), form["refresh_token"], err)
}

func missing(name string) error {
	return model.Errorf(model.MissingParam, "%s is missing", name)
}
