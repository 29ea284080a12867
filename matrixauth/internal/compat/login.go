package compat

import (
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// The login types that we know.
const (
	passwordLogin   = "m.login.password"
	appserviceLogin = "m.login.application_service"
)

// flow is one entry of GET /login.
type flow struct {
	Type string `json:"type"`
}

// Flows answers GET /login with the flows that work (LEG-10).
func (d *Door) Flows(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, map[string][]flow{"flows": {{Type: passwordLogin}}})
}

// loginAnswer is the body of a successful login (LEG-15).
type loginAnswer struct {
	UserID       string `json:"user_id"`
	AccessToken  string `json:"access_token"`
	DeviceID     string `json:"device_id"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresInMS  int64  `json:"expires_in_ms,omitempty"`
}

// Login answers POST /login.
func (d *Door) Login(w http.ResponseWriter, r *http.Request) error {
	answer, err := d.login(w, r)
	d.Count("login", model.Result(err))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}

func (d *Door) login(w http.ResponseWriter, r *http.Request) (loginAnswer, error) {
	body, err := web.ReadObject(w, r)
	if err != nil {
		return loginAnswer{}, err
	}
	request, err := parseLogin(body)
	if err != nil {
		return loginAnswer{}, err
	}
	// A client that runs in a browser at our own host brings the cookie along.
	proof, err := d.SignIns.ByPassword(r.Context(), signin.Attempt{
		Identifier: request.identifier, Password: request.password, IP: web.ClientIP(r), UserAgent: web.SourceOf(r).UserAgent, Devices: d.Devices.Values(r),
		About: web.SetSignIn(r.Context()),
	})
	if err != nil {
		return loginAnswer{}, err
	}
	found := proof.User
	web.SetUser(r.Context(), found.ID, found.Localpart)
	started, tokens, err := d.Sessions.Start(r.Context(), session.Start{
		Kind: model.CompatSession, User: found, DeviceID: request.deviceID, DeviceName: request.deviceName,
		Scope: model.CompatScope(false), Refreshable: request.refresh, Source: web.SourceOf(r),
	})
	if err != nil {
		return loginAnswer{}, err
	}
	web.SetOwner(r.Context(), tokens.Owner)
	return loginAnswer{
		UserID: model.MatrixID(found.Localpart, d.ServerName), DeviceID: started.DeviceID,
		AccessToken: tokens.Access, RefreshToken: tokens.Refresh, ExpiresInMS: tokens.Life.Milliseconds(),
	}, nil
}

// loginRequest is the body of POST /login, judged.
type loginRequest struct {
	identifier user.Identifier
	password   string
	deviceID   string
	deviceName string
	refresh    bool
}

// parseLogin judges a body. The type comes first: an application service must learn that it cannot
// log in before anything else is found wrong (ASV-2).
func parseLogin(body web.Object) (p loginRequest, err error) {
	kind, err := body.String("type")
	if err != nil {
		return p, err
	}
	switch kind {
	case "":
		return p, missing("type")
	case appserviceLogin:
		return p, model.NewError(model.AppserviceLogin)
	case passwordLogin:
	default:
		return p, model.NewError(model.UnknownLoginType)
	}
	if p.identifier, err = parseIdentifier(body); err != nil {
		return p, err
	}
	if !body.Has("password") {
		return p, missing("password")
	}
	if p.password, err = body.String("password"); err != nil {
		return p, err
	}
	return p, parseDevice(body, &p)
}

func parseDevice(body web.Object, p *loginRequest) (err error) {
	if p.deviceID, err = body.String("device_id"); err != nil {
		return err
	}
	if p.deviceID != "" {
		if err := model.CheckDeviceID(p.deviceID); err != nil {
			return err
		}
	}
	if p.deviceName, err = body.String("initial_device_display_name"); err != nil {
		return err
	}
	if p.refresh, err = body.Bool("refresh_token"); err != nil || p.refresh {
		return err
	}
	p.refresh, err = body.Bool("org.matrix.msc2918.refresh_token")
	return err
}

// parseIdentifier understands the present form and the deprecated members beside it (LEG-16..19).
func parseIdentifier(body web.Object) (id user.Identifier, err error) {
	identifier, err := body.Object("identifier")
	if err != nil {
		return id, err
	}
	kind := "m.id.user"
	switch {
	case identifier != nil:
		if kind, err = identifier.String("type"); err != nil {
			return id, err
		}
	case body.Has("medium") || body.Has("address"):
		identifier, kind = body, "m.id.thirdparty"
	default:
		identifier = body
	}
	switch kind {
	case "":
		return id, missing("identifier.type")
	case "m.id.user":
		id.Name, err = required(identifier, "user")
	case "m.id.thirdparty":
		id.Email, err = parseThirdParty(identifier)
	default:
		return id, model.NewError(model.UnknownIdentifier)
	}
	if err == nil && len(id.Name)+len(id.Email) > bound.Identifier {
		err = model.Errorf(model.InvalidParam, "identifier is too long")
	}
	return id, err
}

func parseThirdParty(identifier web.Object) (string, error) {
	medium, err := required(identifier, "medium")
	if err != nil {
		return "", err
	}
	if medium != "email" {
		return "", model.NewError(model.UnknownIdentifier)
	}
	return required(identifier, "address")
}

func required(o web.Object, name string) (string, error) {
	value, err := o.String(name)
	if err == nil && value == "" {
		err = missing(name)
	}
	return value, err
}

func missing(name string) error {
	return model.Errorf(model.MissingParam, "%s is missing", name)
}
