package session

import (
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// EndDevices ends the sessions of some devices of a user, who is the actor, at their own wish. A device without a live
// session is deleted at the homeserver alone, which takes it well if there is none. As anybody can make such names up, that
// is TemporarilyDown while others of theirs wait for the homeserver, and if nothing is written to it. A caller calls Settle after the commit.
func (s *Sessions) EndDevices(tx *store.Tx, by model.Actor, devices []string) error {
	waits, err := DeleteDeviceJob.Waits(tx, by.ID)
	if err != nil {
		return err
	}
	for _, id := range devices {
		session, err := tx.LiveSessionOnDevice(by.ID, id)
		switch {
		case errors.Is(err, model.ErrNotFound) && (waits || s.config.ReadOnly):
			err = model.NewError(model.TemporarilyDown)
		case errors.Is(err, model.ErrNotFound):
			err = DeleteDeviceJob.Enqueue(s.config.Outbox, tx, by.ID, DeleteDevice{id})
		case err == nil:
			err = s.End(tx, by, session, model.EndSignedOut)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckLive returns UnknownToken if a session of a user does not live. One that the database may have forgotten is none that
// may end others.
func (s *Sessions) CheckLive(tx *store.Tx, userID, id string) error {
	session, lives, err := live(tx, id)
	if err == nil && (!lives || session.UserID != userID) {
		err = unknownToken()
	}
	return err
}
