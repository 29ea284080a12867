package registration

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// Profile shows what the account will be, asks for the name that others see, and has it made. It is the last step, and as
// long as the account cannot be made the person comes back to it and tries again: nothing that was typed is lost.
type Profile struct{}

// Path implements Step.
func (Profile) Path() string { return page.RegisterProfilePath }

func (Profile) asks(Rules) bool { return true }

func (Profile) done(Rules, Progress) bool { return false }

// Result is what came of a registration that is complete.
type Result struct {
	Progress
	// Proof is who has the account, and that they chose its password; empty as long as there is none.
	Proof model.Proof
}

// Complete takes the answer to Profile and makes the account, or has it wait for an operator. Sent again within
// bound.DoubleSubmit, as by a double click, it returns the same result.
//
// Errors: InvalidParam for a display name that cannot be; UserUnavailable if somebody else has got the name since,
// which is then to be chosen anew while all else is kept (CREATE-5); InvitationRefused if the token was used up since;
// TemporarilyDown if the homeserver cannot be asked, and nothing is changed then; RateLimited; RegistrationOver.
func (r *Registrations) Complete(ctx context.Context, v Visitor, id, displayName string) (result Result, err error) {
	displayName = strings.TrimSpace(displayName)
	if err := checkDisplayName(displayName); err != nil {
		return result, err
	}
	if result, done, err := r.completed(ctx, v, id); done || err != nil {
		return result, err
	}
	p, err := r.change(ctx, v, id, func(_ *store.Tx, p *Progress) error {
		if r.Next(*p) != (Profile{}) {
			return model.NewError(model.RegistrationOver)
		}
		p.DisplayName = displayName
		return nil
	})
	if errors.Is(err, model.RegistrationOver) {
		// The same form may have been sent twice, and the other one was faster.
		if result, done, err := r.completed(ctx, v, id); done || err != nil {
			return result, err
		}
	}
	if err != nil {
		return result, err
	}
	if err := r.config.Limiter.TakeNetwork(limit.NewAccounts, v.Source.IP, bound.AccountsPerNetwork); err != nil {
		return result, err
	}
	if err := r.askName(ctx, p.Localpart); err != nil {
		return r.failed(ctx, v, id, err)
	}
	result, err = r.commit(ctx, v, id)
	if err != nil {
		return r.failed(ctx, v, id, err)
	}
	if result.State == model.RegistrationDone {
		// Before the browser goes on to a client, which will ask the homeserver (CREATE-9).
		r.config.Users.AwaitHomeserver(ctx, result.Proof.User)
		r.config.Logger.Info("an account was registered", model.LogUser(result.Localpart, r.config.ServerName, result.UserID))
	}
	return result, nil
}

// checkDisplayName refuses a name that is longer than the homeserver takes, or no line of text.
func checkDisplayName(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > bound.DisplayName || strings.ContainsFunc(name, unicode.IsControl) {
		return model.NewError(model.InvalidParam)
	}
	return nil
}

// completed returns the result of a registration that was completed a moment ago, in this browser as it was then.
func (r *Registrations) completed(ctx context.Context, v Visitor, id string) (result Result, done bool, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		p, err := r.find(tx, v, id)
		if err != nil {
			return err
		}
		result, done, err = r.resultOf(tx, p)
		return err
	})
	return result, done, err
}

// resultOf returns what came of a registration, if it is complete. Who comes back to one that made an account is told so
// for bound.DoubleSubmit alone: after that a copy of the old cookie would sign somebody in.
func (r *Registrations) resultOf(tx *store.Tx, p Progress) (result Result, done bool, err error) {
	switch p.State {
	case model.RegistrationOpen:
		return result, false, nil
	case model.RegistrationDone:
		if tx.Now.Sub(p.FinishedAt) > bound.DoubleSubmit {
			return result, false, model.NewError(model.RegistrationOver)
		}
		who, err := tx.User(p.UserID)
		return Result{p, proofOf(who, p.PasswordAt)}, true, err
	}
	return Result{Progress: p}, true, nil
}

// proofOf returns the proof of who has chosen a password.
func proofOf(who model.User, at time.Time) model.Proof {
	return model.Proof{User: who, Methods: []model.Method{model.MethodPassword}, At: at}
}

