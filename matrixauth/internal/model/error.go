package model

import (
	"errors"
	"time"
)

// Kind says who must act on an error. It decides whether its text may be shown.
type Kind uint8

// The kinds of error.
const (
	// Internal is a fault of ours. Only its code is ever shown.
	Internal Kind = iota
	// Invalid is a request that cannot succeed as it is.
	Invalid
	// Unauthenticated is a missing or dead credential.
	Unauthenticated
	// Denied is a request that its author may not make.
	Denied
	// NotFound is a thing that is not there.
	NotFound
	// Conflict is a request that clashes with what is there.
	Conflict
	// Limited is a request too many.
	Limited
	// Unavailable is a passing condition: the same request may succeed later.
	Unavailable
)

// Code is the stable name of an error. Each wire has one table from code to its own words; a test
// ranges over Codes and every wire. It is an error itself only as a target of errors.Is.
type Code string

// Error returns the name.
func (c Code) Error() string { return string(c) }

// The codes of errors.
const (
	ServerError        Code = "server_error"
	NotJSON            Code = "not_json"
	BadJSON            Code = "bad_json"
	MissingParam       Code = "missing_param"
	InvalidParam       Code = "invalid_param"
	TooLarge           Code = "too_large"
	UnknownLoginType   Code = "unknown_login_type"
	UnknownIdentifier  Code = "unknown_identifier"
	AppserviceLogin    Code = "appservice_login_unsupported"
	InvalidCredentials Code = "invalid_credentials"
	UserDeactivated    Code = "user_deactivated"
	UserLocked         Code = "user_locked"
	MissingToken       Code = "missing_token"
	UnknownToken       Code = "unknown_token"
	// ExpiredToken is an access token that has expired while its session lives: the client can refresh.
	ExpiredToken Code = "expired_token"
	// RefreshRefused is a refresh token that is unknown, replayed or of an ended session.
	RefreshRefused Code = "refresh_refused"
	// RefreshPassed is a refresh token whose turn is over in a session that lives on.
	RefreshPassed      Code = "refresh_passed"
	RateLimited        Code = "rate_limited"
	TemporarilyDown    Code = "temporarily_unavailable"
	NotRecognized      Code = "not_recognized"
	MethodNotAllowed   Code = "method_not_allowed"
	DeviceIDForbidden  Code = "device_id_forbidden"
	InvalidClient      Code = "invalid_client"
	UnsupportedContent Code = "unsupported_content"

	InvalidUsername Code = "invalid_username"
	InvalidEmail    Code = "invalid_email"
	InvalidPassword Code = "invalid_password"
	UserNotFound    Code = "user_not_found"
	SessionNotFound Code = "session_not_found"
	ConsentNotFound Code = "consent_not_found"
	UserExists      Code = "user_exists"
	EmailInUse      Code = "email_in_use"
	UserUnavailable Code = "user_unavailable"

	// UnknownClient and RedirectMismatch are told to the person alone: there is nobody whom an answer
	// could safely be sent to (AUTHZ-3).
	UnknownClient    Code = "unknown_client"
	RedirectMismatch Code = "redirect_mismatch"
	// RequestExpired is an authorization request that is unknown, over, or was answered already.
	RequestExpired Code = "request_expired"
	// CrossOrigin is a form that another site sent, or one of a page from before the sign-in.
	CrossOrigin Code = "cross_origin"
	// NotSignedIn is a page for people who are signed in.
	NotSignedIn             Code = "not_signed_in"
	AccessDenied            Code = "access_denied"
	LoginRequired           Code = "login_required"
	ConsentRequired         Code = "consent_required"
	InvalidGrant            Code = "invalid_grant"
	UnsupportedGrant        Code = "unsupported_grant_type"
	UnauthorizedClient      Code = "unauthorized_client"
	UnsupportedResponseType Code = "unsupported_response_type"
	InvalidScope            Code = "invalid_scope"
	InvalidRedirectURI      Code = "invalid_redirect_uri"
	InvalidClientMetadata   Code = "invalid_client_metadata"
	UnapprovedSoftware      Code = "unapproved_software_statement"
	RequestNotSupported     Code = "request_not_supported"
	RequestURINotSupported  Code = "request_uri_not_supported"
	RegistrationUnsupported Code = "registration_not_supported"
)

// Codes lists every code.
var Codes = []Code{
	ServerError, NotJSON, BadJSON, MissingParam, InvalidParam, TooLarge, UnknownLoginType, UnknownIdentifier,
	AppserviceLogin, InvalidCredentials, UserDeactivated, UserLocked, MissingToken, UnknownToken, ExpiredToken, RefreshRefused, RefreshPassed,
	RateLimited, TemporarilyDown, NotRecognized, MethodNotAllowed, DeviceIDForbidden, InvalidClient, UnsupportedContent,
	InvalidUsername, InvalidEmail, InvalidPassword, UserNotFound, SessionNotFound, ConsentNotFound, UserExists, EmailInUse, UserUnavailable,
	UnknownClient, RedirectMismatch, RequestExpired, CrossOrigin, NotSignedIn, AccessDenied, LoginRequired, ConsentRequired,
	InvalidGrant, UnsupportedGrant, UnauthorizedClient, UnsupportedResponseType, InvalidScope, InvalidRedirectURI, InvalidClientMetadata,
	UnapprovedSoftware, RequestNotSupported, RequestURINotSupported, RegistrationUnsupported,
}

// Challenge is a scheme of HTTP authentication, for the WWW-Authenticate header of a refusal.
type Challenge string

// The schemes of HTTP authentication that we have. A refusal without one is for a caller that used the
// body: a header would make browsers ask the person for a password, and hide the error from clients
// that look for the header first.
const (
	ChallengeBasic  Challenge = "Basic"
	ChallengeBearer Challenge = "Bearer"
)

// Error is an error of the domain on its way to a wire.
type Error struct {
	Kind Kind
	Code Code
	// Param names the offending field, if one is to blame.
	Param string
	// Text is for the person who reads the answer. It holds no secret and nothing that would tell an
	// account that exists from one that does not. Empty means the wire's own words.
	Text string
	// Retry is the time after which another try makes sense; zero if none is known.
	Retry time.Duration
	// Challenge is the scheme by which a caller that used the Authorization header can prove itself.
	Challenge Challenge
	// Err is the cause. It is logged once and never shown.
	Err error
}

// Error gives code and text, never the cause.
func (e *Error) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return string(e.Code)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the code, so that errors.Is(err, UnknownToken) asks for it.
func (e *Error) Is(target error) bool { return target == e.Code }

// AsError finds the Error in err, or wraps err as an Internal one. It gives nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: ServerError, Err: err}
}

// Result names how something went, for metrics: "ok", or the code of the error.
func Result(err error) string {
	if err == nil {
		return "ok"
	}
	return string(AsError(err).Code)
}

// ErrNotFound is what the store gives for a row that is not there. Doors never see it: the domain
// turns it into an Error that says what was looked for.
var ErrNotFound = errors.New("not found")
