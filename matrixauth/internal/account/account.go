// Package account is the door for people: signing in and out in a browser, and the page that shows
// where an account is signed in.
package account

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/client"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/recovery"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// Config is what the door depends upon.
type Config struct {
	SignIns *signin.SignIns
	// Failures are tries to sign in that failed.
	Failures      *signin.Failures
	Users         *user.Users
	Sessions      *session.Sessions
	Browsers      *browser.Browsers
	Clients       *client.Clients
	Grants        *grant.Grants
	Registrations *registration.Registrations
	// Recoveries set new passwords by links.
	Recoveries *recovery.Recoveries
	Cookie     *web.BrowserCookie
	Devices    *web.DeviceCookie
	Pages      *page.Pages
	// Base is the path below which our pages are, with a slash at its end.
	Base string
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	Now        func() time.Time
	// Count is told the outcome of each sign-in, for metrics.
	Count func(outcome string)
}

// Door answers people.
type Door struct{ Config }

// New makes the door.
func New(c Config) *Door { return &Door{c} }

// sessionNotFound is the answer about a session that the user does not have, whoever else may have it
// (ACCT-4).
func sessionNotFound() error { return model.NewError(model.SessionNotFound) }

// seeOther leads on to a page of ours: the path is a constant, the query made of what was judged, so
// that nobody can be led elsewhere (HTTP-7, HTTP-8).
func (d *Door) seeOther(w http.ResponseWriter, path string, query url.Values) error {
	location := d.Base + path
	if len(query) > 0 {
		location += "?" + query.Encode()
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// blocked shows whose account may do nothing at present, and the ways out, if that is what an error says.
// It returns any other error.
func (d *Door) blocked(w http.ResponseWriter, r *http.Request, who model.User, shown page.Blocked, err error) error {
	if who.ID == "" || !model.IsBlocked(err) {
		return err
	}
	web.SetUser(r.Context(), who.ID, who.Localpart)
	shown.Code = model.AsError(err).Code
	shown.Account = model.MatrixID(who.Localpart, d.ServerName)
	return d.refuse(w, r, shown, err)
}

// refuse shows a page with what stands in the way, and returns the error: the answer is written then, and the log says what
// it was.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, shown page.Page, err error) error {
	if failed := d.Pages.Render(w, r, web.StatusOf(web.PageWire, err), shown); failed != nil {
		return failed
	}
	return err
}

// lead leads on to a step on the way to a goal.
func (d *Door) lead(w http.ResponseWriter, goal signin.Goal, step signin.Step) error {
	w.Header().Set("Location", d.Base+signin.Address(goal, step))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// browser returns the browser that asks.
func (d *Door) browser(r *http.Request) signin.Browser {
	return signin.Browser{Value: d.Cookie.Value(r), Source: web.SourceOf(r)}
}

// owner finds who is signed in in the browser that asks. Without anybody it leads to the sign-in, and on to
// the goal afterwards; an account that may do nothing is shown as blocked. Then ok is false, and err is what the
// handler returns.
func (d *Door) owner(w http.ResponseWriter, r *http.Request, goal signin.AccountPage) (signedIn model.BrowserSession, who model.User, ok bool, err error) {
	return d.ownerOrAgain(w, r, goal, func() (bool, error) { return false, nil })
}

// ownerOrAgain is owner for a form whose work leaves the browser's value worth nothing. Of one that is sent twice the second may
// come before that work, in the middle of it or after it: again answers the second, and reports false if there was no first.
func (d *Door) ownerOrAgain(w http.ResponseWriter, r *http.Request, goal signin.AccountPage, again func() (bool, error)) (signedIn model.BrowserSession, who model.User, ok bool, err error) {
	step, err := d.SignIns.Step(r.Context(), goal, d.browser(r))
	if err != nil {
		return signedIn, who, false, err
	}
	at := step.At()
	if _, done := step.(signin.Done); !done {
		if answered, err := again(); answered || err != nil {
			return at.Session, at.User, false, err
		}
	}
	switch left := step.(type) {
	case signin.Done:
		web.SetUser(r.Context(), at.User.ID, at.User.Localpart)
		return at.Session, at.User, true, nil
	case signin.Blocked:
		return at.Session, at.User, false, d.blocked(w, r, at.User, page.Blocked{Goal: goalOf(goal)}, left.Reason)
	}
	return at.Session, at.User, false, d.lead(w, goal, step)
}

// holder returns who a request comes from, for what is kept of changes.
func holder(r *http.Request, who model.User) model.Actor {
	return model.Holder(who.ID, web.SourceOf(r))
}
