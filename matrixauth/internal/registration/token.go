package registration

import (
	"errors"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// invitations is what registration tokens are sealed for: an operator can have one shown again, and a copy of the database
// lets nobody in.
const invitations seal.Purpose = "invitations"

// NewToken is a registration token to make.
type NewToken struct {
	// Token is what people type; empty for a random one.
	Token string
	// Uses is how many accounts it is good for; zero is any number.
	Uses int64
	// Life is for how long it is good; zero is for ever.
	Life time.Duration
	// Localpart and Email are the name and the address that it fixes; empty for those that the person chooses. A name that
	// the rules ban can be fixed.
	Localpart, Email string
}

// CreateToken makes a registration token and returns it with what people type. Errors: InvalidParam, InvalidUsername,
// InvalidEmail; UserExists for a name of an account here and EmailInUse for an address of one; and TemporarilyDown if
// the seal cannot be used.
func (r *Registrations) CreateToken(tx *store.Tx, by model.Actor, n NewToken) (made model.RegistrationToken, clear string, err error) {
	if clear = n.Token; clear == "" {
		clear = model.NewRegistrationToken()
	}
	if made, err = r.checkToken(tx, n, clear); err != nil {
		return made, "", err
	}
	made.ID, made.CreatedAt = model.NewID(tx.Now), tx.Now
	if n.Life > 0 {
		made.ExpiresAt = tx.Now.Add(n.Life)
	}
	if made.Sealed, err = r.config.Seal.Seal(tx, invitations, made.ID, []byte(clear)); err != nil {
		return made, "", unusable(err)
	}
	if err := tx.InsertRegistrationToken(made); err != nil {
		return made, "", err
	}
	details := model.Details{"token": made.ID, "uses": made.Uses}
	for name, value := range map[string]string{"name": made.Localpart, "email": made.Email} {
		if value != "" {
			details[name] = value
		}
	}
	if !made.ExpiresAt.IsZero() {
		details["expires_at"] = made.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return made, clear, tx.Record(by, model.ActionCreateToken, "", details)
}

// TakeToken makes a registration token that another server had, whose accounts are taken over. Errors: InvalidParam for one
// that we could not honour, and TemporarilyDown if the seal cannot be used.
func (r *Registrations) TakeToken(tx *store.Tx, by model.Actor, clear string, uses, used int64, expiresAt time.Time) error {
	made, err := r.checkToken(tx, NewToken{Uses: uses}, clear)
	if err != nil {
		return err
	}
	made.ID, made.CreatedAt, made.ExpiresAt = model.NewID(tx.Now), tx.Now, expiresAt
	if made.Sealed, err = r.config.Seal.Seal(tx, invitations, made.ID, []byte(clear)); err != nil {
		return unusable(err)
	}
	if err := tx.InsertRegistrationToken(made); err != nil {
		return err
	}
	if err := tx.AddTokenUses(made.ID, used); err != nil {
		return err
	}
	return tx.Record(by, model.ActionCreateToken, "", model.Details{"token": made.ID, "uses": made.Uses, "moved": true})
}

// checkToken judges a token that is to be made.
func (r *Registrations) checkToken(tx *store.Tx, n NewToken, clear string) (t model.RegistrationToken, err error) {
	if err := model.CheckRegistrationToken(clear); err != nil {
		return t, err
	}
	if n.Uses < 0 || n.Life < 0 {
		return t, model.Errorf(model.InvalidParam, "a number of uses and a time must not be below zero")
	}
	t = model.RegistrationToken{Hash: model.HashToken(clear), Uses: n.Uses}
	if _, err := tx.RegistrationTokenByHash(t.Hash); err == nil {
		return t, model.Errorf(model.InvalidParam, "there is such a token already; choose another, or leave --token out for a random one")
	} else if !errors.Is(err, model.ErrNotFound) {
		return t, err
	}
	if (n.Localpart != "" || n.Email != "") && n.Uses != 1 {
		return t, model.Errorf(model.InvalidParam, "a token for one name or address is good for one account; write --uses 1")
	}
	if n.Localpart != "" {
		name, reason := r.plainName(n.Localpart)
		if reason != "" {
			return t, model.Errorf(model.InvalidUsername, "%s cannot be a name here: it may hold only a-z, 0-9 and . _ = - / +, more than digits, and no underscore at its beginning", n.Localpart)
		}
		if _, err := tx.UserByLocalpart(name); err == nil {
			return t, model.Errorf(model.UserExists, "there is an account %s already", model.MatrixID(name, r.config.ServerName))
		} else if !errors.Is(err, model.ErrNotFound) {
			return t, err
		}
		t.Localpart = name
	}
	if n.Email != "" {
		email, err := model.ParseEmail(n.Email)
		if err != nil {
			return t, err
		}
		if _, err := tx.UserByEmail(email.Key); err == nil {
			return t, model.Errorf(model.EmailInUse, "an account has this address already")
		} else if !errors.Is(err, model.ErrNotFound) {
			return t, err
		}
		t.Email = email.Address
	}
	return t, nil
}

// FindToken finds a registration token by its id, or by what people type. It returns InvitationNotFound if there is none.
func (r *Registrations) FindToken(tx *store.Tx, ref string) (model.RegistrationToken, error) {
	found, err := tx.RegistrationToken(ref)
	if errors.Is(err, model.ErrNotFound) {
		found, err = tx.RegistrationTokenByHash(model.HashToken(ref))
	}
	if errors.Is(err, model.ErrNotFound) {
		err = model.Errorf(model.InvitationNotFound, "there is no such registration token; \"registration-token list\" lists them by their ids")
	}
	return found, err
}

// RevealToken returns what people type of a token. Its error says what is wrong with the seal.
func (r *Registrations) RevealToken(t model.RegistrationToken) (string, error) {
	clear, err := r.config.Seal.Open(invitations, t.ID, t.Sealed)
	return string(clear), unusable(err)
}

// RevokeToken has a token let nobody in any more, also those who are in the middle of a registration with it.
func (r *Registrations) RevokeToken(tx *store.Tx, by model.Actor, t model.RegistrationToken) error {
	revoked, err := tx.RevokeRegistrationToken(t.ID)
	if err != nil || !revoked {
		return err
	}
	return tx.Record(by, model.ActionRevokeToken, "", model.Details{"token": t.ID})
}

// InvitationPath returns the page that fills a token in, below the issuer.
func InvitationPath(clear string) string {
	return page.RegisterPath + "?token=" + clear // its grammar needs no escaping
}

// unusable is what is told of a seal that cannot be used: the file may be put back.
func unusable(err error) error {
	if wrong := (*seal.Error)(nil); errors.As(err, &wrong) {
		return model.Errorf(model.TemporarilyDown, "%s", wrong).WithCause(err)
	}
	return err
}
