package oauth

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// ProbePrefix begins the bogus tokens by which a doctor learns that the homeserver asks us. No token
// of ours can begin so.
const ProbePrefix = "matrix-auth-doctor-"

// introspection is the answer about an active token: RFC 7662 section 2.2, in the types that Synapse
// insists on (SYN-4).
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope"`
	ClientID  string `json:"client_id"`
	Username  string `json:"username"`
	TokenType string `json:"token_type"`
	Exp       int64  `json:"exp,omitempty"`
	ExpiresIn int64  `json:"expires_in,omitempty"`
	Iat       int64  `json:"iat"`
	Sub       string `json:"sub"`
	Iss       string `json:"iss"`
	Jti       string `json:"jti"`
	DeviceID  string `json:"device_id"`
}

// compatClient is the client_id of sessions that no OAuth client started.
const compatClient = "legacy"

// Introspect answers POST /oauth2/introspect for the homeserver. A refresh token is not active here:
// it must not open the Client-Server API (INTRO-6). The hint is not needed to find a token (INTRO-4).
func (d *Door) Introspect(w http.ResponseWriter, r *http.Request) error {
	form, formErr := web.ReadForm(w, r)
	if err := d.authenticate(r, form["token"]); err != nil {
		d.Count("refused")
		return err
	}
	if formErr != nil {
		return formErr
	}
	value := form["token"]
	if value == "" {
		return &model.Error{Kind: model.Invalid, Code: model.MissingParam, Param: "token", Text: "token is missing"}
	}
	token, err := d.Sessions.Access(value)
	if known := new(model.Error); errors.As(err, &known) && known.Code == model.UnknownToken {
		d.Count("inactive")
		return web.WriteJSON(w, http.StatusOK, struct {
			Active bool `json:"active"`
		}{})
	}
	if err != nil {
		d.Count("failed")
		return err
	}
	// Synapse turns "inactive" into a logout after which clients throw their keys away. A failure it
	// reports as 503 and does not remember (MOD-3, MOD-4).
	if d.Sessions.Registry.Locked(token.UserID) {
		d.Count("locked")
		return &model.Error{Kind: model.Unavailable, Code: model.UserLocked}
	}
	d.Count("active")
	return web.WriteJSON(w, http.StatusOK, d.describe(token))
}

func (d *Door) describe(t model.Token) introspection {
	answer := introspection{
		Active: true, Scope: model.IntrospectedScope(t.Scope), ClientID: compatClient, Username: t.Localpart,
		TokenType: "access_token", Iat: t.CreatedAt.Unix(), Sub: t.UserID, Iss: d.Issuer,
		Jti: t.SessionID + "." + strconv.FormatInt(t.Pair, 10), DeviceID: t.DeviceID,
	}
	if !t.ExpiresAt.IsZero() {
		left := t.ExpiresAt.Sub(d.Sessions.Store.Now())
		answer.Exp = t.ExpiresAt.Unix()
		// Zero would mean "expired" to Synapse, and leaving it out "never expires" (SYN-5): the last
		// second counts as one.
		answer.ExpiresIn = max(1, int64(left.Seconds()))
	}
	return answer
}

// authenticate lets only the holder of the secret ask. Wrong secrets are limited by network, as they
// may come from anywhere (SYN-14); the right one never is.
func (d *Door) authenticate(r *http.Request, token string) error {
	given, ok := web.BearerHeader(r)
	ok = ok && d.knowsSecret(given)
	if strings.HasPrefix(token, ProbePrefix) {
		d.Seen(Probe{Token: token, SecretOK: ok})
	}
	if ok {
		return nil
	}
	if err := d.Limiter.Take("secret "+web.Network(web.FactsOf(r.Context()).ClientIP), d.WrongSecrets); err != nil {
		return err
	}
	return &model.Error{Kind: model.Unauthenticated, Code: model.InvalidClient, Challenge: model.ChallengeBearer}
}
