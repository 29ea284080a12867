package verification

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// MailJob sends the mail of a verification, whose id is the subject. The code stands in the verification's row alone.
var MailJob = outbox.NewKind[Mail](model.JobMailCode, model.ToMail)

// Mail says nothing beside the verification.
type Mail struct{}

// Handlers returns the outbox handlers for verifications.
func (v *Verifications) Handlers() []outbox.Handler {
	return []outbox.Handler{MailJob.HandleAndNote(v.mail)}
}

// mail sends the code, or the news that somebody typed it to who has the address already. What came of it is noted in the
// row: the time of a code counts from when a mail server took it.
func (v *Verifications) mail(ctx context.Context, job outbox.Job[Mail]) (outbox.Note, error) {
	var found model.Verification
	var taken model.Email
	var owner model.User
	err := v.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		if found, err = tx.Verification(job.Subject); err != nil {
			return err
		}
		taken, owner, err = whose(tx, found.Key)
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		return nil, nil // it is not wanted any more
	}
	if err != nil || found.Proven() || found.Over(v.config.Store.Now()) {
		return nil, err
	}
	// Two spellings that compare as one may be two mailboxes: what an account has is told to the one that was proven.
	to, letter := taken.Address, page.Letter(page.TakenLetter{Account: model.MatrixID(owner.Localpart, v.config.ServerName), Register: found.Kind == model.ForRegistration})
	if owner.ID == "" {
		code, err := v.config.Seal.Open(Codes, found.ID, found.SealedCode)
		if err != nil {
			return nil, err
		}
		to, letter = found.Address, page.CodeLetter{Code: string(code), Register: found.Kind == model.ForRegistration}
	}
	err = v.config.Letters.Send(ctx, to, found.Language, letter)
	if err != nil && !outbox.IsPermanent(err) {
		return nil, err
	}
	return noteMail(found.ID, err == nil), err
}

// whose returns the address of an account by its key, and the account; nothing if no account has it.
func whose(tx *store.Tx, key string) (address model.Email, owner model.User, err error) {
	owner, err = tx.UserByEmail(key)
	if errors.Is(err, model.ErrNotFound) {
		return address, model.User{}, nil
	}
	if err != nil {
		return address, owner, err
	}
	all, err := tx.Emails(owner.ID)
	for _, e := range all {
		if e.Key == key {
			address = e
		}
	}
	return address, owner, err
}

// noteMail notes that a mail server took the mail of a verification, or refused it for good.
func noteMail(id string, accepted bool) outbox.Note {
	return func(tx *store.Tx) error {
		found, err := tx.Verification(id)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if accepted {
			found.AcceptedAt, found.RefusedAt = tx.Now, time.Time{}
		} else {
			found.RefusedAt = tx.Now
		}
		return tx.UpdateVerification(found)
	}
}
