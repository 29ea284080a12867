package page

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Page is what one of the templates shows. Each of its types belongs to one template, and may implement
// the interfaces below.
type Page interface{ template() string }

// A localizedPage knows in which languages an app wants it.
type localizedPage interface{ uiLocales() string }

// A formPage has a form that may come back with a problem.
type formPage interface {
	// action is where the form is sent: a path below that of our pages, with its query.
	action() string
	// problems are the texts for what may be wrong.
	problems() map[model.Code]string
}

// A retryPage knows when another try makes sense.
type retryPage interface{ retry() time.Duration }

// An outcomePage tells an outcome: the texts with this prefix and ".title" and ".text".
type outcomePage interface{ outcome() string }

// A scriptPage has a script, which its policy must allow.
type scriptPage interface{ script() string }

// Form is what every page has whose form may be refused.
type Form struct {
	// Problem says why an earlier try failed; empty at the first.
	Problem model.Code
	// Retry is the time after which another try makes sense; zero if none is known.
	Retry time.Duration
}

func (f Form) retry() time.Duration { return f.Retry }

// Goal is where the person goes on once a page is done: with an app's request, or at something on the account
// page. It is empty for who came without any.
type Goal struct {
	// Request is the authorization request that waits, Client the name of the app that made it.
	Request, Client string
	// Action and DeviceID are what the account page was asked for.
	Action, DeviceID string
	// UILocales are the languages that the app asked for.
	UILocales string
}

func (g Goal) uiLocales() string { return g.UILocales }

// query returns the goal as it stands in an address, with the question mark.
func (g Goal) query() string {
	if values := g.values(); len(values) > 0 {
		return "?" + values.Encode()
	}
	return ""
}

// Login is the sign-in page. Where to go afterwards stands in the form's address, so that it is known
// even if the form itself cannot be accepted.
type Login struct {
	Goal
	// Form has the problem InvalidCredentials, RateLimited or CrossOrigin.
	Form
	// Username fills the form in.
	Username string
	// Create reports whether the app asked for a new account, which the operator alone can make (CREATE-1).
	Create bool
	// Registers reports whether people can make an account by themselves.
	Registers bool
	// Again reports whether the person is signed in already and the app wants them to prove it again.
	Again bool
	// Admin reports whether the app asks to administer the homeserver, for which the password must be a fresh one.
	Admin bool
	// Recovery reports whether a link for a forgotten password can be asked for.
	Recovery bool
}

func (Login) template() string { return "login" }

func (p Login) action() string { return LoginPath + p.query() }

func (Login) problems() map[model.Code]string {
	return map[model.Code]string{
		model.InvalidCredentials: "login.wrong",
		model.RateLimited:        "login.limited",
		model.CrossOrigin:        "login.expired",
	}
}

// Consent asks whether an app may have what it asks for. Names and addresses are the app's own words.
type Consent struct {
	Goal
	// ClientURI is the app's website, ClientHost the host of that.
	ClientURI, ClientHost string
	TOSURI, PolicyURI     string
	// Vouched reports whether the operator put the app into the configuration.
	Vouched bool
	// Destination is where the answer goes: a host, or the scheme of a native app.
	Destination string
	// Account is the Matrix id of who is signed in, OtherAccount the one that the app asked for if that
	// is another (SESS-9).
	Account, OtherAccount string
	// Create reports whether the app asked for a new account, which the person can make in place of going on.
	Create bool
	// Device is the device that the app will be; empty for an app without one. Replaces tells that it is
	// signed in already and that session will end.
	Device   string
	Replaces bool
	// Scopes are what the app asks for. Admin reports whether the administration of the server is among it.
	Scopes []*model.Scope
	Admin  bool
}

func (Consent) template() string { return "consent" }

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// FormPost sends an answer to an app by a form that submits itself where scripts may run, and has a
// button where they may not (OAuth 2.0 Form Post Response Mode).
type FormPost struct {
	// Action is the app's redirect URI, an https address.
	Action string
	Fields []Field
}

func (FormPost) template() string { return "form_post" }

func (FormPost) script() string { return submitScript }

// submitScript sends the form of FormPost.
const submitScript = `document.getElementById("answer").submit()`

// Return shows where the browser would go, and lets the person decide: for answers to apps that have
// proved nothing yet, and for addresses that only an app can open.
type Return struct {
	// Client is the app's name; empty if it is better not told.
	Client string
	// URL is the app's redirect URI with the answer in it; Destination its host, or its scheme.
	URL, Destination string
	// Code is the OAuth error code of the answer; empty if it is no error. Problem says more for the
	// makers of the app; it comes from us and repeats nothing of the request.
	Code, Problem string
	// UILocales are the languages that the app asked for.
	UILocales string
}

func (Return) template() string { return "return" }

func (p Return) uiLocales() string { return p.UILocales }

func (p Return) outcome() string {
	switch p.Code {
	case "":
		return "return"
	case string(model.AccessDenied):
		return "error." + topic(model.AccessDenied)
	}
	return "error." + topic(model.InvalidParam)
}

// Done says that a sign-in is complete and the app has all it needs: to who comes back to a page of it.
type Done struct {
	// Client is the app's name, URL its website; empty if there is none that is surely its own.
	Client, URL string
	// UILocales are the languages that the app asked for.
	UILocales string
}

func (Done) template() string { return "done" }

func (p Done) uiLocales() string { return p.UILocales }

// Blocked says that the account of who is signed in may do nothing at present, and shows the ways out.
type Blocked struct {
	// Code is UserLocked or UserDeactivated, Account the Matrix id of whom it is about.
	Code    model.Code
	Account string
	Goal
}

func (Blocked) template() string { return "blocked" }

