package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Stage is how far a message came. The values are labels of metrics.
type Stage string

// The stages of handing a message over, in their order.
const (
	// Composing is before anybody was asked: the message itself is wrong.
	Composing Stage = "compose"
	// Connecting is until the server has greeted us.
	Connecting Stage = "connect"
	// Securing is TLS, by STARTTLS or at once.
	Securing Stage = "tls"
	// Authenticating is the user and the password.
	Authenticating Stage = "auth"
	// Sending is the address of the sender, Receiving that of the reader, Data the content.
	Sending   Stage = "sender"
	Receiving Stage = "recipient"
	Data      Stage = "data"
	// Running is the sendmail command.
	Running Stage = "sendmail"
)

// Stages lists every stage.
var Stages = []Stage{Composing, Connecting, Securing, Authenticating, Sending, Receiving, Data, Running}

var (
	errAddress = errors.New("this is not a mail address")
	errControl = errors.New("an address has no control characters")
)

// Error is why a message was not taken.
type Error struct {
	Stage Stage
	// Code is the reply of an SMTP server (RFC 5321 section 4.2), or the exit status of the sendmail command; zero if there
	// is none.
	Code int
	// permanent reports that the same message will not be taken later either.
	permanent bool
	cause     error
}

// Error says at which stage what happened. It holds no password; it may hold the reader's address, as servers repeat it.
func (e *Error) Error() string { return fmt.Sprintf("mail (%s): %v", e.Stage, e.cause) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Retryable reports whether the same message may be taken later. What the owner of this server can mend is retried, so that
// no mail is lost by a wrong password: a connection, TLS, a login or a sender that is refused. What a server says of the
// reader or of the content with a 5xx is final (RFC 5321 section 4.2.1).
func (e *Error) Retryable() bool { return !e.permanent }

// fail makes an Error of a stage that failed.
func fail(stage Stage, code int, cause error) *Error {
	final := (stage == Receiving || stage == Data) && code >= 500 && code < 600
	if stage == Receiving && code == authRequired {
		final = false // the owner forgot the credentials
	}
	return &Error{Stage: stage, Code: code, permanent: final || stage == Composing, cause: cause}
}

// authRequired is the reply of a server that wants credentials first (RFC 4954 section 6).
const authRequired = 530

// redacted takes the password out of what a server said, which may repeat what it was sent: as it is, and as the ways to log
// in write it (RFC 4616, and LOGIN).
func (s *SMTP) redacted(text string) string {
	if s.Password == "" {
		return text
	}
	for _, secret := range []string{s.Password, base64.StdEncoding.EncodeToString([]byte(s.Password)), base64.StdEncoding.EncodeToString([]byte("\x00" + s.User + "\x00" + s.Password))} {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}
