package account

import (
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/registration"
)

var termsStep = registerStep{
	Step: registration.Terms{}, name: "terms",
	show: func(d *Door, at registerVisit) page.Page {
		rules := d.Registrations.Rules()
		return page.RegisterTerms{Register: at.page, URL: rules.TermsURL, Version: rules.TermsVersion}
	},
	answer: func(d *Door, at registerVisit) (registration.Progress, error) {
		return d.Registrations.AcceptTerms(at.r.Context(), at.visitor, at.id, at.form["terms"])
	},
}
