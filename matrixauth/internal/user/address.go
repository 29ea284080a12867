package user

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
)

// ofAccount is what an address of an account is proven for.
func ofAccount(who model.User) model.Subject {
	return model.Subject{Kind: model.ForAccount, ID: who.ID}
}

// MayAddEmails reports whether the holders of accounts can add addresses, as their codes can be mailed.
func (u *Users) MayAddEmails() bool { return u.config.Letters.On() }

// Emails lists the addresses of an account, oldest first. The one for recovery by name is model.RecoveryEmail of them.
func (u *Users) Emails(ctx context.Context, who model.User) (all []model.Email, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		all, err = tx.Emails(who.ID)
		return err
	})
	return all, err
}

// BeginEmail mails a code to an address that the holder of an account wants to add. Whether another account has it makes no
// difference to who asks (MAIL-10). Errors: InvalidEmail; EmailNotAllowed by the rules for domains; EmailOwned if the
// account has it already; TooManyEmails; RateLimited; TemporarilyDown if no code can be sealed.
func (u *Users) BeginEmail(ctx context.Context, who model.User, address, language, ip string) error {
	email, err := ParseEmail(address)
	if err != nil {
		return err
	}
	if !u.config.AllowEmail(email.Address) {
		return model.NewError(model.EmailNotAllowed)
	}
	if err := u.config.Letters.Admit(ip, email.Key, who.ID); err != nil {
		return err
	}
	return u.config.Store.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.Emails(who.ID)
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Key == email.Key {
				return model.NewError(model.EmailOwned)
			}
		}
		if len(all) >= bound.EmailsOfUser {
			return model.NewError(model.TooManyEmails)
		}
		_, err = u.config.Verifications.Start(tx, verification.Start{Subject: ofAccount(who), Email: email, Language: language})
		return err
	})
}

// PendingEmail returns the address that the holder of an account is to prove. It returns CodeOver if there is none.
func (u *Users) PendingEmail(ctx context.Context, who model.User) (pending model.Verification, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		pending, err = u.config.Verifications.Find(tx, ofAccount(who))
		return err
	})
	if errors.Is(err, model.ErrNotFound) {
		err = model.NewError(model.CodeOver)
	}
	return pending, err
}

// ResendEmail mails the code again, or another one if it is worth nothing any more. Errors: CodeOver if no address is to be
// proven, RateLimited.
func (u *Users) ResendEmail(ctx context.Context, who model.User, ip string) error {
	pending, err := u.PendingEmail(ctx, who)
	if err != nil {
		return err
	}
	if err := u.config.Letters.Admit(ip, pending.Key, who.ID); err != nil {
		return err
	}
	return u.config.Store.Update(ctx, func(tx *store.Tx) error { return u.config.Verifications.Resend(tx, ofAccount(who)) })
}

// ConfirmEmail adds the address whose code the holder of an account has. Errors: CodeWrong, CodeOver, and EmailInUse if
// another account was faster, which whoever has the code may know.
func (u *Users) ConfirmEmail(ctx context.Context, by model.Actor, who model.User, code string) error {
	if err := u.config.Verifications.Check(ctx, ofAccount(who), code); err != nil {
		return err
	}
	return u.config.Store.Update(ctx, func(tx *store.Tx) error {
		proven, ok, err := u.config.Verifications.Proven(tx, ofAccount(who))
		if err != nil {
			return err
		}
		if !ok { // a second click of the same form was faster
			return nil
		}
		if err := u.config.Verifications.Forget(tx, ofAccount(who)); err != nil {
			return err
		}
		owner, err := tx.UserByEmail(proven.Key)
		if err == nil && owner.ID == who.ID {
			return nil
		}
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		now, err := tx.User(who.ID)
		if err != nil {
			return err
		}
		return u.AddEmail(tx, by, now, proven.Address)
	})
}

// OwnEmail finds an address of an account by its id. It returns EmailNotFound for any other.
func (u *Users) OwnEmail(ctx context.Context, who model.User, id string) (email model.Email, err error) {
	err = u.config.Store.View(ctx, func(tx *store.Tx) error {
		email, err = ownEmail(tx, who, id)
		return err
	})
	return email, err
}

func ownEmail(tx *store.Tx, who model.User, id string) (model.Email, error) {
	email, err := tx.Email(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && email.UserID != who.ID {
		return model.Email{}, model.NewError(model.EmailNotFound)
	}
	return email, err
}

// RemoveOwnEmail removes an address of the account of who asks. Errors: EmailNotFound.
func (u *Users) RemoveOwnEmail(ctx context.Context, by model.Actor, who model.User, id string) error {
	return u.config.Store.Update(ctx, func(tx *store.Tx) error {
		email, err := ownEmail(tx, who, id)
		if err != nil {
			return err
		}
		return u.RemoveEmail(tx, by, who, email.Address)
	})
}

// ChooseForRecovery makes an address of the account of who asks the one for recovery by name. Errors: EmailNotFound,
// RateLimited.
func (u *Users) ChooseForRecovery(ctx context.Context, by model.Actor, who model.User, id string) error {
	if err := u.takeChange(who); err != nil {
		return err
	}
	return u.config.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := ownEmail(tx, who, id); err != nil {
			return err
		}
		return u.UseForRecovery(tx, by, who, id)
	})
}

// endWaysIn makes worthless what somebody may have begun who could act for an account until now: tickets for recovery, and
// an address that is to be proven.
func (u *Users) endWaysIn(tx *store.Tx, who model.User, reason model.RecoveryEnd) error {
	if err := tx.EndRecoveries(who.ID, reason); err != nil {
		return err
	}
	return u.config.Verifications.Forget(tx, ofAccount(who))
}
