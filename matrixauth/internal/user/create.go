package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// NewUser is an account to create.
type NewUser struct {
	// Localpart is a localpart, or the full Matrix id with our server name.
	Localpart string
	// Password is the clear password; empty for an account that cannot sign in by one.
	Password string
	// Weak takes a password that the policy refuses, as far as HashWeakPassword does.
	Weak bool
	// Email is an address that is taken as verified; empty for none.
	Email string
	// DisplayName is given to the homeserver; empty leaves it to the homeserver.
	DisplayName string
	Admin       bool
	// Existing takes over an account that the homeserver has already, in place of making a new one.
	Existing bool
	// Force does without the homeserver's word if it cannot be asked, and takes over an account that it has
	// deactivated. What it does say counts all the same.
	Force bool
}

// checked is an account that can be created.
type checked struct {
	localpart string
	email     model.Email
	// deactivated reports whether the homeserver has deactivated the account.
	deactivated bool
}

// CheckNew checks that an account can be added, before anybody thinks of a password for it; NewUser's is not
// looked at. Errors: InvalidUsername, InvalidEmail, InvalidParam, UserExists, EmailInUse, UserUnavailable if
// the homeserver says that the name is taken, or with Existing that it is not, and TemporarilyDown if it
// cannot be asked (CREATE-5).
func (u *Users) CheckNew(ctx context.Context, n NewUser) error {
	_, err := u.checkNew(ctx, n)
	return err
}

func (u *Users) checkNew(ctx context.Context, n NewUser) (j checked, err error) {
	if j.localpart, err = u.newLocalpart(n.Localpart); err != nil {
		return j, err
	}
	if n.Email != "" {
		if j.email, err = ParseEmail(n.Email); err != nil {
			return j, err
		}
	}
	if err := checkDisplayName(n.DisplayName); err != nil {
		return j, err
	}
	if err := u.config.Store.View(ctx, func(tx *store.Tx) error { return u.checkFree(tx, j) }); err != nil {
		return j, err
	}
	if n.Existing {
		j.deactivated, err = u.checkExists(ctx, j.localpart, n.Force)
	} else {
		err = u.checkAvailable(ctx, j.localpart, n.Force)
	}
	if err == nil && j.deactivated && n.Email != "" {
		err = model.Errorf(model.UserDeactivated, "a deactivated account has no mail address; add it once the account is reactivated")
	}
	return j, err
}

// newLocalpart returns the localpart of a new account, whose name may be given as a full Matrix id.
func (u *Users) newLocalpart(name string) (string, error) {
	localpart, err := u.localpartOf(name)
	if err != nil {
		return "", model.Errorf(model.InvalidUsername, "%s", model.AsError(err).Text)
	}
	return localpart, model.CheckLocalpart(localpart, u.config.ServerName)
}

// checkFree refuses a name or an address that another account of ours has.
func (u *Users) checkFree(tx *store.Tx, j checked) error {
	found, err := tx.UserByLocalpart(j.localpart)
	if err == nil {
		return model.Errorf(model.UserExists, "the account %s is here already (%s); %s", u.matrixID(j.localpart), found.State(), adviceFor(found))
	}
	if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	if j.email.Key == "" {
		return nil
	}
	return checkEmailFree(tx, j.email)
}

// adviceFor returns what to do with an account that somebody would add although it exists.
func adviceFor(found model.User) string {
	if found.Deactivated() {
		return `"user reactivate" makes it usable again`
	}
	return `"user set-password" gives it another password`
}

// Create adds an account. The homeserver learns of it through the outbox; a login waits for that.
// Errors: those of CheckNew, and InvalidPassword.
func (u *Users) Create(ctx context.Context, by model.Actor, n NewUser) (model.User, error) {
	j, err := u.checkNew(ctx, n)
	if err != nil {
		return model.User{}, err
	}
	hash := ""
	if n.Password != "" {
		if hash, err = u.hashNew(ctx, n, j.localpart); err != nil {
			return model.User{}, err
		}
	}
	var created model.User
	err = u.config.Store.Update(ctx, func(tx *store.Tx) error {
		if err := u.checkFree(tx, j); err != nil {
			return err
		}
		if err := tx.Claim(u.config.ServerName); err != nil {
			return err
		}
		created = model.User{ID: model.NewID(tx.Now), Localpart: j.localpart, Admin: n.Admin, CreatedAt: tx.Now}
		if j.deactivated {
			created.DeactivatedAt = tx.Now
		}
		details := model.Details{"existing": n.Existing, "admin": n.Admin}
		if n.Email != "" {
			details["email"] = n.Email
		}
		if err := tx.Record(by, model.ActionAddUser, created.ID, details); err != nil {
			return err
		}
		return u.insert(tx, created, hash, j.email, n.DisplayName)
	})
	return created, err
}

func (u *Users) hashNew(ctx context.Context, n NewUser, localpart string) (string, error) {
	if n.Weak {
		return u.HashWeakPassword(ctx, n.Password)
	}
	return u.HashPassword(ctx, n.Password, localpart, n.DisplayName, n.Email)
}

