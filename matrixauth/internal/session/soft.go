package session

import (
	"context"
	"errors"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/outbox"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// endedSoftly is the answer to a refresh token of a session that ended softly.
func endedSoftly() error { return model.NewError(model.EndedSoftly) }

// softEndBatch bounds the sessions that one transaction of ForgetSoftEnds removes, or EndOverdue ends.
const softEndBatch = 100

// ForgetSoftEnds removes the sessions that ended softly so long ago that nobody came back, and has their devices deleted
// unless a session has them.
func ForgetSoftEnds(ctx context.Context, s *store.Store, jobs *outbox.Outbox) error {
	for {
		n := 0
		err := s.Update(ctx, func(tx *store.Tx) error {
			old, err := tx.OldSoftEnds(softEndBatch)
			if err != nil {
				return err
			}
			n = len(old)
			for _, session := range old {
				if err := forgetSoftEnd(tx, jobs, session); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < softEndBatch {
			return err
		}
	}
}

// forgetSoftEnd removes one of the sessions. The device is deleted by the last session that ended on it, unless the
// database went back since: its owner may have signed in on it, by a session that is forgotten.
func forgetSoftEnd(tx *store.Tx, jobs *outbox.Outbox, session model.Session) error {
	back, err := tx.BeforeGoingBack(session.EndedAt)
	if err != nil {
		return err
	}
	if session.DeviceID != "" && !back {
		last, err := tx.LastEndedOnDevice(session.UserID, session.DeviceID)
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		if last.ID == session.ID {
			if err := DeleteDeviceJob.Enqueue(jobs, tx, session.UserID, DeleteDevice{session.DeviceID}); err != nil {
				return err
			}
		}
	}
	return tx.DeleteSession(session.ID)
}

// EndOverdue ends the sessions whose time is over. The end is soft, as it was where they come from: who signs in again on
// the device keeps what it can read, and a device that nobody comes back to is deleted by ForgetSoftEnds.
func (s *Sessions) EndOverdue(ctx context.Context) error {
	for {
		n := 0
		err := s.config.Store.Update(ctx, func(tx *store.Tx) error {
			over, err := tx.OverdueSessions(softEndBatch)
			if err != nil {
				return err
			}
			n = len(over)
			for _, session := range over {
				if err := s.End(tx, model.TheServer(), session, model.EndOverdue); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < softEndBatch {
			return err
		}
	}
}
