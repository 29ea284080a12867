package web

import (
	"cmp"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// words is how a wire says a code: a status, its own name for the code, and a sentence.
type words struct {
	status int
	code   string
	text   string
}

// or fills what is empty from others.
func (w words) or(others words) words {
	return words{cmp.Or(w.status, others.status), cmp.Or(w.code, others.code), cmp.Or(w.text, others.text)}
}

// kindWords is how the wires say a code by its kind alone. A passing
// condition is never a 4xx of OAuth: clients end their session at one (TOK-23, REF-8).
var kindWords = map[model.Kind]struct{ matrix, oauth words }{
	model.Internal:        {words{status: 500, code: "M_UNKNOWN"}, words{status: 500, code: "server_error"}},
	model.Invalid:         {words{status: 400, code: "M_INVALID_PARAM"}, words{status: 400, code: "invalid_request"}},
	model.Unauthenticated: {words{status: 401, code: "M_UNKNOWN_TOKEN"}, words{status: 401, code: "invalid_token"}},
	model.Denied:          {words{status: 403, code: "M_FORBIDDEN"}, words{status: 400, code: "access_denied"}},
	model.NotFound:        {words{status: 404, code: "M_NOT_FOUND"}, words{status: 404, code: "invalid_request"}},
	model.Conflict:        {words{status: 400, code: "M_UNKNOWN"}, words{status: 409, code: "invalid_request"}},
	model.Limited:         {words{status: 429, code: "M_LIMIT_EXCEEDED"}, words{status: 429, code: "temporarily_unavailable"}},
	model.Unavailable:     {words{status: 503, code: "M_UNKNOWN"}, words{status: 503, code: "temporarily_unavailable"}},
}

// codeWords is what there is to say of one code, and where a wire says it in another way than its kind.
type codeWords struct {
	// text is a sentence as OAuth has it; on the Matrix wire it begins with a capital letter.
	text string
	// matrix are words of the Client-Server API, oauth those of RFC 6749 section 5.2 and its kin.
	matrix, oauth words
	// pageStatus is the status of a page if it is not OAuth's: a person is told what is so, where a client is
	// told what keeps it from harm.
	pageStatus int
	// softLogout tells a client that its keys are worth keeping: it may sign in again on the same device as long
	// as the session, or at least the account, lives (SOFT-3, MOD-1, LEG-34).
	softLogout bool
}

// allWords has a row for every code.
var allWords = map[model.Code]codeWords{
	model.ServerError:        {text: "internal error", matrix: words{text: "Internal server error"}},
	model.NotJSON:            {text: "the body cannot be read", matrix: words{code: "M_NOT_JSON", text: "The request body is not JSON"}},
	model.BadJSON:            {text: "the body has the wrong shape", matrix: words{code: "M_BAD_JSON", text: "The request body has the wrong shape"}},
	model.MissingParam:       {text: "a parameter is missing", matrix: words{code: "M_MISSING_PARAM"}},
	model.InvalidParam:       {text: "a parameter is invalid"},
	model.TooLarge:           {text: "the request is too large", matrix: words{status: 413, code: "M_TOO_LARGE"}, oauth: words{status: 413}},
	model.UnknownLoginType:   {text: "unknown login type", matrix: words{code: "M_UNKNOWN"}},
	model.UnknownIdentifier:  {text: "unknown identifier", matrix: words{code: "M_UNKNOWN", text: "Unsupported login identifier"}},
	model.AppserviceLogin:    {text: "application services cannot log in", matrix: words{code: "M_APPSERVICE_LOGIN_UNSUPPORTED", text: "Application services cannot log in; they create devices with PUT /devices/{deviceId}"}},
	model.InvalidCredentials: {text: "invalid credentials", matrix: words{text: "Invalid username or password"}, pageStatus: 403},
	model.UserDeactivated:    {text: "the account is deactivated", matrix: words{code: "M_USER_DEACTIVATED", text: "This account has been deactivated"}, oauth: words{code: "invalid_grant"}, pageStatus: 403},
	model.UserLocked:         {text: "the account is locked", matrix: words{code: "M_USER_LOCKED", text: "This account has been locked"}, oauth: words{status: 503, code: "temporarily_unavailable"}, pageStatus: 403, softLogout: true},
	model.MissingToken:       {text: "missing token", matrix: words{code: "M_MISSING_TOKEN", text: "Missing access token"}},
	model.UnknownToken:       {text: "unknown token", matrix: words{text: "Unknown access token"}},
	model.ExpiredToken:       {text: "the token has expired", matrix: words{text: "The access token has expired"}, softLogout: true},
	model.RefreshRefused:     {text: "invalid refresh token", oauth: words{status: 400, code: "invalid_grant"}},
	model.RefreshPassed:      {text: "this refresh token has been replaced", oauth: words{status: 400, code: "invalid_grant"}, softLogout: true},
	model.RateLimited:        {text: "too many requests"},
	model.TemporarilyDown:    {text: "try again later", matrix: words{text: "The homeserver cannot be reached right now; try again"}},
	model.NotRecognized:      {text: "no such endpoint", matrix: words{code: "M_UNRECOGNIZED", text: "Unrecognized request"}},
	model.MethodNotAllowed:   {text: "method not allowed", matrix: words{status: 405, code: "M_UNRECOGNIZED"}, oauth: words{status: 405}},
	model.DeviceIDForbidden:  {text: "this device id cannot be used", oauth: words{code: "invalid_scope"}},
	model.InvalidClient:      {text: "the caller could not be authenticated", matrix: words{code: "M_UNAUTHORIZED", text: "Invalid client"}, oauth: words{code: "invalid_client"}},
	model.UnsupportedContent: {text: "the body must be application/x-www-form-urlencoded", matrix: words{status: 415, code: "M_NOT_JSON", text: "Unsupported content type"}, pageStatus: 415},
	model.InvalidUsername:    {text: "invalid user name", matrix: words{code: "M_INVALID_USERNAME"}},
	model.InvalidEmail:       {text: "invalid mail address"},
	model.InvalidPassword:    {text: "this password cannot be used", matrix: words{code: "M_WEAK_PASSWORD"}},
	model.UserNotFound:       {text: "no such user"},
	model.SessionNotFound:    {text: "no such session"},
	model.ConsentNotFound:    {text: "no such consent"},
	model.UserExists:         {text: "this user name is taken", matrix: words{code: "M_USER_IN_USE"}},
	model.EmailInUse:         {text: "this address is in use", matrix: words{code: "M_THREEPID_IN_USE"}},
	model.UserUnavailable:    {text: "this user name cannot be used", matrix: words{code: "M_EXCLUSIVE"}},

	// No route of the Matrix wire gives these: they belong to the OAuth API and to pages.
	model.UnknownClient:           {text: "this client is not known", matrix: words{code: "M_UNKNOWN", text: "Unknown client"}, oauth: words{status: 401, code: "invalid_client"}, pageStatus: 400},
	model.RedirectMismatch:        {text: "redirect_uri is not one of the client's", matrix: words{text: "The redirect URI is not the client's"}},
	model.RequestExpired:          {text: "the request has expired", oauth: words{status: 400}},
	model.CrossOrigin:             {text: "the form came from another site", oauth: words{status: 403}},
	model.NotSignedIn:             {text: "not signed in", matrix: words{code: "M_UNAUTHORIZED"}, oauth: words{code: "login_required"}},
	model.AccessDenied:            {text: "access was denied"},
	model.LoginRequired:           {text: "the user has to sign in", matrix: words{code: "M_UNAUTHORIZED", text: "A sign-in is needed"}, oauth: words{status: 400, code: "login_required"}, pageStatus: 403},
	model.ConsentRequired:         {text: "the user has to consent", matrix: words{text: "Consent is needed"}, oauth: words{code: "consent_required"}},
	model.InvalidGrant:            {text: "the code is invalid, has expired or was used", matrix: words{code: "M_UNKNOWN", text: "Invalid grant"}, oauth: words{code: "invalid_grant"}},
	model.UnsupportedGrant:        {text: "this grant type is not supported", matrix: words{code: "M_UNKNOWN", text: "Unsupported grant type"}, oauth: words{code: "unsupported_grant_type"}},
	model.UnauthorizedClient:      {text: "the client did not register for this", matrix: words{code: "M_FORBIDDEN", text: "The client may not do this"}, oauth: words{code: "unauthorized_client"}},
	model.UnsupportedResponseType: {text: "only the response type code is supported", matrix: words{code: "M_UNKNOWN", text: "Unsupported response type"}, oauth: words{code: "unsupported_response_type"}},
	model.InvalidScope:            {text: "the scope cannot be granted", matrix: words{text: "Invalid scope"}, oauth: words{code: "invalid_scope"}},
	model.InvalidRedirectURI:      {text: "a redirect URI is invalid", matrix: words{text: "Invalid redirect URI"}, oauth: words{code: "invalid_redirect_uri"}},
	model.InvalidClientMetadata:   {text: "the metadata cannot be accepted", matrix: words{text: "Invalid client metadata"}, oauth: words{code: "invalid_client_metadata"}},
	model.UnapprovedSoftware:      {text: "software statements are not accepted", oauth: words{code: "unapproved_software_statement"}},
	model.RequestNotSupported:     {text: "request objects are not supported", matrix: words{code: "M_UNRECOGNIZED"}, oauth: words{code: "request_not_supported"}},
	model.RequestURINotSupported:  {text: "request URIs are not supported", matrix: words{code: "M_UNRECOGNIZED"}, oauth: words{code: "request_uri_not_supported"}},
	model.RegistrationUnsupported: {text: "registration objects are not supported", matrix: words{code: "M_UNRECOGNIZED"}, oauth: words{code: "registration_not_supported"}},
}

// wordsOn has the words of every code, filled up, by wire.
var wordsOn = func() map[Wire]map[model.Code]words {
	all := make(map[Wire]map[model.Code]words, len(Wires))
	for _, wire := range Wires {
		all[wire] = make(map[model.Code]words, len(allWords))
		for code, row := range allWords {
			all[wire][code] = row.on(wire, code.Kind())
		}
	}
	return all
}()

// on is how a wire says the row's code, which is of a kind.
func (row codeWords) on(wire Wire, kind model.Kind) words {
	if wire == MatrixWire {
		return row.matrix.or(kindWords[kind].matrix).or(words{text: strings.ToUpper(row.text[:1]) + row.text[1:]})
	}
	w := row.oauth.or(kindWords[kind].oauth).or(words{text: row.text})
	if wire == PageWire {
		w.status = cmp.Or(row.pageStatus, w.status)
	}
	return w
}

// wordsFor is how a wire says a code. One that is not known is told as a fault of ours.
func wordsFor(wire Wire, code model.Code) words {
	if w, ok := wordsOn[wire][code]; ok {
		return w
	}
	return wordsOn[wire][model.ServerError]
}

// wordsOf is how a wire says an error: in the error's own text if it has one. Text of a fault of ours stays inside.
func wordsOf(wire Wire, e *model.Error) words {
	w := wordsFor(wire, e.Code)
	if e.Text != "" && e.Kind() != model.Internal {
		w.text = e.Text
	}
	return w
}