func (u *Users) insert(tx *store.Tx, created model.User, hash string, email model.Email, displayName string) error {
	if err := tx.InsertUser(created); err != nil {
		return err
	}
	if hash != "" {
		if err := tx.SetPassword(created.ID, hash); err != nil {
			return err
		}
	}
	if email.Key != "" {
		if err := insertEmail(tx, created.ID, email); err != nil {
			return err
		}
	}
	if created.Deactivated() {
		return nil // the homeserver has it so
	}
	return ProvisionJob.Enqueue(u.config.Outbox, tx, created.ID, Provision{SetEmails: email.Key != "", DisplayName: displayName})
}

// checkAvailable asks the homeserver whether a name is free (CREATE-5).
func (u *Users) checkAvailable(ctx context.Context, localpart string, force bool) error {
	err := u.config.Homeserver.LocalpartAvailable(ctx, localpart)
	if err == nil {
		// It would be another one's word: whoever is added first has nobody to compare with.
		err = u.config.Homeserver.CheckServerName(ctx)
	}
	var e *homeserver.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	if e.Retryable() {
		return u.unconfirmed(ctx, localpart, e, force, "is free")
	}
	text := fmt.Sprintf("the homeserver does not give out the name %s: %v", localpart, e)
	switch e.Errcode {
	case "M_USER_IN_USE":
		text = fmt.Sprintf("the homeserver has an account %s already; --existing takes it over, with its rooms and messages", u.matrixID(localpart))
	case "M_EXCLUSIVE":
		text = fmt.Sprintf("an application service of the homeserver has the name %s for itself; choose another", localpart)
	}
	return model.Errorf(model.UserUnavailable, "%s", text).WithCause(err)
}

// checkExists asks the homeserver whether it has an account, and whether that is deactivated.
func (u *Users) checkExists(ctx context.Context, localpart string, force bool) (deactivated bool, err error) {
	found, err := u.config.Homeserver.QueryUser(ctx, localpart)
	var e *homeserver.Error
	switch {
	case err == nil && found.Deactivated && !force:
		return false, model.Errorf(model.UserDeactivated, `the homeserver has deactivated the account %s; with --force it is added here as deactivated too, and "user reactivate" then makes it usable`, found.ID)
	case err == nil:
		return found.Deactivated, nil
	case homeserver.IsUnknownUser(err):
		return false, model.Errorf(model.UserUnavailable, "the homeserver has no account %s; look at the spelling, or leave --existing out to make a new account", u.matrixID(localpart)).WithCause(err)
	case errors.As(err, &e) && e.Retryable():
		return false, u.unconfirmed(ctx, localpart, e, force, "is there")
	}
	return false, model.Errorf(model.UserUnavailable, "the homeserver does not tell of %s: %v", localpart, err).WithCause(err)
}

// unconfirmed decides on a new account about which the homeserver cannot be asked. Its error says why not and what to
// do next; what is the missing word. Force does not help against another server name, as the account would be
// somebody else's.
func (u *Users) unconfirmed(ctx context.Context, localpart string, e *homeserver.Error, force bool, what string) error {
	if force && e.Reason != homeserver.OtherServerName {
		return nil
	}
	text := u.explainUnreachable(ctx, e)
	if e.Reason != homeserver.OtherServerName {
		text += fmt.Sprintf("; if you know that %s %s, --force adds it without being told", u.matrixID(localpart), what)
	}
	return model.Errorf(model.TemporarilyDown, "%s", text).WithCause(e)
}

// explainUnreachable returns a sentence that says why the homeserver cannot be asked, and what to do.
func (u *Users) explainUnreachable(ctx context.Context, e *homeserver.Error) string {
	at := u.config.Homeserver.Address()
	switch e.Reason {
	case homeserver.RefusedSecret:
		return fmt.Sprintf(`Synapse at %s, or something in front of it, refuses our secret (status %d): write the secret that "matrix-auth synapse-config" tells into homeserver.yaml, restart Synapse and try again`, at, e.Status)
	case homeserver.TooOld:
		return u.notDelegated(ctx, at)
	case homeserver.OtherServerName:
		return fmt.Sprintf("Synapse at %s has another server_name (%v): write the server_name of homeserver.yaml into the Caddyfile, or the right endpoint", at, e.Err)
	}
	return fmt.Sprintf("Synapse at %s cannot be asked (%v): see that it runs and that the endpoint is its client listener, and try again", at, e)
}

// notDelegated explains an answer without our API: the Synapse is too old, or does not delegate to us yet.
func (u *Users) notDelegated(ctx context.Context, at string) string {
	version, err := u.config.Homeserver.Version(ctx)
	var e *homeserver.Error
	switch {
	case err == nil:
		return fmt.Sprintf(`Synapse %s at %s does not delegate its logins to us yet: put the block that "matrix-auth synapse-config" prints into homeserver.yaml, restart Synapse and try again`, version, at)
	case errors.As(err, &e) && e.Reason == homeserver.TooOld:
		return fmt.Sprintf("Synapse %s at %s is too old: %s is the first that can delegate its logins; upgrade it", version, at, homeserver.MinVersion)
	}
	return fmt.Sprintf("what answers at %s is not a Synapse that delegates its logins to us: see that the endpoint is Synapse's client listener, and try again", at)
}
