package user

import (
	"errors"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// ParseEmail checks an address, and returns it with the key by which it is compared: see model.ParseEmail.
func ParseEmail(address string) (model.Email, error) { return model.ParseEmail(address) }

// AddEmail adds an address that is taken as verified. Errors: InvalidEmail, EmailInUse, UserDeactivated.
func (u *Users) AddEmail(tx *store.Tx, by model.Actor, user model.User, address string) error {
	email, err := ParseEmail(address)
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
	if err := u.notify(tx, model.NoticeAddressAdded, user.ID, nil); err != nil { // MAIL-8
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

// RemoveEmail removes an address, whichever way it is spelled. What was sent to it to recover the account is worth nothing
// any more. Errors: InvalidParam if the user has it not.
func (u *Users) RemoveEmail(tx *store.Tx, by model.Actor, user model.User, address string) error {
	all, err := tx.Emails(user.ID)
	if err != nil {
		return err
	}
	key := model.EmailKey(address)
	i := slices.IndexFunc(all, func(e model.Email) bool { return e.Address == address || e.Key == key })
	if i < 0 {
		return model.Errorf(model.InvalidParam, "%s has no such address", user.Localpart)
	}
	if _, err := tx.DeleteEmail(user.ID, all[i].ID); err != nil {
		return err
	}
	if err := tx.EndRecoveries(user.ID, model.RecoveryAddress); err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionRemoveEmail, user.ID, model.Details{"email": address}); err != nil {
		return err
	}
	if err := u.notify(tx, model.NoticeAddressRemoved, user.ID, all); err != nil { // MAIL-8
		return err
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{SetEmails: true})
}

// UseForRecovery makes an address the one to which the link goes when somebody asks for recovery by the user's name.
// Errors: InvalidParam if the user has it not.
func (u *Users) UseForRecovery(tx *store.Tx, by model.Actor, user model.User, id string) error {
	found, err := tx.Email(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && found.UserID != user.ID {
		return model.Errorf(model.InvalidParam, "%s has no such address", user.Localpart)
	}
	if err != nil {
		return err
	}
	if err := tx.UseForRecovery(user.ID, id); err != nil {
		return err
	}
	return tx.Record(by, model.ActionRecoveryEmail, user.ID, model.Details{"email": found.Address})
}
