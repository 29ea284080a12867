package operate

import (
	"context"
	"errors"
	"log/slog"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/tokenkey"
)

// RenewKey has the server make a new key that tokens are proven by.
const RenewKey Operation[KeyRenewal, RenewedKey] = "key.renew"

// KeyRenewal says how to renew the key.
type KeyRenewal struct {
	// Leaked has the keys of before prove nothing any more: somebody else may have them.
	Leaked bool `json:"leaked,omitempty"`
}

// RenewedKey is the new key.
type RenewedKey struct {
	Number int    `json:"number"`
	File   string `json:"file"`
}

func (o *Operations) renewKey(ctx context.Context, by model.Actor, p KeyRenewal) (RenewedKey, error) {
	made := RenewedKey{File: o.c.Keys.Path()}
	err := o.c.Keys.Renew(ctx, p.Leaked, func(tx *store.Tx, number int) error {
		made.Number = number
		return tx.Record(by, model.ActionRenewKey, "", model.Details{"number": number, "leaked": p.Leaked})
	})
	if problem := (*tokenkey.Error)(nil); errors.As(err, &problem) {
		return made, model.Errorf(model.ServerError, "%s", problem.Error())
	}
	if err == nil {
		note(ctx, model.User{}, slog.Int("number", made.Number), slog.Bool("leaked", p.Leaked))
	}
	return made, err
}
