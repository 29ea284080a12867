package recovery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// What is sealed in a row, each under a purpose of its own.
const (
	askedPurpose  seal.Purpose = "requests for recovery that wait"
	ticketPurpose seal.Purpose = "links for recovery in mails that wait"
)

// link is the payload of a job: it needs nothing beside the recovery, which is its subject, as who it is about is not
// known when it is written.
type link struct{}

// linkJob looks up whom a request is about and sends the link.
var linkJob = outbox.NewKind[link](model.JobRecoveryLink, model.ToMail)

// Handlers do the jobs of recovery.
func (r *Recoveries) Handlers() []outbox.Handler {
	return []outbox.Handler{linkJob.HandleAndNote(r.send)}
}

// Offered reports whether people can ask for a link: mail is configured, and the owner did not switch recovery off.
func (r *Recoveries) Offered() bool { return r.config.On && r.config.Letters.On() }

// Request is what somebody asks for.
type Request struct {
	// Typed is a mail address, a localpart or a Matrix id. For an address the link goes to it, as it was proven; for a name
	// it goes to the address that the account has for recovery.
	Typed string
	// Language is that of the page, as a BCP 47 tag.
	Language string
	Source   model.Source
}

// Request writes down that somebody wants a link. It does not look whether there is an account, so it costs and answers the
// same in both cases (MAIL-1, ENUM-1). Errors: MissingParam, InvalidParam for what no account can be called, RateLimited,
// TemporarilyDown if the seal cannot be used, NotRecognized if recovery is not offered.
func (r *Recoveries) Request(ctx context.Context, q Request) error {
	if !r.Offered() {
		return model.NewError(model.NotRecognized)
	}
	typed := strings.TrimSpace(q.Typed)
	switch {
	case typed == "":
		return model.NewError(model.MissingParam)
	case len(typed) > bound.Identifier:
		return model.NewError(model.InvalidParam)
	}
	if err := r.config.Letters.Admit(q.Source.IP, r.config.Users.Key(user.Typed(typed)), ""); err != nil {
		return err
	}
	return r.config.Store.Update(ctx, func(tx *store.Tx) error {
		made := model.Recovery{ID: model.NewID(tx.Now), Language: q.Language, IP: q.Source.IP, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(bound.RecoveryWait)}
		var err error
		if made.Asked, err = r.config.Seal.Seal(tx, askedPurpose, made.ID, []byte(typed)); err != nil {
			return unusable(err)
		}
		if err := tx.InsertRecovery(made); err != nil {
			return err
		}
		return linkJob.Enqueue(r.config.Outbox, tx, made.ID, link{})
	})
}

// unusable is what is told of a seal that cannot be used: the file may be put back.
func unusable(err error) error {
	if wrong := (*seal.Error)(nil); errors.As(err, &wrong) {
		return model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return err
}

// send does a job. It reads the recovery anew each time: of one that ended, or is too old, nobody gets a mail. The time of
// the ticket begins when the mail server has taken the mail, which is written with the outcome of the job.
func (r *Recoveries) send(ctx context.Context, job outbox.Job[link]) (outbox.Note, error) {
	id := job.Subject
	if err := r.issue(ctx, id); err != nil {
		return nil, err
	}
	var to model.Email
	var who model.User
	var found model.Recovery
	err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		if found, err = tx.Recovery(id); err != nil {
			return err
		}
		if found.Over(tx.Now) || !found.AcceptedAt.IsZero() || found.UserID == "" {
			return model.ErrNotFound
		}
		if who, err = tx.User(found.UserID); err != nil {
			return err
		}
		to, err = tx.Email(found.EmailID)
		return err
	})
	if errors.Is(err, model.ErrNotFound) || err == nil && (who.MayAct() != nil || to.UserID != who.ID) {
		return nil, nil // nobody is to have the mail
	}
	if err != nil {
		return nil, err
	}
	ticket, err := r.config.Seal.Open(ticketPurpose, id, found.Ticket)
	if err != nil {
		return nil, err
	}
	letter := page.Recovery{MatrixID: model.MatrixID(who.Localpart, r.config.ServerName), Link: r.link(string(ticket)), Life: bound.RecoveryLife}
	if err := r.config.Letters.Send(ctx, to.Address, found.Language, letter); err != nil {
		return nil, err
	}
	return func(tx *store.Tx) error { return tx.AcceptRecovery(id, tx.Now.Add(bound.RecoveryLife)) }, nil
}

// issue makes a request the ticket of the account that it is about, or forgets it if that is none, or one that gets no
// link (MAIL-6). It does nothing for a request that was looked up before.
func (r *Recoveries) issue(ctx context.Context, id string) error {
	return r.config.Store.Update(ctx, func(tx *store.Tx) error {
		asked, err := tx.Recovery(id)
		if errors.Is(err, model.ErrNotFound) || err == nil && (asked.Over(tx.Now) || asked.UserID != "") {
			return nil
		}
		if err != nil {
			return err
		}
		typed, err := r.config.Seal.Open(askedPurpose, id, asked.Asked)
		if err != nil {
			return err
		}
		to, ok, err := r.addressee(tx, user.Typed(string(typed)))
		if err == nil && ok {
			ok, err = mayHave(tx, to.UserID, asked)
		}
		if err != nil {
			return err
		}
		if !ok {
			return tx.DeleteRecovery(id)
		}
		// MAIL-2. What an operator gave stays: anybody can ask for a mail, which perhaps nobody reads any more.
		if err := tx.EndMailedRecoveries(to.UserID, model.RecoveryReplaced); err != nil {
			return err
		}
		ticket := model.NewRecoveryTicket()
		asked.UserID, asked.EmailID, asked.Hash = to.UserID, to.ID, model.HashToken(ticket)
		if asked.Ticket, err = r.config.Seal.Seal(tx, ticketPurpose, id, []byte(ticket)); err != nil {
			return err
		}
		return tx.IssueRecovery(asked)
	})
}

// addressee returns the address to which the link goes for what was typed. It reports false if there is none: no such
// account, one that may do nothing, or one without an address. The address is as its account has it, which may be another
// mailbox than the one that was typed although both have one key (see model.EmailKey).
func (r *Recoveries) addressee(tx *store.Tx, id user.Identifier) (to model.Email, ok bool, err error) {
	who, err := r.config.Users.Identified(tx, id)
	if errors.Is(err, model.ErrNotFound) {
		return to, false, nil
	}
	if err != nil || who.MayAct() != nil {
		return to, false, err
	}
	all, err := tx.Emails(who.ID)
	if err != nil {
		return to, false, err
	}
	if id.Name != "" {
		to, ok = model.RecoveryEmail(all)
		return to, ok, nil
	}
	key := r.config.Users.Key(id)
	i := slices.IndexFunc(all, func(e model.Email) bool { return e.Key == key })
	if i < 0 {
		return to, false, nil
	}
	return all[i], true, nil
}

// mayHave reports whether an account gets a link for a request: not if a later request came before it, if the password was
// changed since, or if the account has had too many.
func mayHave(tx *store.Tx, userID string, asked model.Recovery) (bool, error) {
	mailed, later, err := tx.CountRecoveries(userID, tx.Now.Add(-time.Hour), asked.ID)
	if err != nil || later > 0 || mailed >= bound.RecoveriesPerHour {
		return false, err
	}
	changed, err := tx.PasswordChangedAt(userID)
	if errors.Is(err, model.ErrNotFound) {
		return true, nil
	}
	return !changed.After(asked.CreatedAt), err
}
