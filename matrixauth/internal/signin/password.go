package signin

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Success is an attempt that succeeded.
type Success struct {
	model.Proof
	// Device is the value of the device cookie by which the browser was known for this account; empty if it
	// was not.
	Device string
}

// ByPassword has somebody prove their password, within the limits of where the attempt comes from (RateLimited).
// Every failure, an unknown name among them, costs one hash and three look-ups and gives the same error (LEG-20,
// PW-3). Only who knows the password learns that the account is locked (UserLocked) or deactivated
// (UserDeactivated); with these errors comes the account (LEG-21, MOD-5).
func (s *SignIns) ByPassword(ctx context.Context, a Attempt) (Success, error) {
	asked := s.config.Store.Now()
	if len(a.Identifier.Name)+len(a.Identifier.Email) > bound.Identifier {
		// Nobody has such a name. It is not looked up, and keeps no room in the limits.
		return Success{}, model.NewError(model.InvalidCredentials)
	}
	found, forgive, err := s.admit(ctx, a)
	if err != nil {
		return Success{}, err
	}
	if err := s.config.Users.CheckPassword(ctx, found.user, found.hash, a.Password); err != nil {
		s.config.Failures.note(found.user.ID, a, err)
		return Success{}, err
	}
	if err := found.user.MayAct(); err != nil {
		return Success{Proof: model.Proof{User: found.user}}, err
	}
	forgive()
	return Success{
		Proof:  model.Proof{User: found.user, Methods: []model.Method{model.MethodPassword}, At: asked},
		Device: a.device(found.place.Browser),
	}, nil
}

// admit finds whom an attempt is about and counts it.
func (s *SignIns) admit(ctx context.Context, a Attempt) (found candidate, forgive func(), err error) {
	limits := s.config.Limits
	if len(a.Devices) == 0 { // and so from no known browser: a flood costs no look-up
		if err := limits.takeNetwork(a, store.Place{}); err != nil {
			return found, nil, err
		}
	}
	if found, err = s.candidate(ctx, a); err != nil {
		return found, nil, err
	}
	if a.About != nil && found.user.ID != "" {
		a.About(found.user)
	}
	if len(a.Devices) > 0 {
		if err := limits.takeNetwork(a, found.place); err != nil {
			return found, nil, err
		}
	}
	forgive, err = limits.takeAccount(a, s.config.Users.Key(a.Identifier), found.place)
	return found, forgive, err
}

// candidate is whom an attempt is about, with what there is to prove and how they are known where it comes from.
type candidate struct {
	user model.User
	// hash is empty if there is nothing to prove.
	hash  string
	place store.Place
}

// candidate finds whom an attempt is about, by three look-ups whoever that is.
func (s *SignIns) candidate(ctx context.Context, a Attempt) (c candidate, err error) {
	err = s.config.Store.View(ctx, func(tx *store.Tx) error {
		if c.user, err = s.config.Users.Identified(tx, a.Identifier); err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		// Asked for whether an account was found or not, so that both cost the same.
		if c.place, err = tx.KnownPlace(c.user.ID, model.Place(a.IP), a.hashes()); err != nil {
			return err
		}
		c.hash, err = tx.Password(c.user.ID)
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	return c, err
}

// Password has the person sign in by their password.
type Password struct {
	Visit
	// Again reports whether they are signed in already and have to prove again who they are.
	Again bool
}

func (Password) path(Goal) string { return page.LoginPath }

func password(_ *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	if v.Nobody() {
		return Password{Visit: *v}, nil
	}
	if v.Pending != nil && v.Pending.NeedsSignIn(v.Session, tx.Now) {
		return Password{*v, true}, nil
	}
	return nil, nil
}
