package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// A database that went back in time has sessions that were ended since, and honours their tokens again. The homeserver
// remembers: a session that was ended lost its device there. So a session's first refresh after that has its device
// looked for, and one whose device is gone ends.

// DeviceStanding is what the homeserver says of the device of a session.
type DeviceStanding int

const (
	// DeviceThere is a device that the homeserver has, or an account of which it says something else.
	DeviceThere DeviceStanding = iota
	// DeviceMissing is one that it does not have.
	DeviceMissing
	// DevicesMissing is one of several that it does not have, of different users: it went back in time itself.
	DevicesMissing
)

// wentBack is what is known of a database that went back in time.
type wentBack struct {
	// at is when it did; nil if it never did, so that a refresh costs one load.
	at atomic.Pointer[time.Time]
	// asking bounds the questions to the homeserver at one time.
	asking chan struct{}

	mu sync.Mutex
	// found are the sessions whose device was there since.
	found map[string]struct{}
	// ended are the times at which sessions lately ended whose device was missing.
	ended []time.Time
	// held is when a session was last kept from ending, as too many devices were missing.
	held time.Time
	// told is when the log last told of that.
	told time.Time
}

const (
	// deviceQuestions is how many sessions' devices are looked for at one time.
	deviceQuestions = 16
	// endsAtOnce is how many sessions may end in endsWithin because their devices are missing: of more the homeserver
	// is to blame.
	endsAtOnce = 3
	endsWithin = 10 * time.Minute
	// heldLately is how long it is told that sessions were kept from ending.
	heldLately = 24 * time.Hour
	// deviceRetry is when a client may ask again whose device cannot be looked for.
	deviceRetry = 30 * time.Second
)

// learn learns whether the database went back.
func (w *wentBack) learn(tx *store.Tx) error {
	back, err := tx.WentBack()
	if errors.Is(err, model.ErrNotFound) {
		return nil
	}
	if err == nil {
		w.at.Store(&back.At)
	}
	return err
}

// confirmDevice has the homeserver asked about the device of a session whose database went back since a refresh token
// was given out. Its errors: EndedSoftly if the device is gone, and the session with it; one of kind Unavailable if
// that cannot be told. Nothing is said of a token that Refresh refuses anyway.
func (s *Sessions) confirmDevice(ctx context.Context, p Refresh) error {
	back := &s.config.Registry.back
	at := back.at.Load()
	if at == nil || s.config.FindDevice == nil {
		return nil
	}
	if d, ok := model.Describe(p.Token); ok && !d.Claims.MintedAt.Before(*at) {
		return nil // a forged time has the token unknown to the store
	}
	session, must, err := s.mustConfirm(ctx, p, *at)
	if err != nil || !must {
		return err
	}
	select {
	case back.asking <- struct{}{}:
		defer func() { <-back.asking }()
	case <-ctx.Done():
		return model.NewError(model.TemporarilyDown).WithCause(ctx.Err())
	}
	standing, err := s.config.FindDevice(ctx, session)
	switch {
	case err != nil:
		return model.Errorf(model.TemporarilyDown, "the homeserver cannot be asked about the session's device").WithRetry(deviceRetry).WithCause(err)
	case standing == DeviceThere:
		back.note(session.ID)
		return nil
	}
	return s.endWithoutDevice(ctx, session, standing)
}

// mustConfirm finds the session of a refresh token, and reports whether its device is to be looked for.
func (s *Sessions) mustConfirm(ctx context.Context, p Refresh, at time.Time) (session model.Session, must bool, err error) {
	err = s.config.Store.View(ctx, func(tx *store.Tx) error {
		token, found, err := resolveRefresh(tx, model.HashToken(p.Token))
		if errors.Is(err, model.ErrNotFound) {
			token, found, err = s.findRowless(tx, p.Token)
		}
		if err != nil {
			return err
		}
		session = found
		must = !found.Ended() && found.DeviceID != "" && found.ClientID == p.ClientID && token.CreatedAt.Before(at) &&
			!s.config.Registry.isLocked(found.UserID) && !s.config.Registry.back.knows(found.ID)
		return nil
	})
	if model.Inconclusive(err) && !errors.Is(err, model.ErrNotFound) {
		return session, false, err
	}
	return session, must, nil // Refresh says what is wrong
}

// knows reports whether the device of a session was there.
func (w *wentBack) knows(sessionID string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.found[sessionID]
	return known
}

func (w *wentBack) note(sessionID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found == nil {
		w.found = map[string]struct{}{}
	}
	if len(w.found) < bound.LostSessions { // one for which there is no room is asked about again
		w.found[sessionID] = struct{}{}
	}
}

// mayEnd reports whether one more session may end because its device is missing, and notes that it does. If not, tell
// reports whether the log is to say so.
func (w *wentBack) mayEnd(standing DeviceStanding, now time.Time) (may, tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lately []time.Time
	for _, at := range w.ended {
		if now.Sub(at).Abs() < endsWithin {
			lately = append(lately, at)
		}
	}
	if w.ended = lately; standing == DeviceMissing && len(lately) < endsAtOnce {
		w.ended = append(w.ended, now)
		return true, false
	}
	w.held = now
	if tell = now.Sub(w.told).Abs() >= lostLines; tell {
		w.told = now
	}
	return false, tell
}

// endWithoutDevice ends a session softly whose device is missing, unless so many are that the homeserver went back in
// time itself.
func (s *Sessions) endWithoutDevice(ctx context.Context, session model.Session, standing DeviceStanding) error {
	may, tell := s.config.Registry.back.mayEnd(standing, s.config.Store.Now())
	if tell {
		s.config.Logger.Warn("devices of several sessions are missing at the homeserver since the database went back in time; no session is ended, and their clients wait",
			s.logUser(session.UserID), "session_id", session.ID, "device_id", session.DeviceID)
	}
	if !may {
		return model.Errorf(model.TemporarilyDown, "the homeserver has lost the session's device; its owner may have restored a backup").WithRetry(lostRetry)
	}
	err := s.config.Store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		_, lived, err := s.EndLive(tx, model.TheServer(), session.ID, model.EndDeviceMissing)
		if err != nil || !lived {
			return err
		}
		owner, err := tx.User(session.UserID)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() {
			s.config.Logger.Warn("the device of a session is gone since before the database went back in time; the session is ended",
				model.LogUser(owner.Localpart, s.config.ServerName, owner.ID), "session_id", session.ID, "device_id", session.DeviceID)
		})
		return nil
	})
	if err != nil {
		return err
	}
	return endedSoftly()
}

// HeldBack returns when a session was last kept from ending because too many devices are missing at the homeserver;
// zero if none was within a day.
func (r *Registry) HeldBack() time.Time {
	r.back.mu.Lock()
	defer r.back.mu.Unlock()
	if r.store.Now().Sub(r.back.held).Abs() > heldLately {
		return time.Time{}
	}
	return r.back.held
}
