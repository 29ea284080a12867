package oauth

import (
	"net/http"

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

// Token answers POST /oauth2/token.
func (d *Door) Token(w http.ResponseWriter, r *http.Request) error {
	form, err := web.ReadForm(w, r)
	if err != nil {
		return err
	}
	var redeem func(*http.Request, model.Client, map[string]string) (session.Tokens, error)
	switch form["grant_type"] {
	case "":
		return missing("grant_type")
	case model.GrantCode:
		redeem = d.exchange
	case model.GrantRefresh:
		redeem = d.refresh
	default:
		return model.NewError(model.UnsupportedGrant)
	}
	tokens, err := d.redeem(r, form, redeem)
	d.CountGrant(form["grant_type"], model.Result(err))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, tokenAnswer{
		AccessToken: tokens.Access, TokenType: "Bearer", ExpiresIn: int64(tokens.Life.Seconds()), RefreshToken: tokens.Refresh, Scope: tokens.Scope,
	})
}

func (d *Door) redeem(r *http.Request, form map[string]string, f func(*http.Request, model.Client, map[string]string) (session.Tokens, error)) (session.Tokens, error) {
	c, err := d.clientOf(r, form)
	if err != nil {
		return session.Tokens{}, err
	}
	return f(r, c, form)
}

// exchange redeems a code. Codes cannot be guessed; the limit keeps a flood from the store (ENUM-5).
func (d *Door) exchange(r *http.Request, c model.Client, form map[string]string) (session.Tokens, error) {
	if err := d.Limiter.TakeNetwork(limit.Exchanges, web.FactsOf(r.Context()).ClientIP, exchanges); err != nil {
		return session.Tokens{}, err
	}
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if form[name] == "" {
			return session.Tokens{}, missing(name)
		}
	}
	_, tokens, err := d.Grants.Exchange(r.Context(), grant.Exchange{
		Client: c, Code: form["code"], RedirectURI: form["redirect_uri"], Verifier: form["code_verifier"], Origin: web.OriginOf(r),
	})
	if err == nil {
		web.SetOwner(r.Context(), tokens.Owner)
	}
	return tokens, err
}

// exchanges is the rate of code exchanges from one network: an office signs in on Monday morning.
var exchanges = limit.Rate{Burst: 100, PerMinute: 60}

// refresh rotates tokens. Nobody may lose a session to a limit: the one limit, that of the session, answers
// 503 (REF-8). A client that did not register the grant may refresh too, as it was given a refresh token
// (TOK-4).
func (d *Door) refresh(r *http.Request, c model.Client, form map[string]string) (session.Tokens, error) {
	if form["refresh_token"] == "" {
		return session.Tokens{}, missing("refresh_token")
	}
	tokens, err := d.Sessions.Refresh(r.Context(), session.Refresh{
		Kind: model.OAuthSession, Token: form["refresh_token"], ClientID: c.ID, Scope: form["scope"], Origin: web.OriginOf(r),
	})
	if err == nil {
		web.SetOwner(r.Context(), tokens.Owner)
	}
	return tokens, web.NoteRefused(r.Context(), form["refresh_token"], err)
}

func missing(name string) error {
	return model.Errorf(model.MissingParam, "%s is missing", name)
}
