package page

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Page is what one of the templates shows. Each of its types belongs to one template.
type Page interface{ template() string }

// Login is the sign-in page. What it carries goes with its form, so that the person is where they
// wanted to be afterwards.
type Login struct {
	// Request is the authorization request to go on with, Client the name of the app that made it.
	Request, Client string
	// Action and DeviceID are what the account page was asked for.
	Action, DeviceID string
	// Username fills the form in.
	Username string
	// Create tells that the app asked for a new account, which the operator alone can make (CREATE-1).
	Create bool
	// Problem says why an earlier try failed: InvalidCredentials, RateLimited or CrossOrigin.
	Problem model.Code
}

func (Login) template() string { return "login" }

// Consent asks whether an app may have what it asks for. Names and addresses are the app's own words,
// cleaned by Clean; hosts are those of addresses that were judged.
type Consent struct {
	ClientName string
	// ClientURI is the app's website, an https address or empty; ClientHost its host.
	ClientURI, ClientHost string
	// RedirectHost is where the answer goes: a host, or the scheme of a native app.
	RedirectHost      string
	TOSURI, PolicyURI string
	// Scopes are the parts of the catalogue that say what the app may do, as Scopes gives them.
	Scopes []string
	// Account is the Matrix id of who is signed in.
	Account string
	// DeviceReplaced tells that the app's device is signed in already and that session will end.
	DeviceReplaced bool
	// OtherAccountHint is the account that the app asked for, if that is another one (SESS-9).
	OtherAccountHint string
	// RequestID is the authorization request.
	RequestID string
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

// Return shows where the browser would go, and lets the person decide: for answers to apps that have
// proved nothing yet, and for addresses that only an app can open.
type Return struct {
	// URL is the app's redirect URI with the answer in it; Host its host, or its scheme.
	URL, Host string
	// Client is the app's name; empty if it is better not told.
	Client string
	// Reason is why there is no sign-in; empty if there is one. AccessDenied says that the person declined.
	Reason model.Code
}

func (Return) template() string { return "return" }

// SignedOut says that the browser is signed out.
type SignedOut struct{}

func (SignedOut) template() string { return "signed_out" }

// Account is the account page: who is signed in, and where.
type Account struct {
	MatrixID string
	// Sessions are those of apps, Browsers those of our pages.
	Sessions, Browsers []Session
	// Ended tells that a session was signed out just now.
	Ended bool
}

func (Account) template() string { return "account" }

// Session is one line of the account page.
type Session struct {
	ID                     string
	ClientName, ClientHost string
	DeviceID, DeviceName   string
	// Agent is a browser in a few words, such as "Firefox, Linux"; empty if nobody knows.
	Agent      string
	LastActive time.Time
	IP         string
	// Current is the browser that asks; Chosen the session that a link asked for.
	Current, Chosen bool
}

// EndSession asks whether a session is to be signed out, and says what is lost with it (ACCT-5).
type EndSession struct{ Session }

func (EndSession) template() string { return "end_session" }

// Error is an error page. Pages.Error shows it; a door renders it where it knows more.
type Error struct {
	Code model.Code
	// Retry is the time after which another try makes sense; zero if none is known.
	Retry time.Duration
	// Account leads to the account page.
	Account bool
}

func (Error) template() string { return "error" }

// Scopes gives the parts of the catalogue that say what a scope grants.
func Scopes(scope string) []string {
	parts := []string{}
	if model.HasScope(scope, model.ScopeAPI) || model.HasScope(scope, model.ScopeAPIUnstable) {
		parts = append(parts, "api")
	}
	if model.HasScope(scope, model.ScopeSynapseAdmin) {
		parts = append(parts, "admin")
	}
	if len(parts) == 0 {
		parts = append(parts, "other")
	}
	return parts
}
