package user

import (
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// SetDisplayName has the homeserver show another name to others. It keeps the name itself; the user may change it there.
// Errors: InvalidParam, UserDeactivated.
func (u *Users) SetDisplayName(tx *store.Tx, by model.Actor, user model.User, name string) error {
	if name == "" {
		return model.Errorf(model.InvalidParam, "a display name must not be empty")
	}
	if err := checkDisplayName(name); err != nil {
		return err
	}
	if err := CheckActive(user); err != nil {
		return err
	}
	if err := tx.Record(by, model.ActionSetDisplayName, user.ID, model.Details{"display_name": name}); err != nil {
		return err
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, user.ID, Provision{DisplayName: name})
}

// checkDisplayName refuses a name that the homeserver would not take.
func checkDisplayName(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > bound.DisplayName {
		return model.Errorf(model.InvalidParam, "a display name must not be longer than %d characters", bound.DisplayName)
	}
	return nil
}
