package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kind says who must act on an error. It follows from the code. It decides whether a text may be shown, and
// how a wire says the code unless the wire has words of its own for it.
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

// Code is the stable name of an error. A new one is a constant here, a row in kinds, and a row in
// codeReplies of package web. It is an error itself only as a target of errors.Is.
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
	// EndedSoftly is a token of a session that the server ended of its own accord: its client keeps its keys and
	// signs in again on its device.
	EndedSoftly     Code = "ended_softly"
	RateLimited     Code = "rate_limited"
	TemporarilyDown Code = "temporarily_unavailable"
	// DatabaseDown is a database that the machine keeps from being read or written: the disk is full or fails, or a page
	// is damaged.
	DatabaseDown Code = "database_unavailable"
	// ClientGone is a request whose client hung up before it was answered, or before all of it had arrived.
	ClientGone         Code = "client_gone"
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
	// EmailNotAllowed is an address that the operator's rules for domains refuse, EmailOwned one that the account has
	// already, and TooManyEmails one more than an account may have.
	EmailNotAllowed Code = "email_not_allowed"
	EmailOwned      Code = "email_owned"
	TooManyEmails   Code = "too_many_emails"
	// EmailNotFound is an address that the account has not.
	EmailNotFound   Code = "email_not_found"
	UserUnavailable Code = "user_unavailable"
	// CodeWrong is a code from a mail that is not the right one; CodeOver is one that is worth nothing any more, whatever it
	// is.
	CodeWrong Code = "code_wrong"
	CodeOver  Code = "code_over"

	// UnknownClient and RedirectMismatch are told to the person alone: there is nobody whom an answer
	// could safely be sent to (AUTHZ-3).
	UnknownClient    Code = "unknown_client"
	RedirectMismatch Code = "redirect_mismatch"
	// RequestExpired is an authorization request that is unknown, over, or was answered already.
	RequestExpired Code = "request_expired"
	// RecoveryOver is a link for recovery that is unknown, used, replaced or too old.
	RecoveryOver Code = "recovery_over"
	// CrossOrigin is a form that another site sent, or one of a page from before the sign-in.
	CrossOrigin Code = "cross_origin"
	// NotSignedIn is a page for people who are signed in.
	NotSignedIn  Code = "not_signed_in"
	AccessDenied Code = "access_denied"
	// ConfirmRequired is a request of an app for something that its user has to confirm by the password.
	ConfirmRequired         Code = "confirm_required"
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

	// RegistrationOver is a registration of an account that is unknown in the browser, over, or took too long.
	RegistrationOver Code = "registration_over"
	// InvitationRefused is a registration token that is unknown, used up, over or revoked (CREATE-7).
	InvitationRefused Code = "invitation_refused"
	// InvitationNotFound is a registration token that an operator names and that is not there.
	InvitationNotFound Code = "invitation_not_found"
)

// kinds has the kind of every code.
var kinds = map[Code]Kind{
	ServerError:             Internal,
	NotJSON:                 Invalid,
	BadJSON:                 Invalid,
	MissingParam:            Invalid,
	InvalidParam:            Invalid,
	TooLarge:                Invalid,
	UnknownLoginType:        Invalid,
	UnknownIdentifier:       Invalid,
	AppserviceLogin:         Invalid,
	InvalidCredentials:      Denied,
	UserDeactivated:         Denied,
	UserLocked:              Unauthenticated,
	MissingToken:            Unauthenticated,
	UnknownToken:            Unauthenticated,
	ExpiredToken:            Unauthenticated,
	RefreshRefused:          Unauthenticated,
	EndedSoftly:             Unauthenticated,
	RateLimited:             Limited,
	TemporarilyDown:         Unavailable,
	DatabaseDown:            Unavailable,
	ClientGone:              Unavailable,
	NotRecognized:           NotFound,
	MethodNotAllowed:        Invalid,
	DeviceIDForbidden:       Denied,
	InvalidClient:           Unauthenticated,
	UnsupportedContent:      Invalid,
	InvalidUsername:         Invalid,
	InvalidEmail:            Invalid,
	InvalidPassword:         Invalid,
	UserNotFound:            NotFound,
	SessionNotFound:         NotFound,
	ConsentNotFound:         NotFound,
	UserExists:              Conflict,
	EmailInUse:              Conflict,
	EmailNotAllowed:         Invalid,
	EmailOwned:              Conflict,
	TooManyEmails:           Conflict,
	EmailNotFound:           NotFound,
	UserUnavailable:         Conflict,
	CodeWrong:               Denied,
	CodeOver:                Denied,
	UnknownClient:           Invalid,
	RedirectMismatch:        Invalid,
	RequestExpired:          NotFound,
	RecoveryOver:            NotFound,
	CrossOrigin:             Denied,
	NotSignedIn:             Unauthenticated,
	AccessDenied:            Denied,
	ConfirmRequired:         Denied,
	LoginRequired:           Unauthenticated,
	ConsentRequired:         Denied,
	InvalidGrant:            Invalid,
	UnsupportedGrant:        Invalid,
	UnauthorizedClient:      Invalid,
	UnsupportedResponseType: Invalid,
	InvalidScope:            Invalid,
	InvalidRedirectURI:      Invalid,
	InvalidClientMetadata:   Invalid,
	UnapprovedSoftware:      Invalid,
	RequestNotSupported:     Invalid,
	RequestURINotSupported:  Invalid,
	RegistrationUnsupported: Invalid,
	RegistrationOver:        NotFound,
	InvitationRefused:       Denied,
	InvitationNotFound:      NotFound,
}

