package web

import (
	"cmp"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// reply is how a wire tells a code: a status, its own name for the code, and a sentence.
type reply struct {
	status int
	code   string
	text   string
}

// or returns the reply with what it lacks from others.
func (r reply) or(others reply) reply {
	return reply{cmp.Or(r.status, others.status), cmp.Or(r.code, others.code), cmp.Or(r.text, others.text)}
}

// kindReplies are the replies to a code of a kind where the code has none of its own. A passing condition is never a
// 4xx of OAuth: clients end their session at one (TOK-23, REF-8).
var kindReplies = map[model.Kind]struct{ matrix, oauth reply }{
	model.Internal:        {reply{status: 500, code: "M_UNKNOWN"}, reply{status: 500, code: "server_error"}},
	model.Invalid:         {reply{status: 400, code: "M_INVALID_PARAM"}, reply{status: 400, code: "invalid_request"}},
	model.Unauthenticated: {reply{status: 401, code: "M_UNKNOWN_TOKEN"}, reply{status: 401, code: "invalid_token"}},
	model.Denied:          {reply{status: 403, code: "M_FORBIDDEN"}, reply{status: 400, code: "access_denied"}},
	model.NotFound:        {reply{status: 404, code: "M_NOT_FOUND"}, reply{status: 404, code: "invalid_request"}},
	model.Conflict:        {reply{status: 400, code: "M_UNKNOWN"}, reply{status: 409, code: "invalid_request"}},
	model.Limited:         {reply{status: 429, code: "M_LIMIT_EXCEEDED"}, reply{status: 429, code: "temporarily_unavailable"}},
	model.Unavailable:     {reply{status: 503, code: "M_UNKNOWN"}, reply{status: 503, code: "temporarily_unavailable"}},
}

// codeReply is what a code is told with, and where a wire differs from what it has for the kind.
type codeReply struct {
	// text is a sentence as OAuth has it; on the Matrix wire it begins with a capital letter.
	text string
	// matrix differs on the wire of the Client-Server API, oauth on those of RFC 6749 section 5.2 and its kin.
	matrix, oauth reply
	// pageStatus is the status of a page if it is not OAuth's: a person is told what is so, where a client is
	// told what keeps it from harm.
	pageStatus int
	// softLogout tells a client that its keys are worth keeping: it may sign in again on the same device as long
	// as the session, or at least the account, lives (SOFT-3, MOD-1, LEG-34).
	softLogout bool
}

// codeReplies has a row for every code.
var codeReplies = map[model.Code]codeReply{
	model.ServerError:        {text: "internal error", matrix: reply{text: "Internal server error"}},
	model.NotJSON:            {text: "the body cannot be read", matrix: reply{code: "M_NOT_JSON", text: "The request body is not JSON"}},
	model.BadJSON:            {text: "the body has the wrong shape", matrix: reply{code: "M_BAD_JSON", text: "The request body has the wrong shape"}},
	model.MissingParam:       {text: "a parameter is missing", matrix: reply{code: "M_MISSING_PARAM"}},
	model.InvalidParam:       {text: "a parameter is invalid"},
	model.TooLarge:           {text: "the request is too large", matrix: reply{status: 413, code: "M_TOO_LARGE"}, oauth: reply{status: 413}},
	model.UnknownLoginType:   {text: "unknown login type", matrix: reply{code: "M_UNKNOWN"}},
	model.UnknownIdentifier:  {text: "unknown identifier", matrix: reply{code: "M_UNKNOWN", text: "Unsupported login identifier"}},
	model.AppserviceLogin:    {text: "application services cannot log in", matrix: reply{code: "M_APPSERVICE_LOGIN_UNSUPPORTED", text: "Application services cannot log in; they create devices with PUT /devices/{deviceId}"}},
	model.InvalidCredentials: {text: "invalid credentials", matrix: reply{text: "Invalid username or password"}, pageStatus: 403},
	model.UserDeactivated:    {text: "the account is deactivated", matrix: reply{code: "M_USER_DEACTIVATED", text: "This account has been deactivated"}, oauth: reply{code: "invalid_grant"}, pageStatus: 403},
	model.UserLocked:         {text: "the account is locked", matrix: reply{code: "M_USER_LOCKED", text: "This account has been locked"}, oauth: reply{status: 503, code: "temporarily_unavailable"}, pageStatus: 403, softLogout: true},
	model.MissingToken:       {text: "missing token", matrix: reply{code: "M_MISSING_TOKEN", text: "Missing access token"}},
	model.UnknownToken:       {text: "unknown token", matrix: reply{text: "Unknown access token"}},
	model.ExpiredToken:       {text: "the token has expired", matrix: reply{text: "The access token has expired"}, softLogout: true},
	model.RefreshRefused:     {text: "invalid refresh token", oauth: reply{status: 400, code: "invalid_grant"}},
	model.EndedSoftly:        {text: "the session has ended; sign in again on this device", oauth: reply{status: 400, code: "invalid_grant"}, softLogout: true},
	model.RateLimited:        {text: "too many requests"},
	model.TemporarilyDown:    {text: "try again later", matrix: reply{text: "The homeserver cannot be reached right now; try again"}},
	model.DatabaseDown:       {text: "the server's database cannot be used right now; try again later"},
	model.ClientGone:         {text: "the client is gone"},
	model.NotRecognized:      {text: "no such endpoint", matrix: reply{code: "M_UNRECOGNIZED", text: "Unrecognized request"}},
	model.MethodNotAllowed:   {text: "method not allowed", matrix: reply{status: 405, code: "M_UNRECOGNIZED"}, oauth: reply{status: 405}},
	model.DeviceIDForbidden:  {text: "this device id cannot be used", oauth: reply{code: "invalid_scope"}},
	model.InvalidClient:      {text: "the caller could not be authenticated", matrix: reply{code: "M_UNAUTHORIZED", text: "Invalid client"}, oauth: reply{code: "invalid_client"}},
	model.UnsupportedContent: {text: "the body must be application/x-www-form-urlencoded", matrix: reply{status: 415, code: "M_NOT_JSON", text: "Unsupported content type"}, pageStatus: 415},
	model.InvalidUsername:    {text: "invalid user name", matrix: reply{code: "M_INVALID_USERNAME"}},
	model.InvalidEmail:       {text: "invalid mail address"},
	model.InvalidPassword:    {text: "this password cannot be used", matrix: reply{code: "M_WEAK_PASSWORD"}},
	model.UserNotFound:       {text: "no such user"},
	model.SessionNotFound:    {text: "no such session"},
	model.ConsentNotFound:    {text: "no such consent"},
	model.UserExists:         {text: "this user name is taken", matrix: reply{code: "M_USER_IN_USE"}},
	model.EmailInUse:         {text: "this address is in use", matrix: reply{code: "M_THREEPID_IN_USE"}},
	model.UserUnavailable:    {text: "this user name cannot be used", matrix: reply{code: "M_EXCLUSIVE"}},

	// No route of the Matrix wire gives these: they belong to the OAuth API and to pages.
	model.EmailNotAllowed:         {text: "addresses of this domain are not allowed here"},
	model.EmailOwned:              {text: "the account has this address already"},
	model.TooManyEmails:           {text: "the account has too many addresses"},
	model.EmailNotFound:           {text: "the account has no such address"},
	model.CodeWrong:               {text: "this is not the code from the mail", oauth: reply{status: 403}},
	model.CodeOver:                {text: "the code is worth nothing any more", oauth: reply{status: 403}},
	model.UnknownClient:           {text: "this client is not known", matrix: reply{code: "M_UNKNOWN", text: "Unknown client"}, oauth: reply{status: 401, code: "invalid_client"}, pageStatus: 400},
	model.RedirectMismatch:        {text: "redirect_uri is not one of the client's", matrix: reply{text: "The redirect URI is not the client's"}},
	model.RequestExpired:          {text: "the request has expired", oauth: reply{status: 400}},
	model.RecoveryOver:            {text: "the link does not work any more"},
	model.CrossOrigin:             {text: "the form came from another site", oauth: reply{status: 403}},
	model.NotSignedIn:             {text: "not signed in", matrix: reply{code: "M_UNAUTHORIZED"}, oauth: reply{code: "login_required"}},
	model.AccessDenied:            {text: "access was denied"},
	model.ConfirmRequired:         {text: "this has to be confirmed", matrix: reply{status: 401}},
	model.LoginRequired:           {text: "the user has to sign in", matrix: reply{code: "M_UNAUTHORIZED", text: "A sign-in is needed"}, oauth: reply{status: 400, code: "login_required"}, pageStatus: 403},
	model.ConsentRequired:         {text: "the user has to consent", matrix: reply{text: "Consent is needed"}, oauth: reply{code: "consent_required"}},
	model.InvalidGrant:            {text: "the code is invalid, has expired or was used", matrix: reply{code: "M_UNKNOWN", text: "Invalid grant"}, oauth: reply{code: "invalid_grant"}},
	model.UnsupportedGrant:        {text: "this grant type is not supported", matrix: reply{code: "M_UNKNOWN", text: "Unsupported grant type"}, oauth: reply{code: "unsupported_grant_type"}},
	model.UnauthorizedClient:      {text: "the client did not register for this", matrix: reply{code: "M_FORBIDDEN", text: "The client may not do this"}, oauth: reply{code: "unauthorized_client"}},
	model.UnsupportedResponseType: {text: "only the response type code is supported", matrix: reply{code: "M_UNKNOWN", text: "Unsupported response type"}, oauth: reply{code: "unsupported_response_type"}},
	model.InvalidScope:            {text: "the scope cannot be granted", matrix: reply{text: "Invalid scope"}, oauth: reply{code: "invalid_scope"}},
	model.InvalidRedirectURI:      {text: "a redirect URI is invalid", matrix: reply{text: "Invalid redirect URI"}, oauth: reply{code: "invalid_redirect_uri"}},
	model.InvalidClientMetadata:   {text: "the metadata cannot be accepted", matrix: reply{text: "Invalid client metadata"}, oauth: reply{code: "invalid_client_metadata"}},
	model.UnapprovedSoftware:      {text: "software statements are not accepted", oauth: reply{code: "unapproved_software_statement"}},
	model.RequestNotSupported:     {text: "request objects are not supported", matrix: reply{code: "M_UNRECOGNIZED"}, oauth: reply{code: "request_not_supported"}},
	model.RequestURINotSupported:  {text: "request URIs are not supported", matrix: reply{code: "M_UNRECOGNIZED"}, oauth: reply{code: "request_uri_not_supported"}},
	model.RegistrationOver:        {text: "the registration is over"},
	model.InvitationRefused:       {text: "the registration token is not valid", matrix: reply{code: "M_UNAUTHORIZED", text: "Invalid registration token"}, pageStatus: 403},
	model.InvitationNotFound:      {text: "no such registration token"},
	model.RegistrationUnsupported: {text: "registration objects are not supported", matrix: reply{code: "M_UNRECOGNIZED"}, oauth: reply{code: "registration_not_supported"}},
}

// repliesOn are the replies to every code, by wire.
var repliesOn = func() map[Wire]map[model.Code]reply {
	all := make(map[Wire]map[model.Code]reply, len(Wires))
	for _, wire := range Wires {
		all[wire] = make(map[model.Code]reply, len(codeReplies))
		for code, row := range codeReplies {
			all[wire][code] = row.on(wire, code.Kind())
		}
	}
	return all
}()

// on returns the reply of a wire to the row's code, which is of a kind.
func (row codeReply) on(wire Wire, kind model.Kind) reply {
	if wire == MatrixWire {
		return row.matrix.or(kindReplies[kind].matrix).or(reply{text: strings.ToUpper(row.text[:1]) + row.text[1:]})
	}
	w := row.oauth.or(kindReplies[kind].oauth).or(reply{text: row.text})
	if wire == PageWire {
		w.status = cmp.Or(row.pageStatus, w.status)
	}
	return w
}

// replyTo returns the reply of a wire to a code. One that is not known is told as a fault of ours.
func replyTo(wire Wire, code model.Code) reply {
	if w, ok := repliesOn[wire][code]; ok {
		return w
	}
	return repliesOn[wire][model.ServerError]
}

// replyOf returns the reply of a wire to an error, with the error's own text if it has one. Text of a fault of ours stays
// inside.
func replyOf(wire Wire, e *model.Error) reply {
	w := replyTo(wire, e.Code)
	if e.Text != "" && e.Kind() != model.Internal {
		w.text = e.Text
	}
	return w
}
