package web

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/limit"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// LoginLimits bound the tries to prove a password. All doors share them, so that whoever is refused at
// one has not two (PW-13).
type LoginLimits struct {
	Limiter *limit.Limiter
	// PerNetwork and PerAccount are the rates of tries from one network and for one account.
	PerNetwork, PerAccount limit.Rate
}

// Guard makes one try within the limits of the client's network and of the account that it names,
// whether that exists or not (LEG-31, PW-12). A success clears the account's count, so that somebody
// else's guesses do not add to the owner's slips.
func (l LoginLimits) Guard(ctx context.Context, account string, try func() (model.User, error)) (model.User, error) {
	if err := l.Limiter.TakeNetwork(limit.LoginsByNetwork, FactsOf(ctx).ClientIP, l.PerNetwork); err != nil {
		return model.User{}, err
	}
	if err := l.Limiter.Take(limit.LoginsByAccount, account, l.PerAccount); err != nil {
		return model.User{}, err
	}
	found, err := try()
	if err != nil {
		return model.User{}, err
	}
	l.Limiter.Forgive(limit.LoginsByAccount, account)
	return found, nil
}