func (p Blocked) outcome() string { return "error." + topic(p.Code) }

// SignedOut says that the browser is signed out.
type SignedOut struct{}

func (SignedOut) template() string { return "signed_out" }

// Account is the first of the account pages: the apps that are signed in, and those that need not ask.
type Account struct {
	inApps
	MatrixID string
	// Sessions are those of apps.
	Sessions []Session
	// Granted are the apps that need not ask again.
	Granted []Granted
	// Ended reports whether a session was signed out just now, and EndedAll whether several were.
	Ended, EndedAll bool
	// Renamed reports whether a device was given a name just now, and Changed whether the password was changed.
	Renamed, Changed bool
}

func (Account) template() string { return "account" }

// Browsers is the page with the browsers that are signed in.
type Browsers struct {
	inBrowsers
	MatrixID string
	// Browsers are the sessions, that of the browser that asks first.
	Browsers []Session
	// Ended reports whether one was signed out just now, and EndedAll whether several were.
	Ended, EndedAll bool
}

func (Browsers) template() string { return "browsers" }

// Withdrawn says that an app has to ask again. It is a page of its own: whoever clicks twice on a list that
// has moved meets another app, or their own browser.
type Withdrawn struct{}

func (Withdrawn) template() string { return "withdrawn" }

// Granted is an app to which the person consented, and which need not ask again.
type Granted struct {
	// ClientID is the client's id, ClientName its name, empty for one that is gone, and Host the host of its
	// address.
	ClientID, ClientName, Host string
	// At is the time of the last consent.
	At time.Time
}

// Session is one line of the account page.
type Session struct {
	ID                     string
	ClientName, ClientHost string
	DeviceID, DeviceName   string
	// Agent is a browser or an app in a few words, such as "Firefox, Linux" or "matrix-nio/0.26"; empty if
	// nobody knows.
	Agent string
	// SignedIn is the time of the sign-in, LastActive that of the last use.
	SignedIn, LastActive time.Time
	IP                   string
	// Twice reports whether two parties were found to refresh the session of an app at once, from one network.
	Twice bool
	// Current is the browser that asks; Chosen the session that a link asked for.
	Current, Chosen bool
}

// Name returns what the session of an app is called: by the app's own name, else by that of the device, else
// by what the app said it is when it signed in. It is empty if it said nothing.
func (s Session) Name() string { return cmp.Or(s.ClientName, s.DeviceName, s.Agent) }

// EndSession asks whether the session of an app is to be signed out, and says what is lost with it (ACCT-5).
type EndSession struct {
	inApps
	Proof
	Session
}

func (EndSession) template() string { return "end_session" }

func (p EndSession) action() string { return EndSessionPath + "?session=" + p.ID }

// EndBrowser asks whether another browser is to be signed out (ACCT-5).
type EndBrowser struct {
	inBrowsers
	Proof
	Session
}

func (EndBrowser) template() string { return "end_browser" }

func (p EndBrowser) action() string { return EndSessionPath + "?browser=" + p.ID }

// EndOthers asks whether several sessions are to be signed out at once, and says what is lost with them
// (ACCT-5, ACCT-12).
type EndOthers struct {
	Proof
	// Apps reports whether it is about all apps; otherwise about all browsers but the one that asks.
	Apps bool
	// Number is how many will be signed out, more than none.
	Number int
}

func (EndOthers) template() string { return "end_others" }

func (p EndOthers) section() string {
	if p.Apps {
		return inApps{}.section()
	}
	return inBrowsers{}.section()
}

// What is the choice as it stands in the form.
func (p EndOthers) What() string {
	if p.Apps {
		return "apps"
	}
	return "browsers"
}

func (p EndOthers) action() string { return EndOthersPath + "?what=" + p.What() }

// EndSelected asks whether the sessions of several apps that the person chose are to be signed out, and says what is lost
// with them (ACCT-5).
type EndSelected struct {
	inApps
	Proof
	// Sessions are the chosen ones, more than one.
	Sessions []Session
}

func (EndSelected) template() string { return "end_selected" }

func (p EndSelected) ids() (all []string) {
	for _, s := range p.Sessions {
		all = append(all, s.ID)
	}
	return all
}

// IDs are the ids of the sessions as they stand in the form.
func (p EndSelected) IDs() string { return strings.Join(p.ids(), " ") }

func (p EndSelected) action() string {
	return EndSessionPath + "?" + url.Values{"session": p.ids()}.Encode()
}

// Reset asks whether the user's apps may replace the cross-signing keys, and says what that means (XS-3).
type Reset struct {
	Proof
	// Action is the action that leads to this page.
	Action string
}

func (Reset) template() string { return "reset" }

func (Reset) action() string { return ResetPath }

func (Reset) problems() map[model.Code]string {
	return map[model.Code]string{
		model.InvalidCredentials: "reset.wrong",
		model.RateLimited:        "login.limited",
		model.LoginRequired:      "reset.late",
		model.CrossOrigin:        "reset.stale",
		model.TemporarilyDown:    "reset.down",
	}
}

// ResetAllowed sends the person back to the app, where the reset goes on (XS-7).
type ResetAllowed struct {
	// Left is for how long it is allowed.
	Left time.Duration
}

func (ResetAllowed) template() string { return "reset_allowed" }

// Error is an error page. Pages.Error shows it; a door renders it where it knows more.
type Error struct {
	Code model.Code
	// Retry is the time after which another try makes sense; zero if none is known.
	Retry time.Duration
	// Account leads to the account page.
	Account bool
}

func (Error) template() string { return "error" }

func (p Error) retry() time.Duration { return p.Retry }

func (p Error) outcome() string { return "error." + topic(p.Code) }
