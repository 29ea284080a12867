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

type clientIPKey struct{}

type outcomeKey struct{}

// WithClientIP attaches the address of the client, which only the server in front of us knows, by its trusted proxies.
// It may be empty.
func WithClientIP(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, clientIPKey{}, ip)
}

// ClientIP returns the address of the client; empty if nobody knows it.
func ClientIP(r *http.Request) string {
	ip, _ := r.Context().Value(clientIPKey{}).(string)
	return ip
}

// SourceOf returns where a request came from: the address and the user agent.
func SourceOf(r *http.Request) model.Source {
	return model.Source{IP: ClientIP(r), UserAgent: r.UserAgent()}
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

// SetSignIn notes for the request's log line that a password was tried, and returns what notes whose, if
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

// NoteRefused notes which token an error refuses, if it is one that refuses a token, and returns the error.
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
