package registration

import (
	"context"
	"errors"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
)

// decidedJob mails what an operator decided. Its subject is the registration.
var decidedJob = outbox.NewKind[decided](model.JobMailDecided, model.ToMail)

// decided says nothing beside the registration.
type decided struct{}

// Handlers returns the outbox handlers for registrations.
func (r *Registrations) Handlers() []outbox.Handler {
	return []outbox.Handler{decidedJob.Handle(r.mailDecision)}
}

// wait has a complete registration wait for an operator, with its name reserved. What waits is bounded, of one network and in
// all: beyond it RateLimited is returned. Errors beside that: UserUnavailable and EmailInUse, by which another was faster.
func (r *Registrations) wait(tx *store.Tx, p *Progress) error {
	// Else the operator could do nothing but reject it.
	err := r.config.Users.CheckFree(tx, p.Localpart, p.Email)
	if errors.Is(err, model.UserExists) {
		err = refuseName(NameTaken)
	}
	if err != nil {
		return err
	}
	ofNetwork, weight, err := tx.WaitingWeight(p.Network)
	if err != nil {
		return err
	}
	if ofNetwork >= bound.WaitingRegistrationsOfNetwork || weight >= bound.WaitingRegistrations {
		return model.NewError(model.RateLimited)
	}
	if p.TokenID != "" {
		// The account will use the token up, so no more may wait than can have one.
		waiting, err := tx.WaitingOfToken(p.TokenID)
		if err != nil {
			return err
		}
		if !p.Token.Valid(tx.Now) || p.Token.Uses > 0 && p.Token.Used+waiting >= p.Token.Uses {
			return model.NewError(model.InvitationRefused)
		}
	}
	p.State, p.FinishedAt, p.ExpiresAt = model.RegistrationWaiting, tx.Now, tx.Now.Add(bound.ApprovalLife)
	return tx.UpdateRegistration(p.Registration)
}

// WaitAsBefore has an account wait for an operator that waited for an administrator of another server, whose accounts are taken
// over. The caller has made sure that nobody of its name waits. It is the operator's own, so no bound keeps it out.
func (r *Registrations) WaitAsBefore(tx *store.Tx, waiting model.Registration) (id string, err error) {
	waiting.ID, waiting.State, waiting.Existing = model.NewRegistrationID(), model.RegistrationWaiting, true
	waiting.FinishedAt, waiting.ExpiresAt = tx.Now, tx.Now.Add(bound.ApprovalLife)
	return waiting.ID, tx.InsertRegistration(waiting)
}

// FindWaiting finds a registration that waits for an operator, by its id or its name. It returns UserNotFound if there is
// none. The id comes first: somebody may choose a name that looks like the id of another registration of theirs.
func (r *Registrations) FindWaiting(tx *store.Tx, ref string) (found model.Registration, err error) {
	found, err = tx.Registration(ref)
	if errors.Is(err, model.ErrNotFound) {
		name, _ := r.plainName(ref)
		found, err = tx.WaitingRegistration(name)
	}
	if errors.Is(err, model.ErrNotFound) || err == nil && (found.State != model.RegistrationWaiting || !tx.Now.Before(found.ExpiresAt)) {
		return found, model.Errorf(model.UserNotFound, `nobody of this name waits; "registration list" lists who does`)
	}
	return found, err
}

// Approve makes the account of a registration that waits, and has the person told. Errors: UserNotFound; those of CheckNew of
// package user; EmailInUse, and InvitationRefused for a token that was revoked or used up since: then reject it.
func (r *Registrations) Approve(ctx context.Context, by model.Actor, ref string) (who model.User, err error) {
	var waiting model.Registration
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		waiting, err = r.FindWaiting(tx, ref)
		return err
	})
	if err != nil {
		return who, err
	}
	if err := r.config.Users.CheckNew(ctx, user.NewUser{Localpart: waiting.Localpart, Existing: waiting.Existing}); err != nil {
		return who, err
	}
	err = r.config.Store.Update(ctx, func(tx *store.Tx) error {
		p := Progress{}
		if p.Registration, err = r.FindWaiting(tx, waiting.ID); err != nil {
			return err
		}
		// The person came in time, however long the operator takes.
		if err := useToken(tx, p, p.FinishedAt); errors.Is(err, model.InvitationRefused) {
			return model.Errorf(model.InvitationRefused, "the invitation of this registration was used up or revoked; reject it, or make the account by user add")
		} else if err != nil {
			return err
		}
		if who, err = r.makeAccount(tx, &p, func(string) model.Actor { return by }); err != nil {
			return err
		}
		p.State, p.ExpiresAt = model.RegistrationApproved, tx.Now.Add(bound.ApprovalLife)
		return r.decide(tx, p.Registration)
	})
	if err == nil {
		r.config.Users.AwaitHomeserver(ctx, who)
	}
	return who, err
}

// Reject ends a registration that waits, and has the person told. Its name is free again.
func (r *Registrations) Reject(tx *store.Tx, by model.Actor, ref string) (model.Registration, error) {
	found, err := r.FindWaiting(tx, ref)
	if err != nil {
		return found, err
	}
	rejected := found
	rejected.State, rejected.FinishedAt, rejected.PasswordHash, rejected.ExpiresAt = model.RegistrationRejected, tx.Now, "", tx.Now.Add(bound.ApprovalLife)
	if err := r.decide(tx, rejected); err != nil {
		return found, err
	}
	return found, tx.Record(by, model.ActionRejectRegistration, "", model.Details{"registration": found.ID, "name": found.Localpart})
}

// decide writes a decision, and has it mailed if there is an address.
func (r *Registrations) decide(tx *store.Tx, decision model.Registration) error {
	if err := tx.UpdateRegistration(decision); err != nil || decision.Email.Key == "" || !r.config.Letters.On() {
		return err
	}
	return decidedJob.Enqueue(r.config.Outbox, tx, decision.ID, decided{})
}

// mailDecision does a job.
func (r *Registrations) mailDecision(ctx context.Context, job outbox.Job[decided]) error {
	var found model.Registration
	err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		found, err = tx.Registration(job.Subject)
		return err
	})
	if errors.Is(err, model.ErrNotFound) || err == nil && (found.Email.Key == "" || strings.TrimSpace(found.Email.Address) == "") {
		return nil // it is too late
	}
	if err != nil {
		return err
	}
	return r.config.Letters.Send(ctx, found.Email.Address, found.Language, page.DecidedLetter{
		Approved: found.State == model.RegistrationApproved, Account: model.MatrixID(found.Localpart, r.config.ServerName),
	})
}
