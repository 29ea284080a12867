package signin

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/grant"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Step is what a browser has to do next on its way to a goal. Each kind of step is a type, with a function that tells
// whether it is still to be done; a goal names the functions of its steps in their order. The page of a step asks again
// whether it is the next one, and leads on to the one that is, so there is no circle: where a step leads is where
// it is shown.
type Step interface {
	// At is who is at the step, and for what.
	At() Visit
	// path is the page of the step, below the issuer.
	path(g Goal) string
}

// Visit is a browser on its way.
type Visit struct {
	// Value is the value of the browser's cookie.
	Value string
	// Session is the live browser session, and User who is signed in by it. They may be barred from all that is
	// theirs. Both are empty if nobody is signed in.
	Session model.BrowserSession
	User    model.User
	// Pending is the authorization request that the browser comes with, if that waits for its user.
	Pending *grant.Pending
}

// At returns the visit itself, for the steps that hold it.
func (v Visit) At() Visit { return v }

// Nobody reports whether nobody is signed in.
func (v Visit) Nobody() bool { return v.Session.ID == "" }

// check returns a step if it is still to be done, and nil if it is not.
type check func(s *SignIns, tx *store.Tx, v *Visit) (Step, error)

// first returns the first step that is still to be done.
func first(s *SignIns, tx *store.Tx, v *Visit, checks ...check) (Step, error) {
	for _, c := range checks {
		if step, err := c(s, tx, v); err != nil || step != nil {
			return step, err
		}
	}
	return nil, nil
}

// Next returns what a browser has to do next on its way to a goal. It returns RequestExpired for the goal of a request that
// is over and was not answered by this browser.
func (s *SignIns) Next(tx *store.Tx, g Goal, b Browser) (Step, error) {
	v := Visit{Value: b.Value}
	var err error
	v.Session, v.User, err = s.config.Browsers.In(tx, b.Value)
	if err != nil && !errors.Is(err, model.NotSignedIn) {
		return nil, err
	}
	step, err := g.next(s, tx, &v)
	if err == nil && step == nil {
		step = Done{Visit: v}
	}
	return step, err
}

// Step is Next for callers without a transaction. It notes that the browser is in use.
func (s *SignIns) Step(ctx context.Context, g Goal, b Browser) (step Step, err error) {
	err = s.config.Store.View(ctx, func(tx *store.Tx) error {
		step, err = s.Next(tx, g, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if at := step.At(); !at.Nobody() && at.User.MayAct() == nil {
		err = s.config.Browsers.Touch(ctx, at.Session, b.Source)
	}
	return step, err
}

// Shown notes that the page of a step is shown: a request that somebody is probably looking at is kept longer than
// others.
func (s *SignIns) Shown(ctx context.Context, step Step) error {
	if p := step.At().Pending; p != nil {
		return s.config.Grants.Shown(ctx, *p)
	}
	return nil
}

// Blocked says that the account of who is signed in may do nothing at present. They can go on as somebody else.
type Blocked struct {
	Visit
	// Reason is an Error of code UserLocked or UserDeactivated.
	Reason error
}

func (Blocked) path(g Goal) string { return g.path() }

func blocked(_ *SignIns, _ *store.Tx, v *Visit) (Step, error) {
	if v.Nobody() {
		return nil, nil
	}
	if err := v.User.MayAct(); err != nil {
		return Blocked{*v, err}, nil
	}
	return nil, nil
}

// Done says that nothing is left to do.
type Done struct {
	Visit
	// Outcome is what came of a request; empty for other goals.
	Outcome grant.Outcome
}

func (Done) path(g Goal) string { return g.path() }
