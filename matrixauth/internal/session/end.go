package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// End ends a live session: its tokens are worth nothing with the commit, its device at the homeserver goes soon
// after, and the consents that the reason withdraws with it. If the end is soft the device stays, until ForgetSoftEnds.
// It needs no homeserver to succeed.
func (s *Sessions) End(tx *store.Tx, by model.Actor, session model.Session, reason model.EndReason) error {
	if err := s.endRows(tx, by, session, reason); err != nil {
		return err
	}
	if err := Withdraw(tx, session.UserID, session.ClientID, reason); err != nil {
		return err
	}
	if reason.Soft() {
		tx.AfterCommit(func() { s.count(model.SoftEnd) })
		return nil
	}
	if session.DeviceID == "" {
		return nil
	}
	return DeleteDeviceJob.Enqueue(s.config.Outbox, tx, session.UserID, DeleteDevice{session.DeviceID})
}

// EndLive is End for the session of an id if it lives, and reports whether it did.
func (s *Sessions) EndLive(tx *store.Tx, by model.Actor, id string, reason model.EndReason) (ended model.Session, lived bool, err error) {
	ended, lived, err = live(tx, id)
	if err != nil || !lived {
		return ended, false, err
	}
	return ended, true, s.End(tx, by, ended, reason)
}

// EndStolen is EndLive for a session of which somebody else holds a secret too, a refresh token or the code of
// EndCodeReplay, that came from clientIP. The log tells of it. The end is soft: who of the two is the owner nobody
// knows, and the owner's keys must not be lost.
func (s *Sessions) EndStolen(tx *store.Tx, id string, reason model.EndReason, clientIP string) error {
	ended, lived, err := s.EndLive(tx, model.TheServer(), id, reason)
	if err != nil || !lived {
		return err
	}
	owner, err := tx.User(ended.UserID)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() {
		about := []any{model.LogUser(owner.Localpart, s.config.ServerName, owner.ID), "session_id", id, "client_ip", clientIP}
		switch reason {
		case model.EndCodeReplay:
			s.config.Logger.Warn("a code was presented again; its session is ended", about...)
		case model.EndApart:
			s.config.Logger.Warn("a session was refreshed from two places that have nothing to do with each other; it is ended", about...)
		default:
			s.config.Logger.Warn("a consumed refresh token was presented again; its session is ended", about...)
		}
	})
	return nil
}

// live finds the session of an id, and reports false for one that has ended, or never was.
func live(tx *store.Tx, id string) (session model.Session, lives bool, err error) {
	session, err = tx.LiveSession(id)
	if errors.Is(err, model.ErrNotFound) {
		return session, false, nil
	}
	return session, err == nil, err
}

// IsLive reports whether the session of an id lives.
func (s *Sessions) IsLive(ctx context.Context, id string) (lives bool, err error) {
	err = s.config.Store.View(ctx, func(tx *store.Tx) error {
		_, lives, err = live(tx, id)
		return err
	})
	return lives, err
}

// Withdraw takes back the consents of a user that do not outlive the end of a session for a reason: those
// by which its client, which is empty for none, could begin another one without a question. A code that
// one of them gave a moment ago is worthless with it; one that the user was asked for stands, as it is
// their later word, unless everything is taken back.
func Withdraw(tx *store.Tx, userID, clientID string, reason model.EndReason) error {
	switch extent := reason.Withdraws(); {
	case extent == model.WithdrawAll:
		if _, err := tx.DeleteAllConsents(userID); err != nil {
			return err
		}
		return tx.SpendAllCodes(userID)
	case extent == model.WithdrawClient && clientID != "":
		if _, err := tx.DeleteConsents(userID, clientID); err != nil {
			return err
		}
		return tx.SpendRememberedCodes(userID, clientID)
	}
	return nil
}

// EndAll ends all live sessions of a user and returns their number. No code of the user is worth anything
// afterwards, whichever browser it came from.
func (s *Sessions) EndAll(tx *store.Tx, by model.Actor, userID string, reason model.EndReason) (int, error) {
	return s.EndAllBut(tx, by, userID, "", reason)
}

// EndAllBut is EndAll without the session of an id, which is empty for none.
func (s *Sessions) EndAllBut(tx *store.Tx, by model.Actor, userID, keep string, reason model.EndReason) (int, error) {
	live, err := tx.LiveSessions(userID)
	if err != nil {
		return 0, err
	}
	live = slices.DeleteFunc(live, func(one model.Session) bool { return one.ID == keep })
	for _, session := range live {
		if err := s.End(tx, by, session, reason); err != nil {
			return 0, err
		}
	}
	if err := Withdraw(tx, userID, "", reason); err != nil { // of a user without a session too
		return 0, err
	}
	return len(live), tx.SpendAllCodes(userID)
}

