package web

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Wire is the language that a route speaks. It decides the shape of errors and the headers of every
// answer.
type Wire int

// The wires.
const (
	// MatrixWire is the Client-Server API: errcode documents and CORS for everybody.
	MatrixWire Wire = iota
	// OAuthWire is OAuth 2.0 between servers: RFC 6749 documents and no CORS (INTRO-7).
	OAuthWire
	// OpenOAuthWire is OAuth 2.0 for clients that run in browsers: the same documents with CORS (HTTP-12).
	OpenOAuthWire
	// PlainWire is for routes that machines of the operator read: health, refusals at the edge.
	PlainWire
	// PageWire is HTML for people. Its errors are pages, which the package page writes; WriteError has a
	// line of text for when it cannot.
	PageWire
)

// Open reports whether web pages of any origin may call routes of the wire.
func (w Wire) Open() bool { return w == MatrixWire || w == OpenOAuthWire }

// Wires lists all wires, for tests that range over them.
var Wires = []Wire{MatrixWire, OAuthWire, OpenOAuthWire, PlainWire, PageWire}

// words is how a wire says one code.
type words struct {
	status int
	code   string
	text   string
}

// matrixWords says each code in the words of the Client-Server API.
var matrixWords = map[model.Code]words{
	model.ServerError:        {500, "M_UNKNOWN", "Internal server error"},
	model.NotJSON:            {400, "M_NOT_JSON", "The request body is not JSON"},
	model.BadJSON:            {400, "M_BAD_JSON", "The request body has the wrong shape"},
	model.MissingParam:       {400, "M_MISSING_PARAM", "A parameter is missing"},
	model.InvalidParam:       {400, "M_INVALID_PARAM", "A parameter is invalid"},
	model.TooLarge:           {413, "M_TOO_LARGE", "The request is too large"},
	model.UnknownLoginType:   {400, "M_UNKNOWN", "Unknown login type"},
	model.UnknownIdentifier:  {400, "M_UNKNOWN", "Unsupported login identifier"},
	model.AppserviceLogin:    {400, "M_APPSERVICE_LOGIN_UNSUPPORTED", "Application services cannot log in; they create devices with PUT /devices/{deviceId}"},
	model.InvalidCredentials: {403, "M_FORBIDDEN", "Invalid username or password"},
	model.UserDeactivated:    {403, "M_USER_DEACTIVATED", "This account has been deactivated"},
	model.UserLocked:         {401, "M_USER_LOCKED", "This account has been locked"},
	model.MissingToken:       {401, "M_MISSING_TOKEN", "Missing access token"},
	model.UnknownToken:       {401, "M_UNKNOWN_TOKEN", "Unknown access token"},
	model.ExpiredToken:       {401, "M_UNKNOWN_TOKEN", "The access token has expired"},
	model.RefreshRefused:     {401, "M_UNKNOWN_TOKEN", "Invalid refresh token"},
	model.RefreshPassed:      {401, "M_UNKNOWN_TOKEN", "This refresh token has been replaced"},
	model.RateLimited:        {429, "M_LIMIT_EXCEEDED", "Too many requests"},
	model.TemporarilyDown:    {503, "M_UNKNOWN", "The homeserver cannot be reached right now; try again"},
	model.NotRecognized:      {404, "M_UNRECOGNIZED", "Unrecognized request"},
	model.MethodNotAllowed:   {405, "M_UNRECOGNIZED", "Method not allowed"},
	model.DeviceIDForbidden:  {403, "M_FORBIDDEN", "This device id cannot be used"},
	model.InvalidClient:      {401, "M_UNAUTHORIZED", "Invalid client"},
	model.UnsupportedContent: {415, "M_NOT_JSON", "Unsupported content type"},
	model.InvalidUsername:    {400, "M_INVALID_USERNAME", "Invalid user name"},
	model.InvalidEmail:       {400, "M_INVALID_PARAM", "Invalid mail address"},
	model.InvalidPassword:    {400, "M_WEAK_PASSWORD", "This password cannot be used"},
	model.UserNotFound:       {404, "M_NOT_FOUND", "No such user"},
	model.SessionNotFound:    {404, "M_NOT_FOUND", "No such session"},
	model.ConsentNotFound:    {404, "M_NOT_FOUND", "No such consent"},
	model.UserExists:         {400, "M_USER_IN_USE", "This user name is taken"},
	model.EmailInUse:         {400, "M_THREEPID_IN_USE", "This address is in use"},
	model.UserUnavailable:    {400, "M_EXCLUSIVE", "This user name cannot be used"},

	// These belong to the OAuth API and to pages; no route of the Matrix wire gives them.
	model.UnknownClient:           {400, "M_UNKNOWN", "Unknown client"},
	model.RedirectMismatch:        {400, "M_INVALID_PARAM", "The redirect URI is not the client's"},
	model.RequestExpired:          {404, "M_NOT_FOUND", "The request has expired"},
	model.CrossOrigin:             {403, "M_FORBIDDEN", "The form came from another site"},
	model.NotSignedIn:             {401, "M_UNAUTHORIZED", "Not signed in"},
	model.AccessDenied:            {403, "M_FORBIDDEN", "Access was denied"},
	model.LoginRequired:           {401, "M_UNAUTHORIZED", "A sign-in is needed"},
	model.ConsentRequired:         {403, "M_FORBIDDEN", "Consent is needed"},
	model.InvalidGrant:            {400, "M_UNKNOWN", "Invalid grant"},
	model.UnsupportedGrant:        {400, "M_UNKNOWN", "Unsupported grant type"},
	model.UnauthorizedClient:      {400, "M_FORBIDDEN", "The client may not do this"},
	model.UnsupportedResponseType: {400, "M_UNKNOWN", "Unsupported response type"},
	model.InvalidScope:            {400, "M_INVALID_PARAM", "Invalid scope"},
	model.InvalidRedirectURI:      {400, "M_INVALID_PARAM", "Invalid redirect URI"},
	model.InvalidClientMetadata:   {400, "M_INVALID_PARAM", "Invalid client metadata"},
	model.UnapprovedSoftware:      {400, "M_INVALID_PARAM", "Software statements are not accepted"},
	model.RequestNotSupported:     {400, "M_UNRECOGNIZED", "Request objects are not supported"},
	model.RequestURINotSupported:  {400, "M_UNRECOGNIZED", "Request URIs are not supported"},
	model.RegistrationUnsupported: {400, "M_UNRECOGNIZED", "Registration objects are not supported"},
}

