package account

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/signin"
)

// granted returns the apps that need not ask a user again, the one granted last first. One that is gone is
// known by the host that it was sent back to.
func (d *Door) granted(ctx context.Context, who model.User, named naming) ([]page.Granted, error) {
	all, err := d.Grants.Consents(ctx, who.ID)
	if err != nil {
		return nil, err
	}
	var shown []page.Granted
	for _, c := range all {
		// Those of one client at several of its addresses are one thing to a person.
		if slices.ContainsFunc(shown, func(g page.Granted) bool { return g.ClientID == c.ClientID }) {
			continue
		}
		name, host, err := named(c.ClientID)
		if err != nil {
			return nil, err
		}
		if to, err := url.Parse(c.RedirectURI); err == nil {
			host = cmp.Or(host, to.Hostname())
		}
		shown = append(shown, page.Granted{ClientID: c.ClientID, ClientName: name, Host: host, At: c.GrantedAt})
	}
	return shown, nil
}

// WithdrawConsent answers POST account/consents/withdraw: an app has to ask again. Its sessions go on.
func (d *Door) WithdrawConsent(w http.ResponseWriter, r *http.Request) error {
	form, err := d.Cookie.ReadForm(w, r)
	if err != nil {
		return err
	}
	if form["client"] == "" {
		return model.NewError(model.MissingParam)
	}
	_, who, ok, err := d.owner(w, r, signin.AccountPage{})
	if !ok {
		return err
	}
	if err := d.Grants.WithdrawOwn(r.Context(), holder(r, who), form["client"]); err != nil {
		return err
	}
	return d.seeOther(w, page.ConsentWithdrawnPath, nil)
}

// Withdrawn answers GET account/consents/withdrawn.
func (d *Door) Withdrawn(w http.ResponseWriter, r *http.Request) error {
	return d.Pages.Render(w, r, http.StatusOK, page.Withdrawn{})
}
