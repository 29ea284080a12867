package registration

import (
	"context"
	"errors"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
)

// Email has the person give a mail address, to which a code is sent; or none, where the rules let them.
type Email struct{}

// Path implements Step.
func (Email) Path() string { return page.RegisterEmailPath }

func (Email) asks(r Rules) bool { return r.asksEmail() }

// An address counts as long as it is the one that the invitation that counts fixes, or the present rules take it: it may be
// from before that invitation was shown.
func (Email) done(r Rules, p Progress) bool {
	if fixed := p.Token.Email; fixed != "" {
		return p.Verification.ID != "" && p.Verification.Key == model.EmailKey(fixed)
	}
	return skipped(r, p) || p.Verification.ID != "" && r.Domains.Allow(p.Verification.Address)
}

// Code has the person prove the address by the code (CREATE-8). An address that an account has already looks the same
// here: its owner alone learns of it, by mail (MAIL-10).
type Code struct{}

// Path implements Step.
func (Code) Path() string { return page.RegisterCodePath }

func (Code) asks(r Rules) bool { return r.asksEmail() }

func (Code) done(r Rules, p Progress) bool { return skipped(r, p) || p.Verification.Proven() }

// fixed: who has no address has none to prove, and who has proven it need not do so again.
func (Code) fixed(p Progress) bool { return p.Verification.ID == "" || p.Verification.Proven() }

func (r Rules) asksEmail() bool { return r.Email == EmailOptional || r.Email == EmailRequired }

// skipped reports whether the person gives no address, as the present rules let them.
func skipped(r Rules, p Progress) bool {
	return p.EmailSkipped && r.Email == EmailOptional && p.Token.Email == ""
}

// subject is what the verification of a registration's address is bound to (MAIL-7).
func subject(id string) model.Subject { return model.Subject{Kind: model.ForRegistration, ID: id} }

// GiveEmail takes the answer to Email, and has a code mailed. Nothing tells whether an account has the address. Errors:
// InvalidEmail; EmailNotAllowed for a domain that the rules do not take (MAIL-14); RateLimited; TemporarilyDown.
func (r *Registrations) GiveEmail(ctx context.Context, v Visitor, id, address string) (Progress, error) {
	p, err := r.answerableProgress(ctx, v, id, Email{})
	if err != nil {
		return p, err
	}
	if p.Token.Email != "" {
		address = p.Token.Email // an invitation chose it, whatever its domain
	}
	email, err := model.ParseEmail(strings.TrimSpace(address))
	if err != nil {
		return p, err
	}
	if p.Token.Email == "" && !r.config.Rules.Domains.Allow(email.Address) {
		return p, model.NewError(model.EmailNotAllowed)
	}
	// Before anybody looks whether it is somebody's (MAIL-12).
	if err := r.config.Letters.Admit(v.Source.IP, email.Key, ""); err != nil {
		return p, err
	}
	return r.change(ctx, v, id, func(tx *store.Tx, p *Progress) (err error) {
		p.EmailSkipped = false
		p.Verification, err = r.config.Verifications.Start(tx, verification.Start{Subject: subject(p.ID), Email: email, Language: p.Language})
		return err
	})
}

// SkipEmail takes the answer to Email of who gives no address. It returns MissingParam where they have to.
func (r *Registrations) SkipEmail(ctx context.Context, v Visitor, id string) (Progress, error) {
	p, err := r.answerableProgress(ctx, v, id, Email{})
	if err != nil {
		return p, err
	}
	if r.config.Rules.Email != EmailOptional || p.Token.Email != "" {
		return p, model.NewError(model.MissingParam)
	}
	return r.change(ctx, v, id, func(tx *store.Tx, p *Progress) error {
		p.EmailSkipped, p.Verification = true, model.Verification{}
		return r.config.Verifications.Forget(tx, subject(p.ID))
	})
}

// ProveEmail takes the answer to Code. Errors: CodeWrong; CodeOver if no code counts any more; EmailInUse for who has the
// code, and whose address an account has got meanwhile.
func (r *Registrations) ProveEmail(ctx context.Context, v Visitor, id, code string) (Progress, error) {
	p, err := r.answerableProgress(ctx, v, id, Code{})
	if err != nil {
		return p, err
	}
	if err := r.config.Verifications.Check(ctx, subject(p.ID), code); err != nil {
		return p, err
	}
	return r.Find(ctx, v, id)
}

// SendCodeAgain has the mail with the code sent once more, or another code if that one does not count any more. Errors:
// RateLimited, TemporarilyDown.
func (r *Registrations) SendCodeAgain(ctx context.Context, v Visitor, id string) (Progress, error) {
	p, err := r.answerableProgress(ctx, v, id, Code{})
	if err != nil {
		return p, err
	}
	if err := r.config.Letters.Admit(v.Source.IP, p.Verification.Key, ""); err != nil {
		return p, err
	}
	return p, r.config.Store.Update(ctx, func(tx *store.Tx) error { return r.config.Verifications.Resend(tx, subject(p.ID)) })
}

// answerableProgress is answerable for callers without a transaction.
func (r *Registrations) answerableProgress(ctx context.Context, v Visitor, id string, s Step) (p Progress, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		p, err = r.answerable(tx, v, id, s)
		return err
	})
	return p, err
}

// withVerification reads the verification of a registration's address.
func (r *Registrations) withVerification(tx *store.Tx, p *Progress) (err error) {
	if !r.config.Rules.asksEmail() {
		return nil
	}
	p.Verification, err = r.config.Verifications.Find(tx, subject(p.ID))
	if errors.Is(err, model.ErrNotFound) {
		err = nil
	}
	return err
}

// takeEmail gives a registration the address that was proven, or that an invitation fixes where none is asked for: that is
// the operator's word, as with "user add --email".
func (r *Registrations) takeEmail(tx *store.Tx, p *Progress) (err error) {
	switch {
	case r.config.Rules.asksEmail() && !skipped(r.config.Rules, *p):
		proven, ok, err := r.config.Verifications.Proven(tx, subject(p.ID))
		if err == nil && !ok {
			err = model.NewError(model.RegistrationOver)
		}
		if err != nil {
			return err
		}
		p.Email = proven
		return r.config.Verifications.Forget(tx, subject(p.ID))
	case p.Token.Email != "":
		p.Email, err = model.ParseEmail(p.Token.Email)
	}
	return err
}
