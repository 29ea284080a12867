package registration

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Password has the person choose a password, of which the hash alone is kept.
type Password struct{}

// Path implements Step.
func (Password) Path() string { return page.RegisterPasswordPath }

func (Password) asks(Rules) bool { return true }

func (Password) done(_ Rules, p Progress) bool { return p.PasswordHash != "" }

// ChoosePassword takes the answer to Password. Errors: InvalidPassword by the policy of all passwords, TemporarilyDown if
// too many are being hashed, and RateLimited.
func (r *Registrations) ChoosePassword(ctx context.Context, v Visitor, id, clear string) (Progress, error) {
	var about []string
	err := r.config.Store.View(ctx, func(tx *store.Tx) error {
		p, err := r.answerable(tx, v, id, Password{})
		about = []string{p.Localpart, p.DisplayName, p.Token.Email, p.Verification.Address}
		return err
	})
	if err != nil {
		return Progress{}, err
	}
	limits := r.config.Limiter
	if err := limits.TakeNetwork(limit.NewPasswordsByNetwork, v.Source.IP, bound.NewPasswordsPerNetwork); err != nil {
		return Progress{}, err
	}
	if err := limits.Take(limit.NewPasswords, "", bound.NewPasswords); err != nil {
		return Progress{}, err
	}
	typed := r.config.Store.Now()
	hash, err := r.config.Users.HashPassword(ctx, clear, about...)
	if err != nil {
		return Progress{}, err
	}
	return r.change(ctx, v, id, func(_ *store.Tx, p *Progress) error {
		p.PasswordHash, p.PasswordAt = hash, typed
		return nil
	})
}
