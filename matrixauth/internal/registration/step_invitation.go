package registration

import (
	"context"
	"errors"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Invitation has the person show a registration token. Where everybody may register, one can be shown all the same: it may
// fix the name or the address.
type Invitation struct{}

// Path implements Step.
func (Invitation) Path() string { return page.RegisterInvitationPath }

func (Invitation) asks(r Rules) bool { return r.Mode == ByToken }

// A token counts until it is used, which is judged with the account: who has typed everything and is too late is told so
// then, and can type another token.
func (Invitation) done(_ Rules, p Progress) bool { return p.TokenID != "" }

// ShowInvitation takes the answer to Invitation. Errors: InvitationRefused for a token that lets nobody in, whatever the
// reason, and RateLimited (CREATE-7).
func (r *Registrations) ShowInvitation(ctx context.Context, v Visitor, id, token string) (Progress, error) {
	limits := r.config.Limiter
	if err := limits.TakeNetwork(limit.InvitationsByNetwork, v.Source.IP, bound.InvitationsPerNetwork); err != nil {
		return Progress{}, err
	}
	if err := limits.Take(limit.Invitations, "", bound.Invitations); err != nil {
		return Progress{}, err
	}
	token = strings.TrimSpace(token)
	if model.CheckRegistrationToken(token) != nil {
		return Progress{}, model.NewError(model.InvitationRefused)
	}
	return r.change(ctx, v, id, func(tx *store.Tx, p *Progress) error {
		found, err := tx.RegistrationTokenByHash(model.HashToken(token))
		if errors.Is(err, model.ErrNotFound) || err == nil && !found.Valid(tx.Now) {
			return model.NewError(model.InvitationRefused)
		}
		if err != nil {
			return err
		}
		p.Token, p.TokenID = found, found.ID
		if found.Localpart != "" {
			p.Localpart, p.LostLocalpart = found.Localpart, ""
		}
		return nil
	})
}
