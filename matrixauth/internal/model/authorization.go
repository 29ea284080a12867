package model

import "time"

// Authorization is an authorization request on its way: asked for by a client, approved by a user,
// and exchanged for a session (RFC 6749 section 4.1).
type Authorization struct {
	ID       string
	ClientID string
	Request
	// Network is the site from which it was asked for (see Site); empty once it was approved.
	Network string
	// ShownAt is the time at which a browser was first shown its page; zero before.
	ShownAt time.Time
	// CreatedAt and ExpiresAt bound the time in which the user can approve.
	CreatedAt time.Time
	ExpiresAt time.Time

	// UserID and BrowserSessionID say who approved; empty before.
	UserID           string
	BrowserSessionID string
	// Remembered reports whether the approval was a consent of before: nobody was asked.
	Remembered bool
	// AnswerHash is the hash of the secret that follows from the answering browser and the request (AnswerCode), by
	// which that browser is told the same again; the zero hash before there was an answer.
	AnswerHash TokenHash
	// CodeHash is the hash of what the client presents for its tokens; the zero hash as long as nothing does.
	CodeHash TokenHash
	// CodeExpiresAt is until when the client can have the answer; zero before there was one.
	CodeExpiresAt time.Time
	// ConsumedAt is the time at which the answer was used up, or the request declined; zero before.
	ConsumedAt time.Time
	// SessionID is the session that the answer was exchanged for; empty if there is none.
	SessionID string
}

// Answered reports whether a user answered the request.
func (a Authorization) Answered() bool { return a.AnswerHash != (TokenHash{}) }

// Declined reports whether the answer to the request was no.
func (a Authorization) Declined() bool { return !a.ConsumedAt.IsZero() && a.UserID == "" }

// ResponseMode says how an authorization response travels to the client.
type ResponseMode string

// The response modes that we have.
const (
	ModeQuery    ResponseMode = "query"
	ModeFragment ResponseMode = "fragment"
	ModeFormPost ResponseMode = "form_post"
)

// ResponseModes lists the response modes, in the order of the metadata.
var ResponseModes = []ResponseMode{ModeQuery, ModeFragment, ModeFormPost}

// Request is what a client asked for, and how the answer reaches it, both checked.
type Request struct {
	Asked    Asked
	Delivery Delivery
}

// Asked is what a client asked a user for, however the answer travels. It is stored as JSON.
type Asked struct {
	// Scope is what will be granted; DeviceID is the device in it, and empty for a session without one.
	Scope    string `json:"scope"`
	DeviceID string `json:"device_id,omitempty"`
	// Login, Consent, Select and Create are the values of prompt that were asked for.
	Login   bool `json:"login,omitempty"`
	Consent bool `json:"consent,omitempty"`
	Select  bool `json:"select,omitempty"`
	Create  bool `json:"create,omitempty"`
	// MaxAge is the greatest age of the user's sign-in, in seconds; nil for any.
	MaxAge    *int64 `json:"max_age,omitempty"`
	LoginHint string `json:"login_hint,omitempty"`
	UILocales string `json:"ui_locales,omitempty"`
}

// DeliveryKind says on which way the answer to an authorization request reaches the client. The values are stored.
type DeliveryKind string

// ByRedirect has the browser carry a code to the client's redirect URI (RFC 6749 section 4.1.2).
const ByRedirect DeliveryKind = "redirect"

// Delivery is how the answer to an authorization request reaches the client: its kind, and what the kind needs to
// know. It is stored as JSON.
type Delivery struct {
	Kind DeliveryKind `json:"kind"`
	// Redirect is set if the kind is ByRedirect.
	Redirect Redirect `json:"redirect,omitzero"`
}

// Redirect is what a client said of a delivery ByRedirect.
type Redirect struct {
	RedirectURI  string       `json:"redirect_uri"`
	ResponseMode ResponseMode `json:"response_mode"`
	// State goes back as it came; HasState tells an empty one from none (AUTHZ-11).
	State    string `json:"state,omitempty"`
	HasState bool   `json:"has_state,omitempty"`
	// Challenge is the S256 code challenge (RFC 7636).
	Challenge string `json:"code_challenge,omitempty"`
}

// Consent is an approval that is remembered.
type Consent struct {
	UserID      string
	ClientID    string
	RedirectURI string
	// Scope is what was granted, without the device.
	Scope string
	// GrantedAt is the time of the last approval that somebody was asked for.
	GrantedAt time.Time
}
