// Package user creates accounts, proves who is asking, and locks, deactivates and revives accounts.
// What follows from a change at the homeserver goes through the outbox in the same transaction.
package user

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/browser"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Config is what accounts depend upon.
type Config struct {
	Store      *store.Store
	Outbox     *outbox.Outbox
	Sessions   *session.Sessions
	Browsers   *browser.Browsers
	Passwords  *password.Hasher
	Logins     LoginLimits
	Homeserver *homeserver.Client
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	Logger     *slog.Logger
}

// Users creates, proves and changes accounts.
type Users struct{ Config }

// New makes the accounts of a configuration.
func New(c Config) *Users { return &Users{c} }

// NewUser is an account to create.
type NewUser struct {
	Localpart string
	// Password is the clear password; empty for an account that cannot sign in by one.
	Password string
	// Email is an address that is taken as verified; empty for none.
	Email string
	// DisplayName is given to the homeserver; empty leaves it to the homeserver.
	DisplayName string
	Admin       bool
	// Existing allows a localpart that the homeserver knows already: the account is taken over.
	Existing bool
}

// Create adds an account. The homeserver learns of it through the outbox; a login waits for that.
// Errors: InvalidUsername, InvalidEmail, InvalidPassword, UserExists, EmailInUse, and
// UserUnavailable if the homeserver keeps the name for something else.
func (u *Users) Create(ctx context.Context, n NewUser) (model.User, error) {
	if err := model.CheckLocalpart(n.Localpart, u.ServerName); err != nil {
		return model.User{}, err
	}
	var email model.Email
	if n.Email != "" {
		var err error
		if email, err = newEmail(n.Email); err != nil {
			return model.User{}, err
		}
	}
	hash := ""
	if n.Password != "" {
		var err error
		if hash, err = u.hash(ctx, n.Password); err != nil {
			return model.User{}, err
		}
	}
	if err := u.checkAvailable(ctx, n); err != nil {
		return model.User{}, err
	}
	var created model.User
	err := u.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.UserByLocalpart(n.Localpart); !errors.Is(err, model.ErrNotFound) {
			return orExists(err, &model.Error{Kind: model.Conflict, Code: model.UserExists, Text: "there is an account of this name already"})
		}
		created = model.User{ID: model.NewID(tx.Now), Localpart: n.Localpart, Admin: n.Admin, CreatedAt: tx.Now}
		if err := tx.InsertUser(created); err != nil {
			return err
		}
		if hash != "" {
			if err := tx.SetPassword(created.ID, hash); err != nil {
				return err
			}
		}
		if n.Email != "" {
			if err := insertEmail(tx, created.ID, email); err != nil {
				return err
			}
		}
		return u.Outbox.Enqueue(tx, created.ID, model.JobProvisionUser, model.JobPayload{SetEmails: n.Email != "", DisplayName: n.DisplayName})
	})
	return created, err
}

// orExists turns the absence of an error, which means that a row was found, into conflict.
func orExists(err error, conflict error) error {
	if err == nil {
		return conflict
	}
	return err
}

// checkAvailable asks the homeserver whether a name is free (CREATE-5). While it is down nobody can
// tell, and the account is made all the same: its provisioning waits in the outbox.
func (u *Users) checkAvailable(ctx context.Context, n NewUser) error {
	if n.Existing {
		return nil
	}
	err := u.Homeserver.LocalpartAvailable(ctx, n.Localpart)
	var e *homeserver.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	if e.Retryable() {
		u.Logger.Warn("the homeserver could not be asked whether a name is free", "localpart", n.Localpart, "error", err)
		return nil
	}
	return &model.Error{Kind: model.Conflict, Code: model.UserUnavailable, Err: err,
		Text: fmt.Sprintf("the homeserver does not give out the name %q (%s)", n.Localpart, e.Errcode)}
}

// ByName finds an account by its localpart or full Matrix id. It gives an Error with code
// UserNotFound for any other.
func (u *Users) ByName(tx *store.Tx, name string) (model.User, error) {
	if localpart, server, ok := model.ParseMatrixID(name); ok {
		if server != u.ServerName {
			return model.User{}, &model.Error{Kind: model.NotFound, Code: model.UserNotFound, Text: fmt.Sprintf("%s is of another server; ours is %s", name, u.ServerName)}
		}
		name = localpart
	}
	found, err := tx.UserByLocalpart(name)
	if errors.Is(err, model.ErrNotFound) {
		return found, &model.Error{Kind: model.NotFound, Code: model.UserNotFound, Text: fmt.Sprintf("there is no account %q", name)}
	}
	return found, err
}

// Change applies f to the account of a name in one transaction and gives the account after it.
func (u *Users) change(ctx context.Context, name string, f func(tx *store.Tx, user *model.User) error) (changed model.User, err error) {
	err = u.Store.Update(ctx, func(tx *store.Tx) error {
		changed, err = u.ByName(tx, name)
		if err != nil {
			return err
		}
		return f(tx, &changed)
	})
	return changed, err
}

// SetAdmin says whether a user may ask for Synapse's administration scope. Taking the right away
// ends the sessions that hold it.
func (u *Users) SetAdmin(ctx context.Context, name string, admin bool) (model.User, error) {
	return u.change(ctx, name, func(tx *store.Tx, user *model.User) error {
		user.Admin = admin
		if err := tx.UpdateUser(*user); err != nil || admin {
			return err
		}
		live, err := tx.LiveSessions(user.ID)
		if err != nil {
			return err
		}
		for _, s := range live {
			if !model.HasScope(s.Scope, model.ScopeSynapseAdmin) {
				continue
			}
			if err := u.Sessions.End(tx, s, model.EndKilled); err != nil {
				return err
			}
		}
		return nil
	})
}
