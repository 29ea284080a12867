package registration

import (
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
)

// Step is one thing that a person does to get an account. Each kind is a type with a file of its own, which also has what
// takes the answer; its page is one of the door for people. Nothing of a step is kept but what the person answered.
type Step interface {
	// Path is the page of the step, below the issuer.
	Path() string
	// asks reports whether the configuration has the step.
	asks(r Rules) bool
	// done reports whether the step was answered, and the answer still counts.
	done(r Rules, p Progress) bool
}

// fixable is a step whose answer may be another's than the person's.
type fixable interface {
	// fixed reports whether the person cannot answer.
	fixed(p Progress) bool
}

// all are the steps in their order. An invitation comes first, so that nobody else can make us ask the homeserver or hash
// a password. The last one makes the account, and is never done before that.
var all = []Step{Invitation{}, Name{}, Email{}, Code{}, Password{}, Terms{}, Profile{}}

// stepsOf returns the steps that the rules have, in their order.
func stepsOf(r Rules) []Step {
	return slices.DeleteFunc(slices.Clone(all), func(s Step) bool { return !s.asks(r) })
}

// First returns the step with which a registration begins.
func (r *Registrations) First() Step { return r.steps[0] }

// Next returns the first step that is still to be done.
func (r *Registrations) Next(p Progress) Step {
	for _, s := range r.steps {
		if !s.done(r.config.Rules, p) {
			return s
		}
	}
	return Profile{}
}

// MayAnswer reports whether a person can answer a step: the next one, or one before it that they have come back to.
func (r *Registrations) MayAnswer(p Progress, s Step) bool {
	next := r.Next(p)
	if f, ok := s.(fixable); ok && f.fixed(p) {
		return false
	}
	for _, one := range r.steps {
		if one == s {
			return true
		}
		if one == next {
			break
		}
	}
	return false
}

// Number returns which of the steps a step is, counted from one, and how many there are. Number is zero for a step that is
// none of the configuration's.
func (r *Registrations) Number(s Step) (number, of int) {
	return slices.Index(r.steps, s) + 1, len(r.steps)
}

// Waiting is where somebody is led whose registration waits for an operator, or was decided: it is no step.
const Waiting = page.RegisterWaitingPath
