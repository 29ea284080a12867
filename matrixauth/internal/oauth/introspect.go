package oauth

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// ProbePrefix begins the bogus tokens by which a doctor learns that the homeserver asks us.
const ProbePrefix = model.ProbePrefix

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
	DeviceID  string `json:"device_id,omitempty"`
}

// compatClient is the client_id of sessions that no OAuth client started.
const compatClient = "legacy"

// The outcomes of an introspection, for metrics: a token that lives, one that does not, one of a locked user,
// a caller with a wrong secret, a database that may have forgotten the session, and one that did not answer.
const (
	outcomeActive   = "active"
	outcomeInactive = "inactive"
	outcomeLocked   = "locked"
	outcomeRefused  = "refused"
	outcomeLost     = "lost"
	outcomeFailed   = "failed"
)

// Outcomes lists the outcomes of an introspection that Count is told.
var Outcomes = []string{outcomeActive, outcomeInactive, outcomeLocked, outcomeRefused, outcomeLost, outcomeFailed}

// Introspect answers POST /oauth2/introspect: for the homeserver about every token, and for confidential
// clients about their own (INTRO-9). The hint is not needed to find a token (INTRO-4).
func (d *Door) Introspect(w http.ResponseWriter, r *http.Request) error {
	form, formErr := web.ReadForm(w, r)
	caller, err := d.introspector(r, form)
	if err != nil {
		// A database that forgot a session forgot the registration of its client too.
		if lost := d.Sessions.CheckLost(form["token"], false, model.Source{}); lost != nil && !errors.Is(lost, model.EndedSoftly) {
			d.Count(failedOutcome(lost))
			return lost
		}
		d.Count(outcomeRefused)
		return err
	}
	if formErr != nil {
		return formErr
	}
	if form["token"] == "" {
		return missing("token")
	}
	token, err := d.inspected(caller, form["token"])
	if errors.Is(err, model.UnknownToken) || errors.Is(err, model.ExpiredToken) || errors.Is(err, model.EndedSoftly) {
		d.Count(outcomeInactive)
		return web.WriteJSON(w, http.StatusOK, struct {
			Active bool `json:"active"`
		}{})
	}
	if errors.Is(err, model.UserLocked) {
		// Synapse turns "inactive" into a logout after which clients throw their keys away. A failure it
		// reports as 503 and does not remember (MOD-3, MOD-4).
		d.Count(outcomeLocked)
		return err
	}
	if err != nil {
		d.Count(failedOutcome(err))
		return err
	}
	d.Count(outcomeActive)
	return web.WriteJSON(w, http.StatusOK, d.describe(caller, token))
}

// failedOutcome is the outcome of an introspection that an error other than one about the token itself answered.
func failedOutcome(err error) string {
	if errors.Is(err, model.TemporarilyDown) {
		return outcomeLost
	}
	return outcomeFailed
}

// inspector is who asks about a token: the homeserver, or a client.
type inspector struct {
	homeserver bool
	clientID   string
}

// inspected finds an active token that the caller may see. The homeserver sees access tokens alone, as a
// refresh token must not open the Client-Server API (INTRO-6); a client sees its own of both kinds.
func (d *Door) inspected(caller inspector, value string) (model.Token, error) {
	if caller.homeserver {
		return d.Sessions.Introspect(value)
	}
	return d.Sessions.IntrospectOwn(value, caller.clientID)
}

func (d *Door) describe(caller inspector, t model.Token) introspection {
	answer := introspection{
		Active: true, Scope: t.Scope, ClientID: cmp.Or(t.ClientID, compatClient), Username: t.Localpart,
		TokenType: "access_token", Iat: t.CreatedAt.Unix(), Sub: t.UserID, Iss: d.Issuer,
		Jti: t.SessionID + "." + strconv.FormatInt(t.Pair, 10), DeviceID: t.DeviceID,
	}
	if caller.homeserver {
		answer.Scope = model.IntrospectedScope(t.Scope)
	}
	if t.Kind.Refresh() {
		answer.TokenType = "refresh_token"
	}
	if !t.ExpiresAt.IsZero() {
		left := t.ExpiresAt.Sub(d.Sessions.Now())
		answer.Exp = t.ExpiresAt.Unix()
		// Zero would mean "expired" to Synapse, and leaving it out "never expires" (SYN-5): the last
		// second counts as one.
		answer.ExpiresIn = max(1, int64(left.Seconds()))
	}
	return answer
}

// introspector lets only the holder of the secret and confidential clients ask. Wrong secrets are limited
// by network, as they may come from anywhere (SYN-14); the right ones never are.
func (d *Door) introspector(r *http.Request, form map[string]string) (inspector, error) {
	given, bearer := web.BearerHeader(r)
	trusted := bearer && d.knowsSecret(given)
	if kind, _ := model.ParseToken(form["token"]); kind == model.DoctorProbe {
		d.Seen(Probe{Token: form["token"], SecretOK: trusted})
	}
	if trusted {
		return inspector{homeserver: true}, nil
	}
	refused := error(model.NewError(model.InvalidClient).WithChallenge(model.ChallengeBearer))
	if isBasic(r) || !bearer && form["client_secret"] != "" {
		c, err := d.clientOf(r, form)
		if err == nil && !c.Public() {
			return inspector{clientID: c.ID}, nil
		}
		if err != nil {
			refused = err
		}
	}
	if err := d.Limiter.TakeNetwork(limit.WrongSecrets, web.ClientIP(r), d.WrongSecrets); err != nil {
		return inspector{}, err
	}
	return inspector{}, refused
}

func isBasic(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Basic")
}
