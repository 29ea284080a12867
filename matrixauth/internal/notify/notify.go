// Package notify has people told by mail: it says whether mails can be sent at all, renders and sends one, bounds how many
// go out, and tells the addresses of an account what happened to it. It does not know how a mail travels, nor decide what
// else happens; whoever asks for a mail is not told whether an address is somebody's.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config is what Letters are made of.
type Config struct {
	Store   *store.Store
	Outbox  *outbox.Outbox
	Limiter *limit.Limiter
	// Pages renders mails.
	Pages *page.Pages
	// Sender sends them; nil if mail is not configured.
	Sender mail.Sender
	// Topics are those of which people are told.
	Topics []string
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	// Count counts a mail that was handed over, by an empty stage, and one that was not, by the stage at which it failed. It
	// may be nil.
	Count func(failed mail.Stage)
	// Now is the clock.
	Now    func() time.Time
	Logger *slog.Logger
}

// Letters sends mails of one configuration.
type Letters struct{ config Config }

// New makes Letters.
func New(c Config) *Letters {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Count == nil {
		c.Count = func(mail.Stage) {}
	}
	return &Letters{config: c}
}

// On reports whether mail is configured. What needs it is not offered without. Doors and the domain ask it.
func (l *Letters) On() bool { return l.config.Sender != nil }

// errOff is for whoever sends although nothing is configured, as a job does that was written before. It can be retried:
// the owner may configure mail again.
var errOff = errors.New("mail is not configured")

// Send renders a mail and hands it over now. It is for the handlers of jobs to model.ToMail, outside of any transaction. to
// is a bare address, language a BCP 47 tag or empty. A nil error means that the next mail server is responsible for the mail
// from now on; its errors say by Retryable whether it may be taken later.
func (l *Letters) Send(ctx context.Context, to, language string, content page.Letter) error {
	_, err := l.send(ctx, to, language, content)
	return err
}

// send is Send, and returns the last words of whoever took the mail, if the way of sending tells them.
func (l *Letters) send(ctx context.Context, to, language string, content page.Letter) (receipt string, err error) {
	if !l.On() {
		return "", errOff
	}
	subject, text, html, err := l.config.Pages.Letter(language, content)
	if err != nil {
		return "", err
	}
	m := mail.Message{To: to, Subject: subject, Text: text, HTML: html, Language: l.config.Pages.LetterLanguage(language)}
	if talkative, ok := l.config.Sender.(mail.Receipter); ok {
		receipt, err = talkative.SendWithReceipt(ctx, m)
	} else {
		err = l.config.Sender.Send(ctx, m)
	}
	l.config.Count(stageOf(err))
	return receipt, err
}

// stageOf returns the stage at which an error happened; empty if there is none.
func stageOf(err error) mail.Stage {
	if err == nil {
		return ""
	}
	if stage := StageOf(err); stage != "" {
		return stage
	}
	return mail.Connecting
}

// Admit counts one mail that somebody asks for, against the limits of their network, of the address, of the account and of
// all (MAIL-12). addressKey is the folded address, userID the account of who asks, empty if nobody is signed in. It returns
// RateLimited with the time to wait. Whoever takes an address from outside asks it before they look whether the address is
// somebody's, so that it answers the same in both cases (MAIL-1).
func (l *Letters) Admit(ip, addressKey, userID string) error {
	limiter := l.config.Limiter
	if err := limiter.TakeNetwork(limit.MailsByNetwork, ip, bound.MailsPerNetwork); err != nil {
		return err
	}
	if userID != "" {
		if err := limiter.Take(limit.MailsByAccount, userID, bound.MailsPerAccount); err != nil {
			return err
		}
	}
	if err := limiter.Take(limit.MailsByAddress, addressKey, bound.MailsPerAddress); err != nil {
		return err
	}
	return limiter.Take(limit.MailsInAll, everybody, bound.MailsInAll)
}

// everybody is the one key of the limit of all.
const everybody = "all"

// Pace is how mails are sent: some servers at a time, since one that does not answer holds its place, and with delays that
// grow up to an hour, as a server that lists unknown senders for a while expects (RFC 5321 section 4.5.4.1).
func Pace() outbox.Pace {
	return outbox.Pace{AtOnce: 4, FirstDelay: firstDelay, MaxDelay: bound.MailDelay, Timeout: bound.MailTry, KeepAside: bound.SetAsideMails}
}

const firstDelay = 15 * time.Second

// trialTimeout bounds what an operator waits to hear what came of a mail, or of a look at the mail server.
const trialTimeout = 30 * time.Second

// Handlers do the jobs of notices.
func (l *Letters) Handlers() []outbox.Handler {
	return []outbox.Handler{noticeJob.Handle(l.sendNotice)}
}

// tooOld reports whether what was written at a time is not worth a mail any more.
func (l *Letters) tooOld(written time.Time) bool {
	return l.config.Now().Sub(written) > bound.NoticeLife
}

// logGivenUp tells of a notice that was given up.
func (l *Letters) logGivenUp(ctx context.Context, userID string, kind Kind, why string) {
	l.config.Logger.LogAttrs(ctx, slog.LevelWarn, "a notice was not sent", slog.String("user_id", userID), slog.String("notice", string(kind)), slog.String("reason", why))
}
