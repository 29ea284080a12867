package notify

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/mail"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
)

// Trial is what came of a mail that an operator sent to see whether mails arrive.
type Trial struct {
	// Accepted reports whether the next mail server is responsible for it now.
	Accepted bool
	// Said is what whoever took it, or did not, said.
	Said string
	// Stage is how far it came if it was not taken.
	Stage string
	// Passing reports whether a mail that fails so is tried again.
	Passing bool
}

// Try sends a mail to an address now, and tells what came of it. It counts against no limit: operators alone may call it.
func (l *Letters) Try(ctx context.Context, to, language string) Trial {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	receipt, err := l.send(ctx, to, language, page.Trial{At: l.config.Now()})
	if err == nil {
		return Trial{Accepted: true, Said: receipt}
	}
	return Trial{Said: err.Error(), Stage: string(stageOf(err)), Passing: !outbox.IsPermanent(err)}
}

// Check goes as far with whoever takes mails as it can without a mail. It returns nil if nobody can be asked. Errors have a
// Stage.
func (l *Letters) Check(ctx context.Context) error {
	checker, ok := l.config.Sender.(mail.Checker)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	return checker.Check(ctx)
}

// StageOf returns how far a mail came that failed with an error of Check; empty for an error of another kind.
func StageOf(err error) mail.Stage {
	var e *mail.Error
	if errors.As(err, &e) {
		return e.Stage
	}
	return ""
}
