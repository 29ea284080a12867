package homeserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// Reason says what stands in the way of a call.
type Reason int

const (
	// Down means that no proper answer came: no connection, a time-out, a server error, a rate limit, or
	// an answer that is not one of a homeserver's (a proxy's page, a redirect, a 200 that is not JSON).
	Down Reason = iota + 1
	// RefusedSecret means that the homeserver has another secret than we.
	RefusedSecret
	// TooOld means that the homeserver lacks the API: its version is below MinVersion, or it has no
	// matrix_authentication_service section that is enabled.
	TooOld
	// UnknownUser means that the homeserver has no such user. From UpdateDeviceDisplayName it may also mean that the
	// user has no such device.
	UnknownUser
	// OtherServerName means that the homeserver has another server_name than the configuration.
	OtherServerName
	// RefusedToken means that the homeserver does not accept an access token of ours: it asks another service about
	// tokens, or something in front of it blocks the path.
	RefusedToken
	// Rejected means that the homeserver refused the call itself; it would refuse it again.
	Rejected
)

// String names the reason in a few words.
func (r Reason) String() string {
	switch r {
	case Down:
		return "the homeserver does not answer properly"
	case RefusedSecret:
		return "the homeserver has another secret"
	case TooOld:
		return "the homeserver lacks the API for its authentication service (Synapse " + MinVersion.String() +
			" or later with matrix_authentication_service enabled)"
	case UnknownUser:
		return "the homeserver does not know the user or device"
	case OtherServerName:
		return "the homeserver has another server_name"
	case RefusedToken:
		return "the homeserver does not honour a token of ours"
	case Rejected:
		return "the homeserver refuses the call"
	}
	return fmt.Sprintf("reason %d", int(r))
}

// Error is the error of every call. Its text never holds the secret, but may name users and devices; it is for logs
// and the operator, not for clients.
type Error struct {
	Reason Reason
	// Op is the call: the last path segment of its URL.
	Op string
	// Status is the HTTP status of the answer, 0 without one.
	Status int
	// Errcode is the Matrix error code of the answer, empty without one.
	Errcode string
	// Err is the cause: of the network, or what the homeserver said. It may be nil.
	Err error
}

// Error describes the failed call in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Op, e.Reason)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	if e.Errcode != "" {
		fmt.Fprintf(&b, " %s", e.Errcode)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause, so that errors.Is finds context.DeadlineExceeded and the like.
func (e *Error) Unwrap() error { return e.Err }

// IsUnknownUser reports whether a call failed because the homeserver does not have the user.
func IsUnknownUser(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == UnknownUser
}

// Retryable reports whether the same call can succeed later: when the homeserver is back, or when its
// owner has corrected secret, version or server name. The other reasons are final.
func (e *Error) Retryable() bool {
	switch e.Reason {
	case Down, RefusedSecret, RefusedToken, TooOld, OtherServerName:
		return true
	}
	return false
}

// refusal returns the error for an answer that is not a success.
func (c *Client) refusal(r request, a answer) *Error {
	code, text := matrixError(a)
	e := &Error{Op: r.op, Status: a.status, Errcode: code, Reason: reason(a.status, code)}
	if r.token != "" {
		text = strings.ReplaceAll(text, r.token, "[token]")
		closed := a.status == http.StatusNotFound && code != "M_NOT_FOUND"
		if closed || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			e.Reason = RefusedToken
		}
	}
	switch {
	case text != "":
		e.Err = errors.New(c.hide(text))
	case a.status >= 300 && a.status < 400:
		e.Err = errors.New("a redirect, which is not followed because the secret must not go elsewhere")
	case code == "":
		e.Err = errors.New("the answer is not of a Matrix homeserver")
	}
	return e
}

// reason classifies an answer that is not a success. An answer without a Matrix error code did not come from the
// homeserver but from something in front of it, and is never final.
func reason(status int, errcode string) Reason {
	switch {
	case status == http.StatusNotFound && errcode == "M_NOT_FOUND":
		return UnknownUser
	case status == http.StatusNotFound || errcode == "M_UNRECOGNIZED":
		// Synapse without the section answers M_UNRECOGNIZED; one that lacks this very call, a page.
		return TooOld
	case status == http.StatusUnauthorized:
		return RefusedSecret
	case status == http.StatusForbidden && (errcode == "M_UNKNOWN" || errcode == ""):
		// M_FORBIDDEN comes from a module of the homeserver that vetoes, for example, a deactivation.
		return RefusedSecret
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests:
		return Down
	case status >= 400 && status < 500 && errcode != "":
		return Rejected
	}
	return Down
}

// maxText bounds how much of the homeserver's own words an error repeats, in bytes. When Synapse cannot validate a
// body, its message repeats the body.
const maxText = 200

// matrixError reads the standard error shape of an answer (Client-Server API, "Standard error response").
func matrixError(a answer) (code, text string) {
	if !isObject(a) {
		return "", ""
	}
	var body struct {
		Errcode string `json:"errcode"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return "", ""
	}
	return printable(body.Errcode), printable(body.Error)
}

// printable makes a foreign text fit for one line of a log.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
