package mail

import (
	"bytes"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
)

// ours are the headers that a message may have.
var ours = []string{
	"Auto-Submitted", "Content-Language", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Reply-To", "Subject", "To", "X-Auto-Response-Suppress",
}

// headers are those of a message as a reader finds them.
func headers(t testing.TB, o Origin, m Message) (netmail.Header, bool) {
	t.Helper()
	msg, err := o.compose(m)
	if err != nil {
		return nil, false
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return nil, false
	}
	read, err := netmail.ReadMessage(&raw)
	if err != nil {
		t.Fatalf("%q makes a message that cannot be read: %v", m, err)
	}
	return read.Header, true
}

// TestNoHeaderIsInjected: nothing in a message becomes a header, and no address becomes two (MAIL-11).
func TestNoHeaderIsInjected(t *testing.T) {
	for _, to := range []string{
		"a@example.org\r\nBcc: b@example.org", "a@example.org\nBcc: b@example.org", "a@example.org, b@example.org", "A <a@example.org>", "a@example.org>", "<a@example.org>",
		"a@example.org b@example.org", "", "@example.org", "a@", "a@example.org\x00", "group: a@example.org;", "a@example.org (comment)", "-oQ/tmp@example.org", "\"a\r\n\"@example.org", "a@exa mple.org", "a@[127.0.0.1\r\n]",
	} {
		m := testMessage
		m.To = to
		if got, ok := headers(t, testOrigin, m); ok {
			t.Errorf("%q is taken, To is %q", to, got["To"])
		}
	}
	m := testMessage
	m.Subject, m.Language = "Hello\r\nBcc: b@example.org\r\n\r\nbody", "de\r\nBcc: b@example.org"
	got, ok := headers(t, testOrigin, m)
	if !ok || got.Get("Bcc") != "" || !strings.HasPrefix(got.Get("Subject"), "Hello Bcc: b@example.org body") {
		t.Errorf("%v", got)
	}
}

// FuzzCompose: whatever a message is made of, it has the headers that we write, and one reader.
func FuzzCompose(f *testing.F) {
	f.Add("alice@example.org", "Hello", "text", "<p>html</p>", "de")
	f.Add("a@example.org\r\nBcc: b@c", "x\r\nBcc: a@b", "\r\n.\r\n", "", "de\r\nX: y")
	f.Add("\"a b\"@example.org", "Größe\u2028x", ".", "--", "")
	f.Fuzz(func(t *testing.T, to, subject, text, html, language string) {
		got, ok := headers(t, testOrigin, Message{To: to, Subject: subject, Text: text, HTML: html, Language: language})
		if !ok {
			return
		}
		for name, values := range got {
			if !slices.Contains(ours, name) || len(values) != 1 {
				t.Errorf("%q has the header %s: %q", to, name, values)
			}
		}
		if readers, err := got.AddressList("To"); err != nil || len(readers) != 1 {
			t.Errorf("%q has %v as readers, %v", to, readers, err)
		}
	})
}

// TestIDNHosts: the host of an address goes out as DNS has it (MAIL-9).
func TestIDNHosts(t *testing.T) {
	m := testMessage
	m.To = "alice@münchen.example"
	if got, ok := headers(t, testOrigin, m); !ok || got.Get("To") != "<alice@xn--mnchen-3ya.example>" {
		t.Errorf("To is %q", got.Get("To"))
	}
}
