package page

import "github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"

// kindTopics says under which part of the catalogue people are told of a code by its kind: what happened, and what
// to do now. Many codes are one thing to them.
var kindTopics = map[model.Kind]string{
	model.Internal:        "fault",
	model.Invalid:         "request",
	model.Unauthenticated: "signin",
	model.Denied:          "denied",
	model.NotFound:        "notfound",
	model.Conflict:        "request",
	model.Limited:         "limited",
	model.Unavailable:     "unavailable",
}

// topics are the codes of which people are told something else than the kind says.
var topics = map[model.Code]string{
	model.InvalidCredentials: "credentials",
	model.UserDeactivated:    "deactivated",
	model.CodeWrong:          "code",
	model.CodeOver:           "codeover",
	model.UserLocked:         "locked",
	model.RefreshRefused:     "request",
	model.EndedSoftly:        "request",
	model.MethodNotAllowed:   "method",
	model.DeviceIDForbidden:  "request",
	model.InvalidClient:      "client",
	model.UserNotFound:       "request",
	model.SessionNotFound:    "session",
	model.ConsentNotFound:    "request",
	model.UnknownClient:      "client",
	model.RedirectMismatch:   "redirect",
	model.RequestExpired:     "expired",
	model.RecoveryOver:       "expired",
	model.CrossOrigin:        "origin",
	model.ConsentRequired:    "request",
	model.InvalidGrant:       "expired",
	model.InvalidRedirectURI: "redirect",
	model.RegistrationOver:   "registration",
	model.InvitationRefused:  "request",
	model.InvitationNotFound: "request",
}

// topic returns the part of the catalogue for a code.
func topic(code model.Code) string {
	if name, ok := topics[code]; ok {
		return name
	}
	return kindTopics[code.Kind()]
}
