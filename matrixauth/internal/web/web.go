// Package web is the HTTP toolkit of the doors: how requests are read, how errors become answers on
// each wire, which headers go where, and the cookies of our pages. It knows no feature.
package web

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Handler answers a request, or returns an error that the wire of its route turns into an answer.
// It must not have written anything when it returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Facts are what only the server in front of us can know about a request.
type Facts struct {
	// ClientIP is the address of the client, found through trusted proxies only. It may be empty.
	ClientIP string
}

// Outcome is what a handler tells the request's log line beyond the answer itself. It holds no secret.
type Outcome struct {
	// Owner is the user whom the request was about, with the device if it was about one.
	Owner model.Owner
	// SignIn reports whether a password was tried.
	SignIn bool
	// Refused is the token that a 401 is about, so that a client that goes on with it does not fill the log.
	// The zero hash means that there is none.
	Refused model.TokenHash
}

type factsKey struct{}

type outcomeKey struct{}

// WithFacts attaches the facts of a request.
func WithFacts(ctx context.Context, f Facts) context.Context {
	return context.WithValue(ctx, factsKey{}, f)
}

// FactsOf returns the facts of a request.
func FactsOf(ctx context.Context) Facts {
	f, _ := ctx.Value(factsKey{}).(Facts)
	return f
}

// OriginOf tells where a request came from.
func OriginOf(r *http.Request) model.Origin {
	return model.Origin{IP: FactsOf(r.Context()).ClientIP, UserAgent: r.UserAgent()}
}

// WithOutcome attaches a place for the outcome of a request.
func WithOutcome(ctx context.Context, o *Outcome) context.Context {
	return context.WithValue(ctx, outcomeKey{}, o)
}

// SetUser notes for the request's log line which user it was about.
func SetUser(ctx context.Context, id, localpart string) {
	if o, ok := ctx.Value(outcomeKey{}).(*Outcome); ok {
		o.Owner = model.Owner{UserID: id, Localpart: localpart}
	}
}

// SetOwner notes for the request's log line which user and device it was about.
func SetOwner(ctx context.Context, owner model.Owner) {
	if o, ok := ctx.Value(outcomeKey{}).(*Outcome); ok {
		o.Owner = owner
	}
}

// SetSignIn notes for the request's log line that a password was tried, and gives what notes whose, if
// there is such an account: what was typed may be a password in the wrong field, and is nothing for a log.
func SetSignIn(ctx context.Context) (about func(model.User)) {
	if o, ok := ctx.Value(outcomeKey{}).(*Outcome); ok {
		o.SignIn = true
	}
	return func(who model.User) { SetUser(ctx, who.ID, who.Localpart) }
}

// SetOutcome notes all at once what is known before a route runs.
func SetOutcome(ctx context.Context, known Outcome) {
	if o, ok := ctx.Value(outcomeKey{}).(*Outcome); ok {
		*o = known
	}
}

// NoteRefused notes which token an error refuses, if it is one that refuses a token, and gives the error back.
func NoteRefused(ctx context.Context, token string, err error) error {
	if o, ok := ctx.Value(outcomeKey{}).(*Outcome); ok && err != nil && model.AsError(err).Kind() == model.Unauthenticated {
		o.Refused = model.HashToken(token)
	}
	return err
}

// WriteJSON answers with a JSON document that no cache may keep.
func WriteJSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	// The client has gone if this fails, and there is nobody left to tell.
	_, _ = w.Write(body)
	return nil
}
