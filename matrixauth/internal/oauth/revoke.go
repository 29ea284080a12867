package oauth

import (
	"errors"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Revoke answers POST /oauth2/revoke (RFC 7009). Either token of a session ends it, and the hint does
// not matter (REV-2, REV-5). What a public client was given anybody may revoke who has it, so that a
// scanner can (REV-6); what a confidential client was given, that client alone (REV-7). The body is an
// empty object, as there are clients that parse it (REV-4).
func (d *Door) Revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := web.ReadForm(w, r)
	if err != nil {
		return err
	}
	if form["token"] == "" {
		return missing("token")
	}
	caller, err := d.revoker(r, form)
	if err == nil {
		err = d.revoke(r, caller, form["token"])
	} else {
		err = d.revokeLost(r, form["token"], err)
	}
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

// revoker finds out who asks. A confidential client must prove itself; a public one may leave itself
// out, and one that we do not know counts as nobody.
func (d *Door) revoker(r *http.Request, form map[string]string) (model.Client, error) {
	if r.Header.Get("Authorization") != "" || form["client_secret"] != "" {
		return d.clientOf(r, form)
	}
	if form["client_id"] == "" {
		return model.Client{}, nil
	}
	found, err := d.Clients.Find(r.Context(), form["client_id"])
	if errors.Is(err, model.UnknownClient) {
		return model.Client{}, nil
	}
	if err == nil && !found.Public() {
		return found, model.NewError(model.InvalidClient)
	}
	return found, err
}

// revokeLost is revoke for a client that could not prove itself: a database that forgot a session forgot the registration
// of its client too. Any other token is left alone, and refused is returned.
func (d *Door) revokeLost(r *http.Request, token string, refused error) error {
	lost := d.Sessions.CheckLost(token, false, web.SourceOf(r))
	if lost == nil || errors.Is(lost, model.EndedSoftly) {
		return refused
	}
	return d.Sessions.EndLost(r.Context(), lost)
}

func (d *Door) revoke(r *http.Request, caller model.Client, token string) error {
	found, err := d.Sessions.Find(token)
	if errors.Is(err, model.UnknownToken) || errors.Is(err, model.EndedSoftly) {
		return nil
	}
	if err != nil {
		return d.Sessions.EndLost(r.Context(), err)
	}
	if found.ClientID != "" && found.ClientID != caller.ID {
		owner, err := d.Clients.Find(r.Context(), found.ClientID)
		if err != nil && !errors.Is(err, model.UnknownClient) {
			return err
		}
		if err == nil && !owner.Public() {
			return model.NewError(model.InvalidClient)
		}
	}
	web.SetOwner(r.Context(), found.Owner())
	return d.Sessions.Revoke(r.Context(), found, web.SourceOf(r))
}
