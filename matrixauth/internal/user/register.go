package user

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Registered is an account that somebody registered, whose parts were judged when they were typed.
type Registered struct {
	Localpart string
	// PasswordHash is one of HashPassword.
	PasswordHash string
	// Email is an address that was proven; its Key is empty for none.
	Email       model.Email
	DisplayName string
	// Details are those of the event.
	Details model.Details
}

// Register adds an account that somebody registered, in the transaction that ends their registration. The homeserver was
// asked by CheckNew a moment before, and learns of it through the outbox; a login waits for that (CREATE-9). by returns
// who has it done, by the id of the account. Errors: UserExists and EmailInUse, by which another was faster (CREATE-5).
func (u *Users) Register(tx *store.Tx, by func(userID string) model.Actor, r Registered) (model.User, error) {
	if err := u.checkFree(tx, checked{localpart: r.Localpart, email: r.Email}); err != nil {
		return model.User{}, err
	}
	if err := tx.Claim(u.config.ServerName); err != nil {
		return model.User{}, err
	}
	created := model.User{ID: model.NewID(tx.Now), Localpart: r.Localpart, CreatedAt: tx.Now}
	if err := u.insert(tx, created, r.PasswordHash, r.Email, r.DisplayName); err != nil {
		return model.User{}, err
	}
	return created, tx.Record(by(created.ID), model.ActionRegisterUser, created.ID, r.Details)
}

// CheckFree refuses a name or an address that another account of ours has, in the transaction of who means to have them made
// an account later. The Key of email is empty for none. Errors: UserExists, EmailInUse.
func (u *Users) CheckFree(tx *store.Tx, localpart string, email model.Email) error {
	return u.checkFree(tx, checked{localpart: localpart, email: email})
}

// AwaitHomeserver waits for what is on its way to the homeserver about an account, such as its creation. It gives up after a
// while, which is no error: whatever needs the homeserver waits for it again.
func (u *Users) AwaitHomeserver(ctx context.Context, who model.User) {
	work, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	leave, err := u.config.Outbox.Enter(work, model.ToHomeserver.Lane(who.ID))
	if err != nil {
		u.config.Logger.Info("the homeserver has not made a new account yet", u.logUser(who), "error", err)
		return
	}
	leave()
}