// Codes lists every code, sorted.
var Codes = slices.Sorted(maps.Keys(kinds))

// Kind returns the kind of the code. A code that is not known, such as one that another version of the program
// sent, is Internal.
func (c Code) Kind() Kind { return kinds[c] }

// Challenge is a scheme of HTTP authentication, for the WWW-Authenticate header of a refusal.
type Challenge string

// The schemes of HTTP authentication that we have. A refusal without one is for a caller that used the
// body: a header would make browsers ask the person for a password, and hide the error from clients
// that look for the header first.
const (
	ChallengeBasic  Challenge = "Basic"
	ChallengeBearer Challenge = "Bearer"
)

// Error is an error of the domain on its way to a wire. NewError and Errorf make it.
type Error struct {
	Code Code
	// Text is for the person who reads the answer. It names parameters, not their values, and holds no secret
	// and nothing that would tell an account that exists from one that does not. Empty means the wire's own words.
	Text string
	// Retry is the time after which another try makes sense; zero if none is known.
	Retry time.Duration
	// Challenge is the scheme by which a caller that used the Authorization header can prove itself.
	Challenge Challenge
	// Err is the cause. It is logged once and never shown.
	Err error
}

// NewError returns an error that each wire says in its own words for the code.
func NewError(code Code) *Error { return &Error{Code: code} }

// Errorf returns an error with a text for whoever reads the answer, in place of the wire's own words. Text of a
// ServerError reaches operators alone. What went wrong inside is no part of it: that is the cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of the error that wraps err, which is logged and never shown.
func (e *Error) WithCause(err error) *Error {
	changed := *e
	changed.Err = err
	return &changed
}

// WithRetry returns a copy of the error that tells after which time another try makes sense.
func (e *Error) WithRetry(after time.Duration) *Error {
	changed := *e
	changed.Retry = after
	return &changed
}

// WithChallenge returns a copy of the error that names a scheme by which the caller can prove itself.
func (e *Error) WithChallenge(scheme Challenge) *Error {
	changed := *e
	changed.Challenge = scheme
	return &changed
}

// Kind returns the kind of the error's code.
func (e *Error) Kind() Kind { return e.Code.Kind() }

// Error returns the text, or the code where there is none; never the cause.
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

// AsError returns the Error in err, or a ServerError that wraps err; nil for nil. What was given up because whoever
// asked is gone is ClientGone, whatever stopped at that: it is neither a fault of ours nor one of the homeserver's.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return NewError(ClientGone).WithCause(err)
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: ServerError, Err: err}
}

// Inconclusive reports whether an error says nothing of what was asked: it is a fault of ours or of the machine's, or the
// client has hung up. Nothing may follow from it.
func Inconclusive(err error) bool {
	e := AsError(err)
	return e != nil && (e.Kind() == Internal || e.Code == DatabaseDown || e.Code == ClientGone)
}

// Result returns how something went, for metrics: "ok", or the code of the error.
func Result(err error) string {
	if err == nil {
		return "ok"
	}
	return string(AsError(err).Code)
}

// ErrNotFound is what the store returns for a row that is not there. Doors never see it: the domain
// turns it into an Error that says what was looked for.
var ErrNotFound = errors.New("not found")
