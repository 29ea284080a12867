// Package registration has people make accounts of their own: what they are asked for, in which order, and what becomes
// of it. What is left to ask follows from the configuration and from the row of a registration alone, so that any tab,
// any restart and the way back show the same. It renders nothing and knows no HTTP; it asks others whether a name can be
// an account's, whether a password will do, and where a browser goes on.
package registration

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/notify"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/seal"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/user"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/verification"
)

// Config is what registrations depend upon.
type Config struct {
	Store   *store.Store
	Users   *user.Users
	Limiter *limit.Limiter
	// Seal seals registration tokens.
	Seal *seal.Keeper
	// Verifications has addresses proven, Letters sends mails.
	Verifications *verification.Verifications
	Letters       *notify.Letters
	Outbox        *outbox.Outbox
	Rules         Rules
	// ServerName is the homeserver's name in Matrix ids.
	ServerName string
	Logger     *slog.Logger
}

// Registrations has people register, by one configuration.
type Registrations struct {
	config Config
	steps  []Step
}

// New makes the registrations of a configuration.
func New(c Config) *Registrations { return &Registrations{c, stepsOf(c.Rules)} }

// On reports whether anybody can register.
func (r *Registrations) On() bool { return r.config.Rules.On() }

// Rules returns the rules by which people register.
func (r *Registrations) Rules() Rules { return r.config.Rules }

// Mails reports whether who waits for an operator is told by mail.
func (r *Registrations) Mails(p Progress) bool { return r.config.Letters.On() && p.Email.Key != "" }

// Visitor is a browser in which somebody registers.
type Visitor struct {
	// Value is the value of the browser's cookie.
	Value  string
	Source model.Source
	// Language is the BCP 47 tag of the pages.
	Language string
}

// Progress is how far a registration is.
type Progress struct {
	model.Registration
	// Token is the registration token that let the person in; empty for none.
	Token model.RegistrationToken
	// Verification is that of the mail address; empty as long as there is none.
	Verification model.Verification
}

// Find finds the registration of an id in the browser that it is bound to, in whatever state. It returns RegistrationOver
// for any other: who has the address alone, as from a history, has nothing.
func (r *Registrations) Find(ctx context.Context, v Visitor, id string) (p Progress, err error) {
	err = r.config.Store.View(ctx, func(tx *store.Tx) error {
		p, err = r.find(tx, v, id)
		return err
	})
	return p, err
}

func (r *Registrations) find(tx *store.Tx, v Visitor, id string) (p Progress, err error) {
	over := model.NewError(model.RegistrationOver)
	if id == "" || v.Value == "" || !r.On() {
		return p, over
	}
	p.Registration, err = tx.Registration(id)
	if errors.Is(err, model.ErrNotFound) || err == nil && (p.Browser != model.HashToken(v.Value) || !tx.Now.Before(p.ExpiresAt)) {
		return Progress{}, over
	}
	if err == nil {
		err = r.withVerification(tx, &p)
	}
	if err != nil || p.TokenID == "" {
		return p, err
	}
	p.Token, err = tx.RegistrationToken(p.TokenID)
	if errors.Is(err, model.ErrNotFound) {
		err = nil // it counts as one that is used up
	}
	return p, err
}

// open is find for what the person may still change.
func (r *Registrations) open(tx *store.Tx, v Visitor, id string) (Progress, error) {
	p, err := r.find(tx, v, id)
	if err == nil && p.State != model.RegistrationOpen {
		err = model.NewError(model.RegistrationOver)
	}
	return p, err
}

// change changes an open registration in a transaction of its own. Without an id it begins one: rows follow from what
// people send, never from a page that is opened.
func (r *Registrations) change(ctx context.Context, v Visitor, id string, f func(tx *store.Tx, p *Progress) error) (p Progress, err error) {
	if !r.On() {
		return p, model.NewError(model.RegistrationOver)
	}
	err = r.config.Store.Update(ctx, func(tx *store.Tx) error {
		if id != "" {
			if p, err = r.open(tx, v, id); err != nil {
				return err
			}
			if err := f(tx, &p); err != nil {
				return err
			}
			return tx.UpdateRegistration(p.Registration)
		}
		if v.Value == "" {
			return model.NewError(model.RegistrationOver)
		}
		p = Progress{Registration: model.Registration{
			ID: model.NewRegistrationID(), State: model.RegistrationOpen, Browser: model.HashToken(v.Value),
			Language: v.Language, IP: v.Source.IP, Network: model.Site(v.Source.IP), CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(bound.RegistrationLife),
		}}
		if err := f(tx, &p); err != nil {
			return err
		}
		return tx.InsertRegistration(p.Registration)
	})
	return p, err
}
