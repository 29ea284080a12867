package signin

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Consent has the person say whether a client may have what it asks for.
type Consent struct {
	Visit
	Review grant.Review
}

func (Consent) path(g Goal) string { return g.path() }

// Granted says that the person granted before what a client asks for, and is asked no more: Proceed goes on.
type Granted struct{ Visit }

func (Granted) path(g Goal) string { return g.path() }

// Refused says that who is signed in may not have what a client asks for. The client is to be told.
type Refused struct {
	Visit
	// Reason is an Error of code AccessDenied.
	Reason error
}

func (Refused) path(g Goal) string { return g.path() }

func consent(s *SignIns, tx *store.Tx, v *Visit) (Step, error) {
	review, err := s.config.Grants.Review(tx, *v.Pending, v.visitor())
	switch {
	case errors.Is(err, model.AccessDenied):
		return Refused{*v, err}, nil
	case err != nil:
		return nil, err
	case review.Remembered:
		return Granted{*v}, nil
	}
	return Consent{*v, review}, nil
}

// Proceed is Step, and goes on with what needs no word of the person: a request that they granted before is approved.
func (s *SignIns) Proceed(ctx context.Context, r Request, b Browser) (Step, error) {
	step, err := s.Step(ctx, r, b)
	if _, granted := step.(Granted); err != nil || !granted {
		return step, err
	}
	return s.settle(ctx, r, b, func(tx *store.Tx, step Step) (Step, error) {
		if _, granted := step.(Granted); !granted {
			return step, nil // it was a moment ago
		}
		o, err := s.config.Grants.ApproveRemembered(tx, r.ID, step.At().visitor())
		return Done{step.At(), o}, err
	})
}

// Approve takes the person's yes at the step of consent. It returns the step after that: Done with the code for the
// client, or what has to be done before the answer counts. A browser that answers twice is told the same again.
func (s *SignIns) Approve(ctx context.Context, r Request, b Browser) (Step, error) {
	return s.settle(ctx, r, b, func(tx *store.Tx, step Step) (Step, error) {
		switch step.(type) {
		case Consent, Granted:
			o, err := s.config.Grants.Approve(tx, r.ID, step.At().visitor())
			return Done{step.At(), o}, err
		}
		return step, nil
	})
}

// settle does the next step of a browser in the transaction that tells which one it is, so that nobody answers as who
// has just signed out.
func (s *SignIns) settle(ctx context.Context, r Request, b Browser, do func(*store.Tx, Step) (Step, error)) (step Step, err error) {
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		if step, err = s.Next(tx, r, b); err != nil {
			return err
		}
		step, err = do(tx, step)
		return err
	})
	return step, err
}

// Decline takes the person's no, at any step on the way of a request (AUTHZ-20). Nobody need sign in for that.
func (s *SignIns) Decline(ctx context.Context, r Request, b Browser) (Step, error) {
	o, err := s.config.Grants.Decline(ctx, r.ID, b.Value)
	return Done{Outcome: o}, err
}

// Silently approves a request that was not kept yet, if nothing of the way is left to do (prompt=none, OIDC-10). With
// an error nothing is kept: LoginRequired, ConsentRequired or AccessDenied, by the step that is left.
func (s *SignIns) Silently(ctx context.Context, c model.Client, request model.Request, b Browser) (code string, err error) {
	if _, _, err := s.config.Browsers.Current(ctx, b.Value, b.Source); err != nil {
		return "", silent(err)
	}
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		id, err := s.config.Grants.BeginIn(tx, c, request, "")
		if err != nil {
			return err
		}
		step, err := s.Next(tx, Request{id}, b)
		if err != nil {
			return err
		}
		switch left := step.(type) {
		case Granted:
			o, err := s.config.Grants.ApproveRemembered(tx, id, left.visitor())
			code = o.Code
			return err
		case Refused:
			return left.Reason
		case Consent:
			return model.NewError(model.ConsentRequired)
		}
		return loginRequired(nil)
	})
	return code, err
}

// silent says in a client's words why nobody can be asked.
func silent(err error) error {
	if errors.Is(err, model.NotSignedIn) || model.IsBlocked(err) {
		return loginRequired(err)
	}
	return err
}

func loginRequired(why error) error {
	return model.NewError(model.LoginRequired).WithCause(why)
}
