package reconcile

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

const (
	// young sessions are not checked: where Synapse runs in several processes, the one that lists devices learns a
	// little later of those that another has made.
	young = 5 * time.Second
	// witnesses bounds the sessions of other users that are looked at on either side of a missing one, and
	// witnessActive is how recently they must have been active: many unused devices may be gone.
	witnesses     = 4
	witnessActive = 7 * 24 * time.Hour
)

// Devices ends the live sessions of a user whose devices the homeserver has deleted. It is called for a user whose
// live token the homeserver refused: such a session would go on refreshing into tokens that do not work. If devices of
// other users are missing too, the homeserver was probably restored from an older state, which may still be corrected;
// then nothing is ended, and restored is true. An error means that the homeserver did not answer.
func (r *Reconciler) Devices(ctx context.Context, userID string) (restored bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	active, err := r.account(ctx, userID)
	if err != nil || !active {
		return false, err
	}
	// No login waits for this: a session that takes the device over in the meantime has another id, and its device is
	// not deleted while it lives.
	u, err := r.user(ctx, userID)
	if err != nil || u.Deactivated() {
		return false, err
	}
	missing, err := r.missing(ctx, u)
	if err != nil || len(missing) == 0 {
		return false, err
	}
	if restored, err = r.restored(ctx, missing, r.config.Store.Now().Add(-witnessActive)); err != nil {
		return false, err
	}
	if restored {
		r.config.Logger.Warn("devices of several users are missing at the homeserver, as after a restore of an older database; no session is ended. \"caddy matrix-auth doctor\" lists them",
			model.LogUser(u.Localpart, r.config.ServerName, u.ID))
		return true, nil
	}
	return false, r.end(context.WithoutCancel(ctx), u, missing)
}

// Device asks the homeserver about the device of a live session, which is older than the state to which our database went
// back. An error means that the homeserver did not answer.
func (r *Reconciler) Device(ctx context.Context, s model.Session) (session.DeviceStanding, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	active, err := r.account(ctx, s.UserID)
	if err != nil {
		return session.DeviceThere, err
	}
	u, err := r.user(ctx, s.UserID)
	if err != nil || u.Deactivated() {
		return session.DeviceThere, err
	}
	if !active { // it does not know the account, of which the session tells that it was there
		return session.DevicesMissing, nil
	}
	has, err := r.devices(ctx, u)
	if err != nil || has[s.DeviceID] {
		return session.DeviceThere, err
	}
	var back store.WentBack
	if err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		back, err = tx.WentBack()
		return err
	}); err != nil {
		return session.DeviceThere, err
	}
	restored, err := r.restored(ctx, []model.Session{s}, back.Since.Add(-witnessActive))
	switch {
	case err != nil:
		return session.DeviceThere, err
	case restored:
		return session.DevicesMissing, nil
	}
	return session.DeviceMissing, nil
}

// missing lists the live sessions of a user whose devices the homeserver lacks. It reads the sessions first, so that
// each device was there before the list was made.
func (r *Reconciler) missing(ctx context.Context, u model.User) ([]model.Session, error) {
	var live []model.Session
	err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		live, err = tx.LiveSessions(u.ID)
		return err
	})
	if err != nil || len(live) == 0 {
		return nil, err
	}
	has, err := r.devices(ctx, u)
	if err != nil {
		return nil, err
	}
	var missing []model.Session
	for _, s := range live {
		if s.DeviceID != "" && !has[s.DeviceID] && !recent(r.config.Store.Now(), s.CreatedAt, young) {
			missing = append(missing, s)
		}
	}
	return missing, nil
}

// devices returns the ids of a user's devices at the homeserver.
func (r *Reconciler) devices(ctx context.Context, u model.User) (map[string]bool, error) {
	token, drop, err := r.config.Sessions.MintInternal(u, model.ScopeAPI)
	if err != nil {
		return nil, err
	}
	defer drop()
	list, err := r.config.Homeserver.Devices(ctx, token)
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(list))
	for _, d := range list {
		has[d.ID] = true
	}
	return has, nil
}

// restored reports whether another user, whose session started close to a missing one, misses a device too. A database
// that was restored from a backup lacks everything that was made since, for all users; somebody who deletes a device
// leaves those that were made shortly before and after it. Only sessions count that were active since a time.
func (r *Reconciler) restored(ctx context.Context, missing []model.Session, activeSince time.Time) (bool, error) {
	// All of them belong to one user, and usually there is one; the last one stands for all.
	last := missing[len(missing)-1]
	var near []model.Session
	err := r.config.Store.View(ctx, func(tx *store.Tx) (err error) {
		near, err = tx.SessionsNear(last, witnesses, activeSince)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, s := range near {
		if lacks, err := r.lacks(ctx, s); err != nil || lacks {
			return lacks, err
		}
	}
	return false, nil
}

// lacks reports whether the homeserver lacks the device of a live session, or its whole user. The devices
// of an account that it deactivated tell nothing: they went with it.
func (r *Reconciler) lacks(ctx context.Context, s model.Session) (bool, error) {
	u, err := r.user(ctx, s.UserID)
	if err != nil {
		return false, err
	}
	found, err := r.config.Homeserver.QueryUser(ctx, u.Localpart)
	if homeserver.IsUnknownUser(err) {
		return true, nil
	}
	if err != nil || found.Deactivated {
		return false, err
	}
	has, err := r.devices(ctx, u)
	if err != nil || has[s.DeviceID] {
		return false, err
	}
	// A session of another user may have ended meanwhile, and its device with it.
	return r.config.Sessions.IsLive(ctx, s.ID)
}

// end ends sessions whose devices are gone already.
func (r *Reconciler) end(ctx context.Context, u model.User, missing []model.Session) error {
	return r.config.Store.Update(ctx, func(tx *store.Tx) error {
		for _, s := range missing {
			now, lived, err := r.config.Sessions.EndLive(tx, model.TheServer(), s.ID, model.EndDeviceDeleted)
			if err != nil {
				return err
			}
			if !lived {
				continue
			}
			tx.AfterCommit(func() {
				r.config.Logger.Warn("the homeserver has deleted the device of a session; the session is ended", model.LogUser(u.Localpart, r.config.ServerName, u.ID), "session_id", now.ID, "device_id", now.DeviceID)
			})
		}
		return nil
	})
}
