package mail

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"

	gomail "github.com/wneessen/go-mail"
)

// compose makes a message with its headers. Its errors are of the stage Composing.
func (o Origin) compose(m Message) (*gomail.Msg, error) {
	from, err := ParseAddress(o.From)
	if err != nil {
		return nil, fail(Composing, 0, err)
	}
	to, err := parseBare(m.To)
	if err != nil {
		return nil, fail(Composing, 0, err)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.EnvelopeFromMailAddress(from)
	if err := msg.To(to); err != nil {
		return nil, fail(Composing, 0, errAddress)
	}
	if o.ReplyTo != "" {
		answers, err := ParseAddress(o.ReplyTo)
		if err != nil {
			return nil, fail(Composing, 0, err)
		}
		msg.ReplyToMailAddress(answers)
	}
	msg.Subject(oneLine(m.Subject))
	msg.SetDateWithValue(o.Now())
	msg.SetMessageIDWithValue(m.id() + "@" + o.Host)
	// Neither an answering machine nor a mailing list answers such a mail (RFC 3834 section 5).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	if m.Language != "" {
		msg.SetGenHeader("Content-Language", oneLine(m.Language))
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// idKey keeps Message-IDs, which are in the logs of every server on the way, from telling what is in a mail.
var idKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails
	return key
})

// id returns the left part of the Message-ID. A message that is sent again, as the answer of the server was lost, has the
// same one while the process lives, so that a mailbox can tell that it is no other.
func (m Message) id() string {
	sum := hmac.New(sha256.New, idKey())
	for _, part := range []string{m.To, m.Subject, m.Text, m.HTML} {
		sum.Write([]byte(part + "\x00"))
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum.Sum(nil)[:20]))
}
