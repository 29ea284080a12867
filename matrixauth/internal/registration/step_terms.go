package registration

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Terms has the person accept the terms of service. Which version they accepted is kept with the account (CREATE-7).
type Terms struct{}

// Path implements Step.
func (Terms) Path() string { return page.RegisterTermsPath }

func (Terms) asks(r Rules) bool { return r.TermsURL != "" }

// Who accepted a version that is not the present one any more is asked again.
func (Terms) done(r Rules, p Progress) bool { return p.Terms == r.TermsVersion }

// AcceptTerms takes the answer to Terms: the version that the page showed. Errors: MissingParam for who does not accept
// the present version.
func (r *Registrations) AcceptTerms(ctx context.Context, v Visitor, id, version string) (Progress, error) {
	if err := r.mayBegin(ctx, v, id, Terms{}); err != nil {
		return Progress{}, err
	}
	if version == "" || version != r.config.Rules.TermsVersion {
		return Progress{}, model.NewError(model.MissingParam)
	}
	return r.change(ctx, v, id, func(_ *store.Tx, p *Progress) error {
		p.Terms = version
		return nil
	})
}
