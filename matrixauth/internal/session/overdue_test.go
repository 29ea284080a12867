package session

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// imported writes a session that another server began on a device of alice's, which ends in lasts, or never if that is
// zero. Its tokens are of the kinds of the old API: an access token of five minutes and a refresh token.
func (s *served) imported(device string, lasts time.Duration) (session model.Session, access, refresh string) {
	s.t.Helper()
	now := s.clock.Now()
	access, refresh = model.NewToken(model.CompatAccess), model.NewToken(model.CompatRefresh)
	session = model.Session{ID: model.NewID(now), Kind: model.CompatSession, UserID: s.user.ID, DeviceID: device, Scope: model.ScopeAPI}
	if lasts != 0 {
		session.EndsAt = now.Add(lasts)
	}
	if device != "" {
		_, err := s.synapse.Client().UpsertDevice(context.Background(), s.user.Localpart, device, "")
		s.must(err)
	}
	s.update(func(tx *store.Tx) error {
		return tx.InsertImported(session, s.user.Localpart, []model.Token{
			{Hash: model.HashToken(access), Kind: model.CompatAccess, Pair: 1, ExpiresAt: now.Add(5 * time.Minute)},
			{Hash: model.HashToken(refresh), Kind: model.CompatRefresh, Pair: 1},
		})
	})
	return s.row(session.ID), access, refresh
}

// TestOverdue: a session that another server gave an end is over then, however often it is refreshed, and its owner keeps
// the keys, as there.
func TestOverdue(t *testing.T) {
	ctx := context.Background()
	t.Run("no_access_token_outlives_it", func(t *testing.T) {
		s := newServed(t, nil)
		session, access, refresh := s.imported("D", 12*time.Minute)
		for range 3 {
			s.clock.Move(4*time.Minute - time.Second)
			s.use(access)
			s.clock.Move(time.Second)
			if session.Overdue(s.clock.Now()) {
				break
			}
			tokens, err := s.refresh(refresh)
			s.must(err)
			access, refresh = tokens.Access, tokens.Refresh
		}
		_, err := s.sessions.Introspect(access)
		wantCode(t, err, model.ExpiredToken)
	})
	t.Run("the_last_access_token_ends_with_it", func(t *testing.T) {
		s := newServed(t, nil)
		_, _, refresh := s.imported("D", 12*time.Minute)
		s.clock.Move(10 * time.Minute)
		tokens, err := s.refresh(refresh)
		s.must(err)
		if tokens.Life != 2*time.Minute {
			t.Errorf("it is said to live %v", tokens.Life)
		}
		found, err := s.sessions.Access(tokens.Access)
		s.must(err)
		if left := found.ExpiresAt.Sub(s.clock.Now()); left != 2*time.Minute {
			t.Errorf("it lives %v", left)
		}
	})
	t.Run("an_access_token_that_never_expired_ends_with_it", func(t *testing.T) {
		s := newServed(t, nil)
		now, access := s.clock.Now(), model.NewToken(model.CompatAccess)
		s.update(func(tx *store.Tx) error {
			return tx.InsertImported(model.Session{ID: model.NewID(now), Kind: model.CompatSession, UserID: s.user.ID, EndsAt: now.Add(time.Hour), Scope: model.ScopeAPI}, "alice",
				[]model.Token{{Hash: model.HashToken(access), Kind: model.CompatAccess, Pair: 1}})
		})
		s.clock.Move(time.Hour - time.Second)
		s.use(access)
		s.clock.Move(time.Second)
		_, err := s.sessions.Introspect(access)
		wantCode(t, err, model.ExpiredToken)
	})
	t.Run("a_refresh_after_it_is_refused_softly_and_ends_it", func(t *testing.T) { // SOFT-3
		s := newServed(t, nil)
		session, _, refresh := s.imported("D", time.Hour)
		s.clock.Move(time.Hour)
		_, err := s.refresh(refresh)
		wantCode(t, err, model.EndedSoftly)
		s.wantEnded(session.ID, model.EndOverdue)
		s.work()
		s.wantDevices("D")
		_, err = s.refresh(refresh)
		wantCode(t, err, model.EndedSoftly)
	})
	t.Run("another_client_does_not_end_it", func(t *testing.T) {
		s := newServed(t, nil)
		session, _, refresh := s.imported("D", time.Hour)
		s.clock.Move(time.Hour)
		_, err := s.sessions.Refresh(ctx, Refresh{Kind: model.CompatSession, ClientID: "other", Token: refresh, Source: source})
		wantCode(t, err, model.RefreshRefused)
		if !s.live(session.ID) {
			t.Error("the session ended")
		}
	})
	t.Run("housekeeping_ends_it", func(t *testing.T) {
		s := newServed(t, nil)
		session, access, _ := s.imported("D", time.Hour)
		lasting, _, _ := s.imported("E", 0)
		s.clock.Move(time.Hour - time.Second)
		s.must(s.sessions.EndOverdue(ctx))
		if !s.live(session.ID) {
			t.Error("it ended before its time")
		}
		s.clock.Move(time.Second)
		s.must(s.sessions.EndOverdue(ctx))
		s.wantEnded(session.ID, model.EndOverdue)
		if !s.live(lasting.ID) {
			t.Error("a session without an end ended")
		}
		_, err := s.sessions.Introspect(access)
		wantCode(t, err, model.ExpiredToken)
		s.work()
		s.wantDevices("D", "E") // until ForgetSoftEnds
	})
	t.Run("housekeeping_ends_any_number", func(t *testing.T) {
		s := newServed(t, nil)
		s.update(func(tx *store.Tx) error {
			for range softEndBatch + 1 {
				if err := tx.InsertImported(model.Session{ID: model.NewID(tx.Now), Kind: model.CompatSession, UserID: s.user.ID, EndsAt: tx.Now, Scope: model.ScopeAPI}, "alice", nil); err != nil {
					return err
				}
			}
			return nil
		})
		s.must(s.sessions.EndOverdue(ctx))
		live, err := s.sessions.Live(ctx, s.user.ID)
		s.must(err)
		if len(live) > 0 {
			t.Errorf("%d sessions live", len(live))
		}
	})
}
