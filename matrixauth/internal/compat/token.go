package compat

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// refreshAnswer is the body of a successful refresh (LEG-33).
type refreshAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresInMS  int64  `json:"expires_in_ms"`
}

// Refresh answers POST /refresh. No access token is asked for, and a stale one does not matter
// (AMB-20). Nobody may lose a session to a limit: a session that refreshes without a pause gets 503 (REF-8).
func (d *Door) Refresh(w http.ResponseWriter, r *http.Request) error {
	tokens, err := d.refresh(w, r)
	d.Count("refresh", model.Result(err))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, refreshAnswer{
		AccessToken: tokens.Access, RefreshToken: tokens.Refresh, ExpiresInMS: tokens.Life.Milliseconds(),
	})
}

func (d *Door) refresh(w http.ResponseWriter, r *http.Request) (session.Tokens, error) {
	body, err := web.ReadObject(w, r)
	if err != nil {
		return session.Tokens{}, err
	}
	token, err := required(body, "refresh_token")
	if err != nil {
		return session.Tokens{}, err
	}
	tokens, err := d.Sessions.Refresh(r.Context(), session.Refresh{Kind: model.CompatSession, Token: token, Source: web.SourceOf(r)})
	if err == nil {
		web.SetOwner(r.Context(), tokens.Owner)
	}
	return tokens, web.NoteRefused(r.Context(), token, err)
}

// Logout answers POST /logout. The body does not matter (LEG-37).
func (d *Door) Logout(w http.ResponseWriter, r *http.Request) error {
	token, ok := web.Bearer(r)
	if !ok {
		return missingToken()
	}
	owner, err := d.Sessions.Logout(r.Context(), token, web.SourceOf(r))
	if err != nil {
		return web.NoteRefused(r.Context(), token, err)
	}
	web.SetOwner(r.Context(), owner)
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

// LogoutAll answers POST /logout/all (LEG-38).
func (d *Door) LogoutAll(w http.ResponseWriter, r *http.Request) error {
	token, ok := web.Bearer(r)
	if !ok {
		return missingToken()
	}
	found, err := d.Sessions.Unexpired(token)
	if err != nil {
		// Of a session that the database may have forgotten nobody knows which others its user had.
		if err = d.Sessions.EndLost(r.Context(), err); err != nil {
			return web.NoteRefused(r.Context(), token, err)
		}
		return web.WriteJSON(w, http.StatusOK, struct{}{})
	}
	web.SetOwner(r.Context(), found.Owner())
	if err := d.Users.LogoutAll(r.Context(), model.Holder(found.UserID, web.SourceOf(r))); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

func missingToken() error {
	return model.NewError(model.MissingToken)
}