// oauthWords says each code in the words of RFC 6749 section 5.2. A passing condition
// is never a 4xx: clients end their session at one (TOK-23, REF-8).
var oauthWords = map[model.Code]words{
	model.ServerError:        {500, "server_error", "internal error"},
	model.NotJSON:            {400, "invalid_request", "the body cannot be read"},
	model.BadJSON:            {400, "invalid_request", "the body has the wrong shape"},
	model.MissingParam:       {400, "invalid_request", "a parameter is missing"},
	model.InvalidParam:       {400, "invalid_request", "a parameter is invalid"},
	model.TooLarge:           {413, "invalid_request", "the request is too large"},
	model.UnknownLoginType:   {400, "invalid_request", "unknown login type"},
	model.UnknownIdentifier:  {400, "invalid_request", "unknown identifier"},
	model.AppserviceLogin:    {400, "invalid_request", "application services cannot log in"},
	model.InvalidCredentials: {400, "access_denied", "invalid credentials"},
	model.UserDeactivated:    {400, "invalid_grant", "the account is deactivated"},
	model.UserLocked:         {503, "temporarily_unavailable", "the account is locked"},
	model.MissingToken:       {401, "invalid_token", "missing token"},
	model.UnknownToken:       {401, "invalid_token", "unknown token"},
	model.ExpiredToken:       {401, "invalid_token", "the token has expired"},
	model.RefreshRefused:     {400, "invalid_grant", "invalid refresh token"},
	model.RefreshPassed:      {400, "invalid_grant", "this refresh token has been replaced"},
	model.RateLimited:        {429, "temporarily_unavailable", "too many requests"},
	model.TemporarilyDown:    {503, "temporarily_unavailable", "try again later"},
	model.NotRecognized:      {404, "invalid_request", "no such endpoint"},
	model.MethodNotAllowed:   {405, "invalid_request", "method not allowed"},
	model.DeviceIDForbidden:  {400, "invalid_scope", "this device id cannot be used"},
	model.InvalidClient:      {401, "invalid_client", "the caller could not be authenticated"},
	model.UnsupportedContent: {400, "invalid_request", "the body must be application/x-www-form-urlencoded"},
	model.InvalidUsername:    {400, "invalid_request", "invalid user name"},
	model.InvalidEmail:       {400, "invalid_request", "invalid mail address"},
	model.InvalidPassword:    {400, "invalid_request", "this password cannot be used"},
	model.UserNotFound:       {404, "invalid_request", "no such user"},
	model.SessionNotFound:    {404, "invalid_request", "no such session"},
	model.ConsentNotFound:    {404, "invalid_request", "no such consent"},
	model.UserExists:         {409, "invalid_request", "this user name is taken"},
	model.EmailInUse:         {409, "invalid_request", "this address is in use"},
	model.UserUnavailable:    {409, "invalid_request", "this user name cannot be used"},

	model.UnknownClient:           {401, "invalid_client", "this client is not known"},
	model.RedirectMismatch:        {400, "invalid_request", "redirect_uri is not one of the client's"},
	model.RequestExpired:          {400, "invalid_request", "the request has expired"},
	model.CrossOrigin:             {403, "access_denied", "the form came from another site"},
	model.NotSignedIn:             {401, "login_required", "not signed in"},
	model.AccessDenied:            {400, "access_denied", "access was denied"},
	model.LoginRequired:           {400, "login_required", "the user has to sign in"},
	model.ConsentRequired:         {400, "consent_required", "the user has to consent"},
	model.InvalidGrant:            {400, "invalid_grant", "the code is invalid, has expired or was used"},
	model.UnsupportedGrant:        {400, "unsupported_grant_type", "this grant type is not supported"},
	model.UnauthorizedClient:      {400, "unauthorized_client", "the client did not register for this"},
	model.UnsupportedResponseType: {400, "unsupported_response_type", "only the response type code is supported"},
	model.InvalidScope:            {400, "invalid_scope", "the scope cannot be granted"},
	model.InvalidRedirectURI:      {400, "invalid_redirect_uri", "a redirect URI is invalid"},
	model.InvalidClientMetadata:   {400, "invalid_client_metadata", "the metadata cannot be accepted"},
	model.UnapprovedSoftware:      {400, "unapproved_software_statement", "software statements are not accepted"},
	model.RequestNotSupported:     {400, "request_not_supported", "request objects are not supported"},
	model.RequestURINotSupported:  {400, "request_uri_not_supported", "request URIs are not supported"},
	model.RegistrationUnsupported: {400, "registration_not_supported", "registration objects are not supported"},
}