// commit makes the account, or has the registration wait, in one transaction with all that hangs on it.
func (r *Registrations) commit(ctx context.Context, v Visitor, id string) (result Result, err error) {
	err = r.config.Store.Update(ctx, func(tx *store.Tx) error {
		p, err := r.find(tx, v, id)
		if err != nil {
			return err
		}
		was, done, err := r.resultOf(tx, p)
		if result = was; done || err != nil {
			return err
		}
		if r.Next(p) != (Profile{}) {
			return model.NewError(model.RegistrationOver)
		}
		if err := r.checkNotReserved(tx, p.Localpart, p.ID); err != nil {
			return err
		}
		if err := r.takeEmail(tx, &p); err != nil {
			return err
		}
		if r.config.Rules.Approval {
			result = Result{Progress: p}
			return r.wait(tx, &result.Progress)
		}
		if err := useToken(tx, p, tx.Now); err != nil {
			return err
		}
		who, err := r.makeAccount(tx, &p, func(userID string) model.Actor { return model.Holder(userID, v.Source) })
		if err != nil {
			return err
		}
		result = Result{p, proofOf(who, p.PasswordAt)}
		return nil
	})
	return result, err
}

// useToken counts a use of the registration's token by somebody who was complete at a time (CREATE-7).
func useToken(tx *store.Tx, p Progress, at time.Time) error {
	if p.TokenID == "" {
		return nil
	}
	counted, err := tx.UseRegistrationToken(p.TokenID, at)
	if err == nil && !counted {
		err = model.NewError(model.InvitationRefused)
	}
	return err
}

// makeAccount makes the account of a complete registration, and ends that.
func (r *Registrations) makeAccount(tx *store.Tx, p *Progress, by func(userID string) model.Actor) (model.User, error) {
	details := model.Details{"registration": p.ID}
	for name, value := range map[string]string{"token": p.TokenID, "terms": p.Terms, "email": p.Email.Address} {
		if value != "" {
			details[name] = value
		}
	}
	who, err := r.config.Users.Register(tx, by, user.Registered{
		Localpart: p.Localpart, PasswordHash: p.PasswordHash, Email: p.Email, DisplayName: p.DisplayName, Details: details,
	})
	if errors.Is(err, model.UserExists) {
		err = refuseName(NameTaken)
	}
	if err != nil {
		return who, err
	}
	if p.Terms != "" {
		if err := tx.AcceptTerms(who.ID, p.Terms); err != nil {
			return who, err
		}
	}
	p.State, p.UserID, p.FinishedAt, p.PasswordHash = model.RegistrationDone, who.ID, tx.Now, ""
	return who, tx.UpdateRegistration(p.Registration)
}

// failed returns what came of a registration whose account could not be made: if the same form was sent twice and the other
// one was faster, it is that one's account that has the name. Else the error is that of lost.
func (r *Registrations) failed(ctx context.Context, v Visitor, id string, why error) (Result, error) {
	err := r.lost(ctx, v, id, why)
	if result, done, look := r.completed(ctx, v, id); done && look == nil {
		return result, nil
	}
	return Result{}, err
}

// lost undoes the one answer that an error says does not count any more, so that the person is asked for it anew, and
// returns the error.
func (r *Registrations) lost(ctx context.Context, v Visitor, id string, why error) error {
	name, token, email := NameReasonOf(why) == NameTaken, errors.Is(why, model.InvitationRefused), errors.Is(why, model.EmailInUse)
	if !name && !token && !email {
		return why
	}
	_, err := r.change(ctx, v, id, func(tx *store.Tx, p *Progress) error {
		if email {
			return r.config.Verifications.Forget(tx, subject(p.ID))
		}
		fixed := p.Token.Localpart != ""
		if token || fixed {
			// A token whose fixed name is somebody's is of no use either.
			p.TokenID, p.Token = "", model.RegistrationToken{}
		}
		if name || fixed {
			p.LostLocalpart, p.Localpart = p.Localpart, ""
		}
		return nil
	})
	if err != nil && !errors.Is(err, model.RegistrationOver) {
		return err
	}
	return why
}
