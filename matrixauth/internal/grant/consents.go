package grant

import (
	"context"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// Consents lists what is remembered of a user, the newest first.
func (g *Grants) Consents(ctx context.Context, userID string) (all []model.Consent, err error) {
	err = g.Store.View(ctx, func(tx *store.Tx) error {
		all, err = tx.Consents(userID)
		return err
	})
	return all, err
}

// Withdraw takes back what a user consented to of a client, so that it has to ask again, and reports whether
// there was anything. A code that was not exchanged yet is worthless afterwards; sessions go on.
func (g *Grants) Withdraw(tx *store.Tx, userID, clientID string) (bool, error) {
	n, err := tx.DeleteConsents(userID, clientID)
	if err != nil {
		return false, err
	}
	return n > 0, tx.SpendCodes(userID, clientID)
}
