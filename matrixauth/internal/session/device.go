package session

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// NameDevice keeps the name that the homeserver has just given to a device of an access token's user. A
// token that is not ours, and a device without a live session, are no error: nobody shows that name.
func (s *Sessions) NameDevice(ctx context.Context, token, deviceID, name string) error {
	t, err := s.Owner(token)
	if errors.Is(err, model.UnknownToken) || errors.Is(err, model.EndedSoftly) || isLostImport(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.config.Store.Update(ctx, func(tx *store.Tx) error {
		session, err := tx.LiveSessionOnDevice(t.UserID, deviceID)
		if errors.Is(err, model.ErrNotFound) || err == nil && session.DeviceName == name {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.NameDevice(session.ID, name)
	})
}
