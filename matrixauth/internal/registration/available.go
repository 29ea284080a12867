package registration

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Available returns nil if somebody could register now with a name, for apps that ask before they lead to our pages (C-S "GET
// /register/available"). Errors: UserExists for one that somebody has; InvalidUsername; AccessDenied where not everybody may
// register, as who is not invited must not learn who is here (ENUM-2); TemporarilyDown; RateLimited.
func (r *Registrations) Available(ctx context.Context, source model.Source, typed string) error {
	if r.config.Rules.Mode != Open {
		return model.Errorf(model.AccessDenied, "not everybody may register here")
	}
	name, err := r.CheckName(typed)
	if err != nil {
		return err
	}
	if err := r.config.Limiter.TakeNetwork(limit.Names, source.IP, bound.NamesPerNetwork); err != nil {
		return err
	}
	if err = r.askName(ctx, name); err == nil {
		err = r.config.Store.View(ctx, func(tx *store.Tx) error { return r.checkNotReserved(tx, name, "") })
	}
	if errors.Is(err, model.UserUnavailable) {
		return model.NewError(model.UserExists)
	}
	return err
}
