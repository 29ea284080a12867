package grant

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Ask is an authorization request as it came; a parameter that is missing is empty, as one that is
// empty counts as missing (AUTHZ-2).
type Ask struct {
	ResponseType, ResponseMode        string
	Scope, State                      string
	HasState                          bool
	Challenge, ChallengeMethod        string
	Prompt, MaxAge                    string
	LoginHint, UILocales              string
	Request, RequestURI, Registration string
}

// None reports whether prompt=none was asked for: no page may be shown (OIDC-10).
func (a Ask) None() bool { return slices.Contains(strings.Fields(a.Prompt), promptNone) }

// ChallengeMethod is the one method of code challenges that we have (RFC 7636 section 4.2). "plain" would put the
// proof itself into the address (DISC-4).
const ChallengeMethod = "S256"

// challenge is the form of an S256 code challenge: a SHA-256 in base64url (RFC 7636 section 4.2).
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

func invalidRequest(text string) error { return model.Errorf(model.InvalidParam, "%s", text) }

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

// Judge judges a request of a client whose redirect URI was found to be its own. Its errors have the
// codes of RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6 and may be told to the client.
func Judge(c model.Client, redirectURI string, a Ask) (r model.AuthorizationRequest, err error) {
	if err := judgeSupported(c, a); err != nil {
		return r, err
	}
	r = model.AuthorizationRequest{
		RedirectURI: redirectURI, State: a.State, HasState: a.HasState, LoginHint: clip(a.LoginHint), UILocales: clip(a.UILocales),
	}
	if r.ResponseMode, err = a.Mode(redirectURI); err != nil {
		return r, err
	}
	if kept(a.State) > maxState {
		return r, invalidRequest("state is too long")
	}
	// PKCE is asked of every client: a code that leaks is worth nothing without it (AUTHZ-8, RFC 9700
	// section 2.1.1).
	switch {
	case a.Challenge == "":
		return r, invalidRequest("code_challenge is missing; PKCE is required")
	case a.ChallengeMethod != ChallengeMethod:
		return r, invalidRequest("code_challenge_method must be " + ChallengeMethod)
	case !challenge.MatchString(a.Challenge):
		return r, invalidRequest("code_challenge must be 43 characters of base64url")
	}
	r.Challenge = a.Challenge
	if r.Scope, r.DeviceID, err = judgeScope(a.Scope); err != nil {
		return r, err
	}
	if err := judgePrompt(a.Prompt, &r); err != nil {
		return r, err
	}
	r.MaxAge, err = judgeMaxAge(a.MaxAge)
	return r, err
}

func judgeSupported(c model.Client, a Ask) error {
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

func judgeMaxAge(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		return nil, invalidRequest("max_age must be a number of seconds")
	}
	return &seconds, nil
}

// maxState bounds a state, in bytes as it is kept: for an hour, and anybody may send one.
const maxState = 4096

// kept is how many bytes a text takes in a row: a control character is one byte on the wire and six there.
func kept(text string) int {
	quoted, err := model.MarshalText(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return len(quoted) - len(`""`)
}

// takesForms reports whether a form can be sent to an address: a scheme of an app opens the app and brings
// nothing of the form along.
func takesForms(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}

// clip bounds what a client says to help the user along. What is longer is no help.
func clip(text string) string {
	const most = 512
	if kept(text) > most {
		return ""
	}
	return text
}

// requestLife is how long the user may take to sign in and approve (AUTHZ-23).
const requestLife = time.Hour

// Begin keeps a judged request until its user approves. The browser is given its id alone.
// ip is the address from which it was asked for.
func (g *Grants) Begin(ctx context.Context, c model.Client, r model.AuthorizationRequest, ip string) (id string, err error) {
	err = g.config.Store.Update(ctx, func(tx *store.Tx) error {
		a, err := begin(tx, c, r, ip)
		id = a.ID
		return err
	})
	return id, err
}

// Shown notes that a browser was shown the page of a request: somebody most likely has it before their eyes,
// and requests that anybody makes in masses give way before it.
func (g *Grants) Shown(ctx context.Context, p Pending) error {
	if !p.ShownAt.IsZero() {
		return nil
	}
	return g.config.Store.Update(ctx, func(tx *store.Tx) error { return tx.ShowAuthorization(p.Authorization) })
}

func begin(tx *store.Tx, c model.Client, r model.AuthorizationRequest, ip string) (model.Authorization, error) {
	a := model.Authorization{ID: model.NewRequestID(), ClientID: c.ID, Request: r, Network: model.Site(ip), CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(requestLife)}
	return a, tx.InsertAuthorization(a)
}
