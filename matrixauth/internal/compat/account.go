package compat

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// done is the empty answer to what was done.
type done struct{}

// asker returns the token of a request about the account. What delegation took from old clients is there for their own
// sessions alone (LEG-45): a client of OAuth is led to our pages, and is told what Synapse would tell it.
func (d *Door) asker(r *http.Request) (t model.Token, err error) {
	if !d.Account {
		return t, model.NewError(model.NotRecognized)
	}
	bearer, ok := web.Bearer(r)
	if !ok {
		return t, missingToken()
	}
	if kind, ok := model.ParseToken(bearer); ok && kind == model.OAuthAccess {
		return t, model.NewError(model.NotRecognized)
	}
	owner, err := d.Sessions.MayPass(bearer)
	if err == nil {
		t, err = d.Sessions.Access(bearer)
		owner = t.Owner()
	}
	web.SetOwner(r.Context(), owner)
	return t, web.NoteRefused(r.Context(), bearer, err)
}

// deed reads a request about the account that its user has to confirm.
func (d *Door) deed(w http.ResponseWriter, r *http.Request, endpoint web.Endpoint) (deed, error) {
	t, err := d.asker(r)
	if err != nil {
		return deed{}, err
	}
	has, err := d.Users.HasPassword(r.Context(), t.UserID)
	if err == nil && !has {
		err = model.Errorf(model.AccessDenied, "this account has no password to confirm with; its holder finds everything on the account page")
	}
	if err != nil {
		return deed{}, err
	}
	return readDeed(w, r, t, endpoint)
}

// ChangePassword answers POST account/password of who is signed in. (Without a token the endpoint resets a forgotten password
// by mail, which our pages do.)
func (d *Door) ChangePassword(w http.ResponseWriter, r *http.Request) error {
	asked, err := d.deed(w, r, passwordEndpoint)
	if err != nil {
		return err
	}
	fresh, err := required(asked.body, "new_password")
	if err != nil {
		return err
	}
	others := true // what is not said is the safe way (LEG-48)
	if asked.body.Has("logout_devices") {
		if others, err = asked.body.Bool("logout_devices"); err != nil {
			return err
		}
	}
	proof, old, err := d.confirm(r, asked)
	if err != nil {
		return err
	}
	return d.do(w, r, asked, func(ctx context.Context, by model.Actor) error {
		return d.Users.ChangePasswordInApp(ctx, by, user.AppPasswordChange{Proof: proof, Old: old, New: fresh, SessionID: asked.by.SessionID, Others: others})
	})
}

// Deactivate answers POST account/deactivate.
func (d *Door) Deactivate(w http.ResponseWriter, r *http.Request) error {
	asked, err := d.deed(w, r, deactivateEndpoint)
	if err != nil {
		return err
	}
	erase, err := asked.body.Bool("erase")
	if err != nil {
		return err
	}
	proof, _, err := d.confirm(r, asked)
	if err != nil {
		return err
	}
	if err := d.Users.LeaveByApp(r.Context(), model.Holder(asked.by.UserID, web.SourceOf(r)), proof, asked.by.SessionID, erase); err != nil {
		return d.askAgain(asked, err)
	}
	// We are bound to no identity server.
	return web.WriteJSON(w, http.StatusOK, struct {
		Unbound string `json:"id_server_unbind_result"`
	}{"success"})
}

// DeleteDevice answers DELETE devices/{deviceId}. One that is gone already is no error.
func (d *Door) DeleteDevice(w http.ResponseWriter, r *http.Request) error {
	asked, err := d.deed(w, r, deviceEndpoint)
	if err != nil {
		return err
	}
	return d.deleteDevices(w, r, asked, []string{r.PathValue(deviceEndpoint.Variable)})
}

// DeleteDevices answers POST delete_devices.
func (d *Door) DeleteDevices(w http.ResponseWriter, r *http.Request) error {
	asked, err := d.deed(w, r, devicesEndpoint)
	if err != nil {
		return err
	}
	if !asked.body.Has("devices") {
		return missing("devices")
	}
	devices, err := asked.body.Strings("devices")
	if err != nil {
		return err
	}
	return d.deleteDevices(w, r, asked, devices)
}

func (d *Door) deleteDevices(w http.ResponseWriter, r *http.Request, asked deed, devices []string) error {
	if len(devices) > bound.DevicesAtOnce {
		return model.Errorf(model.InvalidParam, "at most %d devices can be deleted at once", bound.DevicesAtOnce)
	}
	for _, id := range devices {
		// A NUL, or what is no text, in a path would be a job that the homeserver never does, and that holds up what comes after
		// it, such as a deactivation.
		if id == "" || len(id) > bound.Identifier || strings.ContainsRune(id, 0) || !utf8.ValidString(id) {
			return model.Errorf(model.InvalidParam, "there is no such device")
		}
	}
	proof, _, err := d.confirm(r, asked)
	if err != nil {
		return err
	}
	return d.do(w, r, asked, func(ctx context.Context, by model.Actor) error {
		return d.Users.EndDevices(ctx, by, proof, asked.by.SessionID, devices)
	})
}

// do does what was confirmed, and answers.
func (d *Door) do(w http.ResponseWriter, r *http.Request, asked deed, deed func(context.Context, model.Actor) error) error {
	if err := deed(r.Context(), model.Holder(asked.by.UserID, web.SourceOf(r))); err != nil {
		return d.askAgain(asked, err)
	}
	return web.WriteJSON(w, http.StatusOK, done{})
}

// askAgain asks for another proof if the one that was given does not count any more, as the password was changed meanwhile.
func (d *Door) askAgain(asked deed, err error) error {
	if !errors.Is(err, model.LoginRequired) {
		return err
	}
	what, failed := asked.what()
	if failed != nil {
		return failed
	}
	return d.ask(what, model.NewError(model.InvalidCredentials))
}

// Available answers GET register/available (C-S). It needs no token.
func (d *Door) Available(w http.ResponseWriter, r *http.Request) error {
	if !d.Account {
		return model.NewError(model.NotRecognized)
	}
	name := r.URL.Query().Get("username")
	if name == "" {
		return missing("username")
	}
	if err := d.CheckName(r.Context(), web.SourceOf(r), name); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]bool{"available": true})
}
