package user

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// AllowReset lets the clients of a user replace the cross-signing keys, and tells until when (XS-3). The
// caller has had the user prove who they are, or is an operator. It is asked of the homeserver at once and
// never again by itself: leave that comes late would be leave that nobody asked for (XS-4). A user who asks too often
// gets RateLimited. If the homeserver does not give it the error is TemporarilyDown, and nothing has changed.
func (u *Users) AllowReset(ctx context.Context, by model.Actor, who model.User) (until time.Time, err error) {
	if u.config.ReadOnly {
		return until, model.Errorf(model.TemporarilyDown, "the homeserver is configured as read-only; nothing is written to it")
	}
	if by.Kind == model.ActorUser {
		if err := u.takeChange(who); err != nil {
			return until, err
		}
	}
	until = u.config.Store.Now().Add(bound.ResetWindow)
	if err := u.config.Homeserver.AllowCrossSigningReset(ctx, who.Localpart); err != nil {
		return until, model.NewError(model.TemporarilyDown).WithCause(err)
	}
	return until, u.config.Store.Record(context.WithoutCancel(ctx), by, model.ActionAllowReset, who.ID, model.Details{"until": until.UTC().Format(time.RFC3339)})
}
