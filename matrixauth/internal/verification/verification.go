// Package verification has people prove that a mail address is theirs, by a code of six digits that is mailed to it. A
// verification is bound to what asked for it, a registration or an account, and is worth nothing for anything else. It
// renders nothing, knows no HTTP, and gives nobody an address: whoever asks for a verification does that once it is
// proven, and judges again then whether the address is free. It counts no mails: its callers ask notify.Letters.Admit
// before they have one sent.
package verification

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Codes is what the codes of verifications are sealed for.
const Codes seal.Purpose = "codes that prove mail addresses"

// Config is what verifications depend upon.
type Config struct {
	Store   *store.Store
	Outbox  *outbox.Outbox
	Seal    *seal.Keeper
	Letters *notify.Letters
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
}

// Verifications has addresses proven.
type Verifications struct{ config Config }

// New makes the verifications of a configuration.
func New(c Config) *Verifications { return &Verifications{c} }

// Start is an address that is to be proven.
type Start struct {
	Subject model.Subject
	// Email is the address, as user.ParseEmail read it.
	Email model.Email
	// Language is that of the mail, as a BCP 47 tag.
	Language string
}

// Start begins to verify an address, in place of another one of the same subject, and has the mail sent. The same address
// again, as by a double click, changes nothing while a code for it is worth something. An address that an account has
// already is treated in the same way: only the mail differs, so that nobody but its owner learns of it (MAIL-10, ENUM-1).
// Its error is one of the database, or TemporarilyDown if the seal cannot be used.
func (v *Verifications) Start(tx *store.Tx, s Start) (model.Verification, error) {
	old, err := tx.VerificationOf(s.Subject)
	if err == nil && old.Key == s.Email.Key && (old.Proven() || !old.Over(tx.Now) && old.RefusedAt.IsZero()) {
		return old, nil
	}
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return model.Verification{}, err
	}
	if err := tx.DeleteVerification(s.Subject); err != nil {
		return model.Verification{}, err
	}
	started := model.Verification{
		ID: model.NewID(tx.Now), Subject: s.Subject, Address: s.Email.Address, Key: s.Email.Key, Language: s.Language, Mails: 1, CreatedAt: tx.Now,
	}
	if started.SealedCode, err = v.config.Seal.Seal(tx, Codes, started.ID, []byte(model.NewEmailCode())); err != nil {
		return model.Verification{}, unusable(err)
	}
	if err := tx.InsertVerification(started); err != nil {
		return model.Verification{}, err
	}
	return started, MailJob.Enqueue(v.config.Outbox, tx, started.ID, Mail{})
}

// Resend has the mail of a subject's verification sent again: with the same code, as the first mail may only be late, or with
// another one if that is worth nothing any more, or was mailed bound.CodeMails times. How often that helps who guesses is
// bounded by the mails that an address gets. It does nothing while a mail waits to be sent, and for an address that is
// proven. It returns CodeOver if the subject has none to prove.
func (v *Verifications) Resend(tx *store.Tx, of model.Subject) error {
	found, err := v.find(tx, of)
	if err != nil || found.Proven() {
		return err
	}
	if waits, err := MailJob.Waits(tx, found.ID); err != nil || waits && !found.Over(tx.Now) {
		return err
	}
	if found.Over(tx.Now) || found.Mails >= bound.CodeMails {
		if err := tx.DeleteVerification(of); err != nil {
			return err
		}
		_, err := v.Start(tx, Start{Subject: of, Email: model.Email{Address: found.Address, Key: found.Key}, Language: found.Language})
		return err
	}
	found.Mails++
	found.RefusedAt = time.Time{}
	if err := tx.UpdateVerification(found); err != nil {
		return err
	}
	return MailJob.Enqueue(v.config.Outbox, tx, found.ID, Mail{})
}

// find finds the verification of a subject, or returns CodeOver.
func (v *Verifications) find(tx *store.Tx, of model.Subject) (model.Verification, error) {
	found, err := tx.VerificationOf(of)
	if errors.Is(err, model.ErrNotFound) {
		err = model.NewError(model.CodeOver)
	}
	return found, err
}

// Check tries a code, as it was typed, in a transaction of its own, which counts the try. Nil says that the address is
// proven. Errors: CodeWrong; CodeOver if no code is worth anything any more; and EmailInUse if the code is right and an
// account has the address meanwhile, which whoever has the code may know (MAIL-10).
func (v *Verifications) Check(ctx context.Context, of model.Subject, typed string) (result error) {
	err := v.config.Store.Update(ctx, func(tx *store.Tx) (err error) {
		result, err = v.check(tx, of, typed)
		return err
	})
	if err != nil {
		return err
	}
	return result
}

// check returns what is told of a try, which counts, apart from what makes it not count.
func (v *Verifications) check(tx *store.Tx, of model.Subject, typed string) (result, err error) {
	found, err := tx.VerificationOf(of)
	if errors.Is(err, model.ErrNotFound) {
		return model.NewError(model.CodeOver), nil
	}
	if err != nil || found.Proven() {
		return nil, err
	}
	if found.Over(tx.Now) {
		return model.NewError(model.CodeOver), nil
	}
	code, err := v.config.Seal.Open(Codes, found.ID, found.SealedCode)
	if err != nil {
		return nil, unusable(err)
	}
	found.Tries++
	if subtle.ConstantTimeCompare(code, []byte(model.ReadEmailCode(typed))) == 0 {
		result = model.NewError(model.CodeWrong)
		if found.Over(tx.Now) {
			result = model.NewError(model.CodeOver)
		}
		return result, tx.UpdateVerification(found)
	}
	if _, err := tx.UserByEmail(found.Key); err == nil {
		return model.NewError(model.EmailInUse), tx.UpdateVerification(found)
	} else if !errors.Is(err, model.ErrNotFound) {
		return nil, err
	}
	found.ProvenAt = tx.Now
	return nil, tx.UpdateVerification(found)
}

// unusable is what is told of a seal that cannot be used: the file may be put back.
func unusable(err error) error {
	if wrong := (*seal.Error)(nil); errors.As(err, &wrong) {
		return model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return err
}

// Find returns the verification of a subject, for its page. It returns ErrNotFound if there is none.
func (v *Verifications) Find(tx *store.Tx, of model.Subject) (model.Verification, error) {
	return tx.VerificationOf(of)
}

// Proven returns the address that a subject has proven; ok is false if there is none. It is for the transaction that gives
// the address to an account, which judges again whether it is free, and then calls Forget.
func (v *Verifications) Proven(tx *store.Tx, of model.Subject) (proven model.Email, ok bool, err error) {
	found, err := tx.VerificationOf(of)
	if errors.Is(err, model.ErrNotFound) || err == nil && !found.Proven() {
		return proven, false, nil
	}
	return model.Email{Address: found.Address, Key: found.Key}, err == nil, err
}

// Forget removes the verification of a subject, which has no use for it any more.
func (v *Verifications) Forget(tx *store.Tx, of model.Subject) error {
	return tx.DeleteVerification(of)
}
