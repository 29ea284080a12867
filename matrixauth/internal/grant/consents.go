package grant

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Consents lists what is remembered of a user, the newest first.
func (g *Grants) Consents(ctx context.Context, userID string) (all []model.Consent, err error) {
	err = g.config.Store.View(ctx, func(tx *store.Tx) error {
		all, err = tx.Consents(userID)
		return err
	})
	return all, err
}

// Withdraw takes back what a user consented to of a client, so that it has to ask again, and gives the
// number of what there was. A code that was not exchanged yet is worthless afterwards; sessions go on.
func (g *Grants) Withdraw(tx *store.Tx, by model.Actor, userID, clientID string) (int, error) {
	n, err := tx.DeleteConsents(userID, clientID)
	if err == nil && n > 0 {
		err = tx.Record(by, model.ActionWithdrawConsent, userID, model.Details{"client_id": clientID, "consents": n})
	}
	if err != nil {
		return 0, err
	}
	return int(n), tx.SpendCodes(userID, clientID)
}

// WithdrawAll is Withdraw for all clients.
func (g *Grants) WithdrawAll(tx *store.Tx, by model.Actor, userID string) (int, error) {
	n, err := tx.DeleteAllConsents(userID)
	if err == nil && n > 0 {
		err = tx.Record(by, model.ActionWithdrawConsent, userID, model.Details{"client_id": "all", "consents": n})
	}
	if err != nil {
		return 0, err
	}
	return int(n), tx.SpendAllCodes(userID)
}

// WithdrawOwn is Withdraw at the user's own wish. To do it again changes nothing.
func (g *Grants) WithdrawOwn(ctx context.Context, by model.Actor, clientID string) error {
	return g.config.Store.Update(ctx, func(tx *store.Tx) error {
		_, err := g.Withdraw(tx, by, by.ID, clientID)
		return err
	})
}
