package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// topics says under which part of the catalogue people are told of a code: what happened, and what to
// do now. Many codes are one thing to them. A test ranges over every code.
var topics = map[model.Code]string{
	model.ServerError:        "fault",
	model.NotJSON:            "request",
	model.BadJSON:            "request",
	model.MissingParam:       "request",
	model.InvalidParam:       "request",
	model.TooLarge:           "request",
	model.UnknownLoginType:   "request",
	model.UnknownIdentifier:  "request",
	model.AppserviceLogin:    "request",
	model.InvalidCredentials: "credentials",
	model.UserDeactivated:    "deactivated",
	model.UserLocked:         "locked",
	model.MissingToken:       "signin",
	model.UnknownToken:       "signin",
	model.ExpiredToken:       "signin",
	model.RefreshRefused:     "request",
	model.RefreshPassed:      "request",
	model.RateLimited:        "limited",
	model.TemporarilyDown:    "unavailable",
	model.NotRecognized:      "notfound",
	model.MethodNotAllowed:   "method",
	model.DeviceIDForbidden:  "request",
	model.InvalidClient:      "client",
	model.UnsupportedContent: "request",
	model.InvalidUsername:    "request",
	model.InvalidEmail:       "request",
	model.InvalidPassword:    "request",
	model.UserNotFound:       "request",
	model.SessionNotFound:    "session",
	model.ConsentNotFound:    "request",
	model.UserExists:         "request",
	model.EmailInUse:         "request",
	model.UserUnavailable:    "request",

	model.UnknownClient:           "client",
	model.RedirectMismatch:        "redirect",
	model.RequestExpired:          "expired",
	model.CrossOrigin:             "origin",
	model.NotSignedIn:             "signin",
	model.AccessDenied:            "denied",
	model.LoginRequired:           "signin",
	model.ConsentRequired:         "request",
	model.InvalidGrant:            "expired",
	model.UnsupportedGrant:        "request",
	model.UnauthorizedClient:      "request",
	model.UnsupportedResponseType: "request",
	model.InvalidScope:            "request",
	model.InvalidRedirectURI:      "redirect",
	model.InvalidClientMetadata:   "request",
	model.UnapprovedSoftware:      "request",
	model.RequestNotSupported:     "request",
	model.RequestURINotSupported:  "request",
	model.RegistrationUnsupported: "request",
}

// topic is the part of the catalogue for a code.
func topic(code model.Code) string {
	if t, ok := topics[code]; ok {
		return t
	}
	return topics[model.ServerError]
}

// resetProblems are those of the page for a reset.
var resetProblems = map[model.Code]string{
	model.InvalidCredentials: "reset.wrong",
	model.RateLimited:        "login.limited",
	model.LoginRequired:      "reset.late",
	model.CrossOrigin:        "reset.stale",
	model.TemporarilyDown:    "reset.down",
}

// problems are the texts that the sign-in page shows above its form.
var problems = map[model.Code]string{
	model.InvalidCredentials: "login.wrong",
	model.RateLimited:        "login.limited",
	model.CrossOrigin:        "login.expired",
}
