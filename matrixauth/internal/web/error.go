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

// matrixError is an error document of the Client-Server API.
type matrixError struct {
	Errcode      string `json:"errcode"`
	Error        string `json:"error"`
	SoftLogout   bool   `json:"soft_logout,omitempty"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// oauthError is an error document of RFC 6749.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
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
	answer := replyOf(wire, e)
	if confirm := confirmOf(wire, err); confirm != nil {
		confirm.write(w, e, answer)
		return
	}
	retry := SetRetryAfter(w.Header(), wire, e)
	if challenge := challenges[e.Challenge]; challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if wire == PageWire {
		writeText(w, answer)
		return
	}
	var body any = oauthError{Error: answer.code, Description: answer.text}
	if wire == MatrixWire {
		document := matrixError{Errcode: answer.code, Error: answer.text, RetryAfterMS: retry.Milliseconds()}
		document.SoftLogout = codeReplies[e.Code].softLogout
		body = document
	}
	if err := WriteJSON(w, answer.status, body); err != nil {
		panic(err) // two string fields always marshal
	}
}

// writeText is what people get where no page can be made, before there is a database for example.
func writeText(w http.ResponseWriter, answer reply) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(answer.status)
	// The browser has gone if this fails, and there is nobody left to tell.
	_, _ = io.WriteString(w, answer.text+"\n")
}

// SetRetryAfter sets and returns the time after which another try makes sense; zero if none is known.
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

// OAuthError returns the code and the sentence of OAuth for an error, for those that travel in an address.
func OAuthError(err error) (code, text string) {
	w := replyOf(OAuthWire, model.AsError(err))
	return w.code, w.text
}

// StatusOf returns the status with which a wire says an error.
func StatusOf(wire Wire, err error) int { return replyTo(wire, model.AsError(err).Code).status }

// TextOf returns a sentence for a person about a code.
func TextOf(code model.Code) string { return replyTo(MatrixWire, code).text }

// Cause returns what there is to log about an error beyond its code; nil if there is nothing.
func Cause(err error) error { return errors.Unwrap(model.AsError(err)) }
