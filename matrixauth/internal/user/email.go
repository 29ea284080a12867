package user

import (
	"errors"
	"net/mail"
	"strings"

	"golang.org/x/text/cases"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// emailKey folds an address for look-ups: full Unicode case folding, as the Matrix appendices ask
// for 3PIDs (LEG-18, MAIL-9). Dots and plus signs stay.
func emailKey(address string) string { return cases.Fold().String(address) }

// newEmail checks an address: one plain addr-spec, no display name, no line breaks.
func newEmail(address string) (model.Email, error) {
	invalid := model.Errorf(model.InvalidEmail, "this is not a mail address")
	if len(address) > bound.Email || strings.ContainsAny(address, "\r\n\x00 <>") {
		return model.Email{}, invalid
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return model.Email{}, invalid.WithCause(err)
	}
	return model.Email{Address: address, Key: emailKey(address)}, nil
}

// AddEmail adds an address that is taken as verified. Errors: InvalidEmail, EmailInUse, UserDeactivated.
func (u *Users) AddEmail(tx *store.Tx, by model.Actor, user model.User, address string) error {
	email, err := newEmail(address)
	if err != nil {
		return err
	}
	if err := CheckActive(user); err != nil {
		return err
	}
	if err := insertEmail(tx, user.ID, email); err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionAddEmail, user.ID, model.Details{"email": address}); err != nil {
		return err
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{SetEmails: true})
}

// checkEmailFree refuses an address that an account of ours has.
func checkEmailFree(tx *store.Tx, email model.Email) error {
	_, err := tx.UserByEmail(email.Key)
	if err == nil {
		return model.Errorf(model.EmailInUse, "this address belongs to an account already")
	}
	if errors.Is(err, model.ErrNotFound) {
		return nil
	}
	return err
}

func insertEmail(tx *store.Tx, userID string, email model.Email) error {
	if err := checkEmailFree(tx, email); err != nil {
		return err
	}
	email.ID, email.UserID, email.CreatedAt = model.NewID(tx.Now), userID, tx.Now
	return tx.InsertEmail(email)
}

// RemoveEmail removes an address. Errors: InvalidParam if the user has it not.
func (u *Users) RemoveEmail(tx *store.Tx, by model.Actor, user model.User, address string) error {
	there, err := tx.DeleteEmail(user.ID, emailKey(address))
	if err == nil && !there {
		err = model.Errorf(model.InvalidParam, "%s has no such address", user.Localpart)
	}
	if err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionRemoveEmail, user.ID, model.Details{"email": address}); err != nil {
		return err
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{SetEmails: true})
}