// endRows ends a session in the store. It is remembered for a while with its access tokens, because Synapse honours
// those from memory as long as their device is there.
func (s *Sessions) endRows(tx *store.Tx, by model.Actor, session model.Session, reason model.EndReason) error {
	tokens, err := tx.LiveAccessTokens(session.ID)
	if err != nil {
		return err
	}
	spend := tx.DeleteTokens
	if reason.Soft() { // clients are told to keep their keys, by the rows of their tokens
		spend = tx.ExpireTokens
	}
	if err := spend(session.ID); err != nil {
		return err
	}
	over := retired{owner: model.Owner{UserID: session.UserID, DeviceID: session.DeviceID}, soft: reason.Soft(), at: tx.Now}
	tx.AfterCommit(func() { s.config.Registry.retireSession(session.ID, tokens, over) })
	if err := tx.EndSession(session.ID, reason); err != nil {
		return err
	}
	return tx.Record(by, model.ActionEndSession, session.UserID, session.Details().With("reason", reason))
}

// Live lists the live sessions of a user, oldest first.
func (s *Sessions) Live(ctx context.Context, userID string) (live []model.Session, err error) {
	err = s.config.Store.View(ctx, func(tx *store.Tx) error {
		live, err = tx.LiveSessions(userID)
		return err
	})
	return live, err
}

// EndOwn ends a live session of a user at their own wish. It returns an Error with code SessionNotFound
// for one that is over, or somebody else's (ACCT-4).
func (s *Sessions) EndOwn(ctx context.Context, by model.Actor, id string) error {
	err := s.config.Store.Update(ctx, func(tx *store.Tx) error {
		session, lives, err := live(tx, id)
		if err == nil && (!lives || session.UserID != by.ID) {
			err = model.NewError(model.SessionNotFound)
		}
		if err != nil {
			return err
		}
		return s.End(tx, by, session, model.EndSignedOut)
	})
	if err != nil {
		return err
	}
	s.Settle(ctx, by.ID)
	return nil
}

// EndSomeOwn ends the live sessions of a user among some ids at their own wish, all in one transaction, and returns their
// number. An id of a session that is over, or of somebody else's, is left out without a word (ACCT-4).
func (s *Sessions) EndSomeOwn(ctx context.Context, by model.Actor, ids []string) (ended int, err error) {
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		ended = 0
		for _, id := range ids {
			session, lives, err := live(tx, id)
			if err != nil {
				return err
			}
			if !lives || session.UserID != by.ID {
				continue
			}
			if err := s.End(tx, by, session, model.EndSignedOut); err != nil {
				return err
			}
			ended++
		}
		return nil
	})
	if err != nil || ended == 0 {
		return 0, err
	}
	s.Settle(ctx, by.ID)
	return ended, nil
}

// EndAllOwn ends all live sessions of a user at their own wish, and returns their number (ACCT-12).
func (s *Sessions) EndAllOwn(ctx context.Context, by model.Actor) (ended int, err error) {
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		ended, err = s.EndAll(tx, by, by.ID, model.EndSignedOut)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.Settle(ctx, by.ID)
	return ended, nil
}

// Logout ends the session of an access token that came from source (LEG-37), and tells whose it was. It works for locked
// users too (LEG-39), and for a session that the database may have forgotten, of which it does not tell whose it was.
func (s *Sessions) Logout(ctx context.Context, token string, source model.Source) (model.Owner, error) {
	t, err := s.Unexpired(token)
	if err != nil {
		return model.Owner{}, s.EndLost(ctx, err)
	}
	err = s.config.Store.Update(ctx, func(tx *store.Tx) error {
		_, ended, err := s.EndLive(tx, model.Holder(t.UserID, source), t.SessionID, model.EndLogout)
		if err == nil && !ended {
			err = unknownToken()
		}
		return err
	})
	if err != nil {
		return model.Owner{}, err
	}
	s.Settle(ctx, t.UserID)
	return t.Owner(), nil
}

// Revoke ends the session of a token that Find found, and that came from source. That it has ended already is no
// error: what the caller wants is so (REV-3). Nor is a token whose row was tidied away: whoever kept one for months
// must not have others lose their keys by it.
func (s *Sessions) Revoke(ctx context.Context, t model.Token, source model.Source) error {
	err := s.config.Store.Update(ctx, func(tx *store.Tx) error {
		if t.Rowless {
			if never, err := neverHad(tx, t.CreatedAt); err != nil || !never {
				return err
			}
		}
		_, _, err := s.EndLive(tx, model.Holder(t.UserID, source), t.SessionID, model.EndRevoked)
		return err
	})
	if err != nil {
		return err
	}
	s.Settle(ctx, t.UserID)
	return nil
}

// settleTime bounds how long a logout waits for its device to be gone.
const settleTime = 2 * time.Second

// Settle gives the homeserver a moment to delete what was ended, so that a logout that was answered
// is as a rule complete: until its device is gone Synapse may honour a token for two minutes from
// memory. The session has ended already; if the homeserver is slow or down, the outbox goes on.
func (s *Sessions) Settle(ctx context.Context, userID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	leave, err := s.config.Outbox.Enter(ctx, model.ToHomeserver.Lane(userID))
	if err != nil {
		s.config.Logger.Info("a logout did not wait for its device's deletion", s.logUser(userID), "error", errors.Unwrap(err))
		return
	}
	leave()
}

// logUser returns how a line of the log names the user of an id, for lines that are rare.
func (s *Sessions) logUser(id string) slog.Attr {
	var who model.User
	err := s.config.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		who, err = tx.User(id)
		return err
	})
	if err != nil {
		return slog.String("user_id", id) // the line is about something else
	}
	return model.LogUser(who.Localpart, s.config.ServerName, id)
}
