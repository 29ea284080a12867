package grant

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// redirect delivers the answer by the browser, which carries a code to the client's redirect URI. The client presents
// the code with that address and the verifier of its challenge (RFC 6749 section 4.1, RFC 7636).
type redirect struct{}

func (redirect) approve(tx *store.Tx, a *model.Authorization, answer string) error {
	a.CodeHash, a.CodeExpiresAt = model.HashToken(answer), tx.Now.Add(bound.CodeLife)
	return nil
}

func (redirect) carried(answer string) string { return answer }

// verify checks that the code comes from the client that it was given to: with its redirect URI, and with
// the verifier that nobody else knows. Codes stand in addresses, and so in histories and logs; whoever read
// one there has shown no more than that.
func (redirect) verify(_ *store.Tx, a model.Authorization, e Exchange) error {
	to := a.Delivery.Redirect
	if a.ClientID == e.Client.ID && to.RedirectURI == e.RedirectURI && verifies(e.Verifier, to.Challenge) {
		return nil
	}
	return errUnproven
}

func (redirect) session(a model.Authorization, e Exchange) session.Start {
	return session.Start{
		Kind: model.OAuthSession, DeviceID: a.Asked.DeviceID, NoDevice: a.Asked.DeviceID == "", DeviceName: e.Client.DeviceName(),
		Scope: a.Asked.Scope, Refreshable: true, ClientID: e.Client.ID,
	}
}

// place returns the redirect URI of a web client, which is known by its https address: nobody else answers there. Any app
// on a machine can claim a scheme or a loopback port, so native clients ask each time (AUTHZ-18, AMB-19).
func (redirect) place(c model.Client, d model.Delivery) string {
	if c.Metadata.ApplicationType != model.WebApplication || !strings.HasPrefix(d.Redirect.RedirectURI, "https://") {
		return ""
	}
	return d.Redirect.RedirectURI
}

// ChallengeMethod is the one method of code challenges that we have (RFC 7636 section 4.2). "plain" would put the
// proof itself into the address (DISC-4).
const ChallengeMethod = "S256"

// challenge is the form of an S256 code challenge: a SHA-256 in base64url (RFC 7636 section 4.2).
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Mode returns the response mode of a request. A missing one is query, also for those whose
// specification wants another: clients in use leave it out (AUTHZ-9). One that is unknown, or
// that the redirect URI cannot take, is an error, which travels by query.
func (a Ask) Mode(redirectURI string) (model.ResponseMode, error) {
	mode := model.ResponseMode(a.ResponseMode)
	switch {
	case mode == "":
		return model.ModeQuery, nil
	case !slices.Contains(model.ResponseModes, mode):
		return model.ModeQuery, invalidRequest("this response_mode is not supported")
	case mode == model.ModeFormPost && !takesForms(redirectURI):
		return model.ModeQuery, invalidRequest("form_post needs an http or https redirect_uri")
	}
	return mode, nil
}

// parseRedirect checks how a client wants its answer delivered.
func parseRedirect(c model.Client, redirectURI string, a Ask) (d model.Delivery, err error) {
	if err := checkSupported(c, a); err != nil {
		return d, err
	}
	to := model.Redirect{RedirectURI: redirectURI, State: a.State, HasState: a.HasState, Challenge: a.Challenge}
	if to.ResponseMode, err = a.Mode(redirectURI); err != nil {
		return d, err
	}
	if kept(a.State) > bound.State {
		return d, invalidRequest("state is too long")
	}
	// PKCE is asked of every client: a code that leaks is worth nothing without it (AUTHZ-8, RFC 9700
	// section 2.1.1).
	switch {
	case a.Challenge == "":
		return d, invalidRequest("code_challenge is missing; PKCE is required")
	case a.ChallengeMethod != ChallengeMethod:
		return d, invalidRequest("code_challenge_method must be " + ChallengeMethod)
	case !challenge.MatchString(a.Challenge):
		return d, invalidRequest("code_challenge must be 43 characters of base64url")
	}
	return model.Delivery{Kind: model.ByRedirect, Redirect: to}, nil
}

func checkSupported(c model.Client, a Ask) error {
	switch {
	case a.Request != "":
		return model.NewError(model.RequestNotSupported) // PAR-10: never silently ignored
	case a.RequestURI != "":
		return model.NewError(model.RequestURINotSupported)
	case a.Registration != "":
		return model.NewError(model.RegistrationUnsupported)
	case a.ResponseType == "":
		return invalidRequest("response_type is missing")
	case a.ResponseType != model.ResponseCode:
		return model.NewError(model.UnsupportedResponseType) // AUTHZ-7
	case !c.MayUse(model.GrantCode):
		return model.NewError(model.UnauthorizedClient) // AUTHZ-15
	}
	return nil
}

// takesForms reports whether a form can be sent to an address: a scheme of an app opens the app and brings
// nothing of the form along.
func takesForms(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}

// verifier is the syntax of RFC 7636 section 4.1 (TOK-10).
var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies checks the proof of RFC 7636 section 4.6.
func verifies(given, challenge string) bool {
	if !verifier.MatchString(given) || challenge == "" {
		return false
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
