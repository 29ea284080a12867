package grant

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
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

func invalidRequest(text string) error { return model.Errorf(model.InvalidParam, "%s", text) }

// ParseRequest checks a request of a client whose redirect URI was found to be its own. Its errors have the
// codes of RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6 and may be told to the client.
func ParseRequest(c model.Client, redirectURI string, a Ask) (r model.Request, err error) {
	if r.Delivery, err = parseRedirect(c, redirectURI, a); err != nil {
		return r, err
	}
	r.Asked, err = parseAsked(a)
	return r, err
}

// parseAsked checks what a client asks a user for, however the answer is delivered.
func parseAsked(a Ask) (asked model.Asked, err error) {
	asked = model.Asked{LoginHint: clip(a.LoginHint), UILocales: clip(a.UILocales)}
	if asked.Scope, asked.DeviceID, err = parseScope(a.Scope); err != nil {
		return asked, err
	}
	if err := parsePrompt(a.Prompt, &asked); err != nil {
		return asked, err
	}
	asked.MaxAge, err = parseMaxAge(a.MaxAge)
	return asked, err
}

func parseMaxAge(text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		return nil, invalidRequest("max_age must be a number of seconds")
	}
	return &seconds, nil
}

// kept returns how many bytes a text takes in a row: a control character is one byte on the wire and six there.
func kept(text string) int {
	quoted, err := model.MarshalText(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return len(quoted) - len(`""`)
}

// clip bounds what a client says to help the user along. What is longer is no help.
func clip(text string) string {
	const most = 512
	if kept(text) > most {
		return ""
	}
	return text
}

// Begin keeps a request that was checked until its user approves. The browser is given its id alone.
// ip is the address from which it was asked for.
func (g *Grants) Begin(ctx context.Context, c model.Client, r model.Request, ip string) (id string, err error) {
	err = g.config.Store.Update(ctx, func(tx *store.Tx) error {
		id, err = g.BeginIn(tx, c, r, ip)
		return err
	})
	return id, err
}

// BeginIn is Begin for those who have a transaction.
func (g *Grants) BeginIn(tx *store.Tx, c model.Client, r model.Request, ip string) (id string, err error) {
	a := model.Authorization{ID: model.NewRequestID(), ClientID: c.ID, Request: r, Network: model.Site(ip), CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(bound.RequestLife)}
	return a.ID, tx.InsertAuthorization(a)
}

// Shown notes that a browser was shown the page of a request. Somebody is probably looking at it, so requests that
// were made in masses are removed before it.
func (g *Grants) Shown(ctx context.Context, p Pending) error {
	if !p.ShownAt.IsZero() {
		return nil
	}
	return g.config.Store.Update(ctx, func(tx *store.Tx) error { return tx.ShowAuthorization(p.Authorization) })
}
