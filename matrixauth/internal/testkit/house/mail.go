package house

import (
	"context"
	"slices"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
)

// MailFrom is the sender of a House WithMail.
const MailFrom = "matrix@example.test"

// WithMail has a House send mails, to its Mailbox.
var WithMail = func(c *matrixauth.Config) {
	c.Mail = matrixauth.Mail{From: MailFrom, SMTP: "mail.example.test:587"}
}

// Mailbox takes mails in place of a mail server. It may be used from any goroutine.
type Mailbox struct {
	mu   sync.Mutex
	sent []mail.Message
	fail func(mail.Message) error
}

// Send takes a message, unless Failing says that it fails.
func (b *Mailbox) Send(_ context.Context, m mail.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(m); err != nil {
			return err
		}
	}
	b.sent = append(b.sent, m)
	return nil
}

// Failing has each Send ask f whether it fails; nil means that none does.
func (b *Mailbox) Failing(f func(mail.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

// All returns every message that was taken, in order.
func (b *Mailbox) All() []mail.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sent)
}

// To returns the messages to an address, in order.
func (b *Mailbox) To(address string) (found []mail.Message) {
	for _, m := range b.All() {
		if m.To == address {
			found = append(found, m)
		}
	}
	return found
}

// Forget forgets what was taken.
func (b *Mailbox) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = nil
}

// LastMail does the jobs that are due and returns the newest message to an address. The test fails if there is none.
func (h *House) LastMail(address string) mail.Message {
	h.T.Helper()
	h.Pass()
	found := h.Mails.To(address)
	if len(found) == 0 {
		h.T.Fatalf("no mail was sent to %s; all are %+v", address, h.Mails.All())
	}
	return found[len(found)-1]
}
