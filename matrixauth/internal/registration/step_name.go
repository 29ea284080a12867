package registration

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Name has the person choose the name that their Matrix id will have.
type Name struct{}

// Path implements Step.
func (Name) Path() string { return page.RegisterNamePath }

func (Name) asks(Rules) bool { return true }

// A name counts as long as the invitation that counts fixes it, or the present rules let people choose it: another
// invitation may have fixed it, which does not count any more.
func (Name) done(r Rules, p Progress) bool {
	if fixed := p.Token.Localpart; fixed != "" {
		return p.Localpart == fixed
	}
	return p.Localpart != "" && r.Names.Allow(p.Localpart)
}

func (Name) fixed(p Progress) bool { return p.Token.Localpart != "" }

// ChooseName takes the answer to Name. The name is free then, here and at the homeserver (CREATE-5), and nobody is kept from
// it until there is an account: who is faster has it. Errors: InvalidUsername and UserUnavailable, of which NameReasonOf
// tells more; TemporarilyDown if the homeserver cannot be asked; RateLimited.
func (r *Registrations) ChooseName(ctx context.Context, v Visitor, id, typed string) (Progress, error) {
	name, err := r.CheckName(typed)
	if err != nil {
		return Progress{}, err
	}
	// Whoever would have us ask without a registration, where they need a token first, is not let through (ENUM-2).
	if err := r.mayBegin(ctx, v, id, Name{}); err != nil {
		return Progress{}, err
	}
	if err := r.config.Limiter.TakeNetwork(limit.Names, v.Source.IP, bound.NamesPerNetwork); err != nil {
		return Progress{}, err
	}
	if err := r.askName(ctx, name); err != nil {
		return Progress{}, err
	}
	return r.change(ctx, v, id, func(tx *store.Tx, p *Progress) error {
		if (Name{}).fixed(*p) {
			return nil
		}
		if err := r.checkNotReserved(tx, name, p.ID); err != nil {
			return err
		}
		p.Localpart, p.LostLocalpart = name, ""
		return nil
	})
}

// mayBegin refuses a step that is not this browser's to answer, before anything is done for it.
func (r *Registrations) mayBegin(ctx context.Context, v Visitor, id string, s Step) error {
	if id == "" {
		if s != r.First() {
			return model.NewError(model.RegistrationOver)
		}
		return nil
	}
	return r.config.Store.View(ctx, func(tx *store.Tx) error {
		_, err := r.answerable(tx, v, id, s)
		return err
	})
}

// answerable finds a registration in which a step can be answered.
func (r *Registrations) answerable(tx *store.Tx, v Visitor, id string, s Step) (Progress, error) {
	p, err := r.open(tx, v, id)
	if err == nil && !r.MayAnswer(p, s) {
		err = model.NewError(model.RegistrationOver)
	}
	return p, err
}

// askName asks whether a name is free, here and at the homeserver.
func (r *Registrations) askName(ctx context.Context, name string) error {
	err := r.config.Users.CheckNew(ctx, user.NewUser{Localpart: name})
	if errors.Is(err, model.UserExists) || errors.Is(err, model.UserUnavailable) {
		return refuseName(NameTaken)
	}
	if errors.Is(err, model.TemporarilyDown) {
		// What it says is for operators.
		return model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return err
}

// checkNotReserved refuses a name that another registration has, which waits for an operator.
func (r *Registrations) checkNotReserved(tx *store.Tx, name, id string) error {
	waiting, err := tx.WaitingRegistration(name)
	if errors.Is(err, model.ErrNotFound) || err == nil && waiting.ID == id {
		return nil
	}
	if err == nil {
		err = refuseName(NameTaken)
	}
	return err
}
