// Package mail sends one message at a time, to a mail server by SMTP or by the sendmail command of the machine. It writes
// the headers, and sees to it that nothing in a message becomes one. It does not know what a mail is about, keeps nothing,
// and never tries again by itself: its errors say whether that would help.
package mail

import (
	"context"
	"net/mail"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// Message is a mail to one address.
type Message struct {
	// To is the bare address of the reader.
	To string
	// Subject is one line; what would end it becomes a blank.
	Subject string
	// Text and HTML are the two forms of the same content. HTML may be empty.
	Text, HTML string
	// Language is the BCP 47 tag of the content; empty if it is not known.
	Language string
}

// Sender sends messages. Its errors have a method Retryable() bool, which tells whether the same message can be taken
// later. It is what tests replace.
type Sender interface {
	// Send hands a message over. Once it returns nil the next server is responsible for the message (RFC 5321 section
	// 6.1).
	Send(ctx context.Context, m Message) error
}

// Receipter is a Sender that can tell what was said at the end of a hand-over, for an operator who tries it.
type Receipter interface {
	// SendWithReceipt is Send, and returns the last words of whoever took the message.
	SendWithReceipt(ctx context.Context, m Message) (receipt string, err error)
}

// Checker is a Sender that can look whether it would get as far as handing a message over.
type Checker interface {
	// Check goes as far as it can without a message. Its errors are *Error.
	Check(ctx context.Context) error
}

// Origin is from whom messages are.
type Origin struct {
	// From is the sender, with or without a name before the address; ReplyTo is where answers go, empty for From.
	From, ReplyTo string
	// Host is the name of this machine among mail servers, and in Message-IDs.
	Host string
	// Now is the clock of the header Date.
	Now func() time.Time
}

// ParseAddress reads an address as a person configures it, with or without a name before it: "Example <matrix@example.com>".
// The host is returned as DNS has it.
func ParseAddress(text string) (*mail.Address, error) {
	if strings.ContainsFunc(text, isControl) {
		return nil, errControl
	}
	address, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errAddress
	}
	if address.Address, err = asciiHost(address.Address); err != nil {
		return nil, err
	}
	return address, nil
}

// parseBare reads an address that must be nothing else: no name, no comment, no group, no second one.
func parseBare(text string) (string, error) {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Name != "" || address.Address != text || strings.ContainsFunc(text, isControl) {
		return "", errAddress
	}
	return asciiHost(text)
}

// asciiHost writes the host of an address as DNS has it: servers that do not know SMTPUTF8 take it so.
func asciiHost(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || strings.HasPrefix(address, "-") {
		return "", errAddress // the second would be an option of the sendmail command
	}
	host, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil || host == "" {
		return "", errAddress
	}
	return address[:at+1] + host, nil
}

// isControl reports whether a character could end a line or hide in one.
func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029
}

// oneLine makes a text one line of a header.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return isControl(r) || r == ' ' }), " ")
}
