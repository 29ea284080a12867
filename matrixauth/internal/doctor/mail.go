package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// mailPatience is how old a mail that waits may be before it is a finding: servers make senders whom they do not know wait
// for some minutes.
const mailPatience = time.Hour

// Mail sees whether mails can be handed over, as far as that shows without one: the connection, TLS and the credentials; and
// whether mails wait.
func (d *Visit) Mail(ctx context.Context) {
	const check = "mail"
	if !d.Letters.On() {
		d.good(check, "no mails are sent, so nothing that needs one is offered")
		return
	}
	if err := d.Letters.Check(ctx); err != nil {
		d.mailTrouble(err)
		return
	}
	var state store.OutboxState
	err := d.Store.View(ctx, func(tx *store.Tx) (err error) {
		state, err = tx.OutboxStateOf(model.ToMail)
		return err
	})
	if err != nil {
		d.bad(check, "unreadable", "the mails that wait cannot be read: "+err.Error(), d.Store.Path(), "restore a backup, or look at the disk")
		return
	}
	if !state.Oldest.IsZero() {
		if age := d.Store.Now().Sub(state.Oldest); age > mailPatience {
			d.bad(check, "late", fmt.Sprintf("%d mails wait, the oldest for %s; its last failure: %s", state.Waiting, age.Round(time.Second), state.LastError),
				d.MailVia, "see what the mail server says: caddy matrix-auth outbox list; they are tried on by themselves")
			return
		}
	}
	// Strangers name addresses that are none, so refused mails alone are no fault of the server's.
	d.good(check, "%s takes mails from us; %d wait, %d were refused for good (\"outbox list --refused\")", d.MailVia, state.Waiting, state.SetAside)
}

// mailTrouble notes why no mail can be handed over.
func (d *Visit) mailTrouble(err error) {
	const check = "mail"
	what := "no mail can be sent: " + err.Error() + "; they wait"
	switch notify.StageOf(err) {
	case mail.Securing:
		d.bad(check, "insecure", what, d.MailVia, "write the host that the certificate names behind smtp, and tls in place of starttls if the server begins with TLS; an authority of your own goes into the machine's certificates")
	case mail.Authenticating:
		d.bad(check, "refused", what, d.MailVia, "user and password (or password_file) of the mail block")
	case mail.Running:
		d.bad(check, "no-command", what, d.MailVia, "sendmail /path/to/the/command, or smtp HOST:PORT")
	default:
		d.bad(check, "unreachable", what, d.MailVia, "smtp HOST:PORT of the mail block, with tls, starttls or plain behind it; or let this machine connect there")
	}
}
