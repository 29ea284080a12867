package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// passage is a request that went on, as it was then: handlers behind us may change the request itself.
type passage struct {
	request       *http.Request
	path          string
	authorization string
	query         string
}

func passageOf(r *http.Request) passage {
	return passage{request: r, path: r.URL.Path, authorization: r.Header.Get("Authorization"), query: r.URL.RawQuery}
}

// mayBear reports whether the request may bear a token, at no cost.
func (p passage) mayBear() bool { return p.authorization != "" || p.query != "" }

// unknownToken is the errcode of a refused token. Other answers have the same status: the steps of
// user-interactive authentication, for one.
const unknownToken = "M_UNKNOWN_TOKEN"

// keepSession corrects what the homeserver says of the session of a token that it refuses. Under delegation Synapse always says "soft_logout: false", upon which clients
// destroy their keys. It is true as long as the session lives: the client refreshes or signs in again on
// its device, and keeps them (SOFT-2..5). If we cannot tell, the answer is an error, and no client acts
// upon a refusal that may be wrong (SOFT-7).
func (g *Gateway) keepSession(p passage, body []byte) ([]byte, error) {
	document, err := web.ParseObject(body)
	if err != nil {
		return nil, nil // not the homeserver's own answer
	}
	if code, err := document.String("errcode"); err != nil || code != unknownToken {
		return nil, nil
	}
	token, err := g.bearer(p)
	if errors.Is(err, model.EndedSoftly) {
		document["soft_logout"] = json.RawMessage("true")
		return json.Marshal(document)
	}
	if err != nil || token == nil {
		return nil, err
	}
	expired := token.Expired(g.Sessions.Now())
	refusal := Refusal{
		Token: token.Hash, Dead: expired, Expected: expired, Owner: token.Owner(), IP: g.ClientIP(p.request),
	}
	if g.Refusals.Note(refusal) && !expired {
		g.Logger.LogAttrs(p.request.Context(), slog.LevelWarn, "the homeserver refused a token that is live", refusal.attrs(g.ServerName)...)
	}
	if g.Refused != nil && !expired {
		g.Refused(*token)
	}
	document["soft_logout"] = json.RawMessage("true")
	return json.Marshal(document)
}

// expiredRefusal is the refusal of an expired token whose session lives, endedRefusal that of a token whose session
// ended softly.
const (
	expiredRefusal = `{"errcode":"M_UNKNOWN_TOKEN","error":"The access token has expired","soft_logout":true}`
	endedRefusal   = `{"errcode":"M_UNKNOWN_TOKEN","error":"The session has ended; sign in again","soft_logout":true}`
)

// keepExpired is keepSession for an answer that cannot be read. The answer to an expired token, or to one of a session
// that ended softly, can say but one thing, and says it in our words; any other passes.
func (g *Gateway) keepExpired(p passage) ([]byte, error) {
	token, err := g.bearer(p)
	if errors.Is(err, model.EndedSoftly) {
		return []byte(endedRefusal), nil
	}
	if err != nil || token == nil || !token.Expired(g.Sessions.Now()) {
		return nil, err
	}
	return []byte(expiredRefusal), nil
}

// bearer finds the token of a refused request if its session lives, and counts the refusal if not. Its error is
// EndedSoftly for a token of a session that ended so.
func (g *Gateway) bearer(p passage) (*model.Token, error) {
	value, ok := web.BearerOf(p.authorization, p.query)
	if !ok {
		return nil, nil
	}
	token, err := g.owner(value)
	if errors.Is(err, model.UnknownToken) || errors.Is(err, model.EndedSoftly) {
		g.noteUnknown(p, value)
	}
	if errors.Is(err, model.UnknownToken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &token, nil
}

// noteUnknown counts the refusal of a token that is not in the store.
func (g *Gateway) noteUnknown(p passage, value string) {
	n := Refusal{Token: model.HashToken(value), Dead: model.MintedToken(value)}
	n.Owner, _ = g.Sessions.Retired(n.Token)
	n.IP = g.ClientIP(p.request)
	if g.Refusals.Note(n) {
		g.Logger.LogAttrs(p.request.Context(), slog.LevelInfo, "the homeserver refused a token", n.attrs(g.ServerName)...)
	}
}

// CountRefusal counts an answer of ours that refuses a token, and reports whether it is to be logged. It adds
// to the outcome whose the token was.
func (g *Gateway) CountRefusal(status int, o *web.Outcome, clientIP string) (log bool) {
	who, retired := g.Sessions.Retired(o.Refused)
	refusal := Refusal{Token: o.Refused, Dead: retired, Owner: cmp.Or(who, o.Owner), IP: clientIP}
	if status == http.StatusTooManyRequests {
		refusal, log = g.Refusals.Delayed(o.Refused)
	} else {
		log = g.Refusals.Note(refusal)
	}
	o.Owner = cmp.Or(refusal.Owner, o.Owner)
	return log
}

// Throttle returns an Error with code RateLimited for the request of a client that goes on with a refused token
// although it was told often enough. It checks the token each time, so that nobody waits because of what was true
// earlier. It also returns what is to be logged. It costs one atomic load while there is no such client.
func (g *Gateway) Throttle(r *http.Request) (known web.Outcome, err error) {
	if !g.Refusals.throttling.Load() || r.Method == http.MethodOptions {
		return known, nil
	}
	p := passageOf(r)
	value, ok := web.BearerOf(p.authorization, p.query)
	if !ok {
		return known, nil
	}
	hash := model.HashToken(value)
	wait, must := g.Refusals.Wait(hash)
	if !must {
		return known, nil
	}
	token, err := g.owner(value)
	switch {
	case err == nil && !token.Expired(g.Sessions.Now()):
		g.Refusals.Forget(hash)
		return known, nil
	case err != nil && !errors.Is(err, model.UnknownToken) && !errors.Is(err, model.EndedSoftly):
		return known, err
	}
	return web.Outcome{Refused: hash}, model.NewError(model.RateLimited).WithRetry(wait)
}

// owner finds the row of a token while the store is open.
func (g *Gateway) owner(value string) (model.Token, error) {
	leave, err := g.Enter()
	if err != nil {
		return model.Token{}, err
	}
	defer leave()
	token, err := g.Sessions.Owner(value)
	if model.Inconclusive(err) {
		g.Logger.Error("the owner of a refused token could not be read", "error", err)
		return token, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return token, err
}
