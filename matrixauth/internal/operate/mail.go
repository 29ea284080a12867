package operate

import (
	"context"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestMail sends a mail now, outside of the outbox, and tells what the mail server said.
const TestMail Operation[MailTest, MailTried] = "mail.test"

// MailTest is to whom a mail is sent, and in what language; empty means English.
type MailTest struct {
	Address  string `json:"address"`
	Language string `json:"language,omitempty"`
}

// MailTried is what came of it.
type MailTried struct {
	// Accepted reports whether the mail server took the mail. What becomes of it behind that server nobody here knows.
	Accepted bool `json:"accepted"`
	// Said is what the mail server, or the sendmail command, said; it may be empty for the latter.
	Said string `json:"said"`
	// Stage is how far the mail came if it was not taken: compose, connect, tls, auth, sender, recipient, data or sendmail.
	Stage string `json:"stage,omitempty"`
	// Retried reports whether a mail that fails so is tried again by itself. This one is not.
	Retried bool `json:"retried,omitempty"`
}

func (o *Operations) testMail(ctx context.Context, _ model.Actor, p MailTest) (MailTried, error) {
	if !o.c.Letters.On() {
		return MailTried{}, model.Errorf(model.InvalidParam, "no mail is sent: the configuration has no mail block, or this is not the database of the server")
	}
	email, err := model.ParseEmail(p.Address)
	if err != nil {
		return MailTried{}, err
	}
	tried := o.c.Letters.Try(ctx, email.Address, p.Language)
	note(ctx, model.User{}, slog.Bool("accepted", tried.Accepted), slog.String("stage", tried.Stage))
	return MailTried{Accepted: tried.Accepted, Said: tried.Said, Stage: tried.Stage, Retried: tried.Passing}, nil
}