// matrixError is an error document of the Client-Server API.
type matrixError struct {
	Errcode      string `json:"errcode"`
	Error        string `json:"error"`
	SoftLogout   *bool  `json:"soft_logout,omitempty"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// oauthError is an error document of RFC 6749.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// softLogout tells a client whether its keys are worth keeping: it may sign in again on the same
// device as long as the session, or at least the account, lives (SOFT-3, MOD-1, LEG-34).
var softLogout = map[model.Code]bool{
	model.UserLocked:    true,
	model.RefreshPassed: true,
	model.ExpiredToken:  true,
}

// challenges are the WWW-Authenticate headers (CAUTH-4, RFC 6750 section 3).
var challenges = map[model.Challenge]string{
	model.ChallengeBasic:  `Basic realm="OAuth 2.0 client", charset="UTF-8"`,
	model.ChallengeBearer: `Bearer error="invalid_token"`,
}

// defaultRetry is the wait that a client is told when nothing better is known of a passing condition.
const defaultRetry = 5 * time.Second

// WriteError answers with an error on a wire. The cause is never shown; the caller logs it.
func WriteError(w http.ResponseWriter, wire Wire, err error) {
	e := model.AsError(err)
	said := wordsFor(wire, e.Code)
	retry := SetRetryAfter(w.Header(), wire, e)
	if challenge := challenges[e.Challenge]; challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	// Text comes from us and names parameters, not their values; an internal fault keeps its silence.
	if e.Text != "" && e.Kind != model.Internal {
		said.text = e.Text
	}
	if wire == PageWire {
		writeText(w, said)
		return
	}
	var body any = oauthError{Error: said.code, Description: said.text}
	if wire == MatrixWire {
		document := matrixError{Errcode: said.code, Error: said.text, RetryAfterMS: retry.Milliseconds()}
		if soft, ok := softLogout[e.Code]; ok {
			document.SoftLogout = &soft
		}
		body = document
	}
	if err := WriteJSON(w, said.status, body); err != nil {
		panic(err) // two string fields always marshal
	}
}

// writeText is what people get where no page can be made, before there is a database for example.
func writeText(w http.ResponseWriter, said words) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(said.status)
	// The browser has gone if this fails, and there is nobody left to tell.
	_, _ = io.WriteString(w, said.text+"\n")
}

// SetRetryAfter tells after which time another try makes sense, and gives it; zero if none is known.
func SetRetryAfter(h http.Header, wire Wire, e *model.Error) time.Duration {
	retry := e.Retry
	if retry == 0 && StatusOf(wire, e) == http.StatusServiceUnavailable {
		retry = defaultRetry
	}
	if retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(retry.Seconds())), 10))
	}
	return retry
}

// pageStatus are the statuses of pages that differ from OAuth's: a person is told what is so, where a
// client is told what keeps it from harm.
var pageStatus = map[model.Code]int{
	model.InvalidCredentials: http.StatusForbidden,
	model.UserDeactivated:    http.StatusForbidden,
	model.UserLocked:         http.StatusForbidden,
	model.UnknownClient:      http.StatusBadRequest,
	model.LoginRequired:      http.StatusForbidden,
	model.UnsupportedContent: http.StatusUnsupportedMediaType,
}

// OAuthError says an error in a code and a sentence of OAuth, for those that travel in an address.
func OAuthError(err error) (code, text string) {
	e := model.AsError(err)
	said := wordsFor(OAuthWire, e.Code)
	if e.Text != "" && e.Kind != model.Internal {
		said.text = e.Text
	}
	return said.code, said.text
}

// StatusOf is the status with which a wire says an error.
func StatusOf(wire Wire, err error) int { return wordsFor(wire, model.AsError(err).Code).status }

// TextOf says a code in a sentence for a person.
func TextOf(code model.Code) string { return wordsFor(MatrixWire, code).text }

func wordsFor(wire Wire, code model.Code) words {
	table := oauthWords
	if wire == MatrixWire {
		table = matrixWords
	}
	said, ok := table[code]
	if !ok {
		return table[model.ServerError]
	}
	if status, ok := pageStatus[code]; ok && wire == PageWire {
		said.status = status
	}
	return said
}

// Cause is what there is to log about an error beyond its code; nil if there is nothing.
func Cause(err error) error { return errors.Unwrap(model.AsError(err)) }
