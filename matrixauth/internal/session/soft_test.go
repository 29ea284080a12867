package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// endSoftly ends a session as a theft does.
func (s *served) endSoftly(session model.Session, reason model.EndReason) {
	s.t.Helper()
	s.update(func(tx *store.Tx) error { return s.sessions.EndStolen(tx, session.ID, reason, "203.0.113.5") })
	s.wantEnded(session.ID, reason)
}

// TestSoftEnd: a session that the server ends of its own accord costs nobody the keys. Its tokens are worth nothing, and
// everything else waits for the owner.
func TestSoftEnd(t *testing.T) {
	ctx := context.Background()
	soft := []model.EndReason{}
	for _, reason := range model.EndReasons {
		if reason.Soft() {
			soft = append(soft, reason)
		}
	}
	if len(soft) == 0 {
		t.Fatal("no end is soft")
	}
	for _, reason := range soft {
		t.Run(string(reason)+"_keeps_device_and_consent", func(t *testing.T) {
			s := newServed(t, nil)
			session, _ := s.ofClient("D", "app")
			s.consent("app")
			s.endSoftly(session, reason)
			s.work()
			s.wantDevices("D")
			s.wantJobs(0)
			if kept := s.consents(); len(kept) != 1 {
				t.Errorf("the consents %v are remembered", kept)
			}
		})
	}
	// What a token is worth is asked with its row and without: it may be of before tokens said what they are, and it may
	// have been tidied away.
	for name, forget := range map[string]func(*served, model.Session){
		"tokens_with_rows": func(*served, model.Session) {},
		"tokens_without_rows": func(s *served, session model.Session) {
			s.update(func(tx *store.Tx) error { return tx.DeleteTokens(session.ID) })
		},
	} {
		t.Run(name+"_are_worth_nothing_and_say_so_softly", func(t *testing.T) { // SOFT-3
			s := newServed(t, nil)
			session, tokens := s.ofClient("D", "app")
			s.endSoftly(session, model.EndReplay)
			forget(s, session)
			_, err := s.sessions.Access(tokens.Access)
			wantCode(t, err, model.ExpiredToken)
			_, err = s.sessions.Introspect(tokens.Access)
			wantCode(t, err, model.ExpiredToken)
			for _, token := range []string{tokens.Access, tokens.Refresh} {
				_, err = s.sessions.IntrospectOwn(token, "app")
				wantCode(t, err, model.UnknownToken)
				found, err := s.sessions.Find(token)
				s.must(err)
				if found.Owner() != (model.Owner{UserID: s.user.ID, Localpart: "alice", DeviceID: "D"}) || !found.Expired(s.clock.Now()) {
					t.Errorf("found %+v", found)
				}
				s.must(s.sessions.Revoke(ctx, found, source)) // REV-3
				s.wantEnded(session.ID, model.EndReplay)
			}
			_, err = s.sessions.Refresh(ctx, Refresh{Kind: model.OAuthSession, ClientID: "app", Token: tokens.Refresh, Source: source})
			wantCode(t, err, model.EndedSoftly)
			_, err = s.sessions.Refresh(ctx, Refresh{Kind: model.OAuthSession, ClientID: "other", Token: tokens.Refresh, Source: source})
			wantCode(t, err, model.RefreshRefused)
		})
	}
	t.Run("the_gateway_says_so_while_the_homeserver_remembers", func(t *testing.T) { // REV-9
		s := newServed(t, nil)
		session, tokens := s.login("D")
		next, err := s.refresh(tokens.Refresh)
		s.must(err)
		s.update(func(tx *store.Tx) error { return tx.DeleteTokens(session.ID) })
		s.endSoftly(session, model.EndApart)
		if !s.sessions.Watchful() {
			t.Error("no token is looked at although a session ended a moment ago")
		}
		for _, token := range []string{tokens.Access, next.Access} {
			owner, err := s.sessions.MayPass(token)
			wantCode(t, err, model.ExpiredToken)
			if owner.UserID != s.user.ID || owner.DeviceID != "D" {
				t.Errorf("it is said to be of %+v", owner)
			}
		}
		s.clock.Move(homeserverMemory + time.Second)
		if _, err := s.sessions.MayPass(tokens.Access); err != nil {
			t.Errorf("later: %v", err)
		}
	})
	t.Run("a_sign_in_takes_the_device", func(t *testing.T) { // LEG-22
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.endSoftly(session, model.EndReplay)
		next, _ := s.login("D")
		s.clock.Move(bound.KeepEndedSession + time.Hour)
		s.forgetSoftEnds(1)
		s.work()
		s.wantDevices("D")
		if !s.live(next.ID) {
			t.Error("the new session ended")
		}
	})
	t.Run("a_sign_in_that_fails_leaves_the_device_its_keys", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.endSoftly(session, model.EndReplay)
		s.down()
		_, _, err := s.sessions.Start(ctx, s.asked("D"))
		wantCode(t, err, model.TemporarilyDown)
		s.synapse.Recover()
		s.work()
		s.wantDevices("D")
	})
	t.Run("a_device_for_which_nobody_came_goes_after_30_days", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.endSoftly(session, model.EndReplay)
		s.clock.Move(bound.KeepEndedSession - time.Minute)
		s.retain()
		s.forgetSoftEnds(0)
		s.work()
		s.wantDevices("D")
		s.clock.Move(2 * time.Minute)
		s.retain() // which leaves it to the one that deletes the device
		s.row(session.ID)
		s.forgetSoftEnds(1)
		s.work()
		s.wantDevices()
		s.must(s.store.View(ctx, func(tx *store.Tx) error {
			if _, err := tx.Session(session.ID); !errors.Is(err, model.ErrNotFound) {
				t.Errorf("the row of the session: %v", err)
			}
			if rows, err := tx.SessionTokens(session.ID); err != nil || len(rows) != 0 {
				t.Errorf("%d rows of tokens are left, %v", len(rows), err)
			}
			return nil
		}))
		s.forgetSoftEnds(0)
	})
	t.Run("a_device_stays_on_which_a_forgotten_session_may_have_begun", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.endSoftly(session, model.EndReplay)
		s.clock.Move(time.Minute)
		s.update(func(tx *store.Tx) error { return tx.NoteWentBack(s.clock.Now()) })
		s.clock.Move(bound.KeepEndedSession)
		s.forgetSoftEnds(1)
		s.work()
		s.wantDevices("D")
	})
	t.Run("the_device_goes_by_the_last_end_on_it", func(t *testing.T) {
		s := newServed(t, nil)
		first, _ := s.login("D")
		s.endSoftly(first, model.EndReplay)
		s.clock.Move(20 * 24 * time.Hour)
		second, _ := s.login("D")
		s.endSoftly(second, model.EndApart)
		s.clock.Move(11 * 24 * time.Hour)
		s.forgetSoftEnds(1)
		s.work()
		s.wantDevices("D")
		s.clock.Move(20 * 24 * time.Hour)
		s.forgetSoftEnds(1)
		s.work()
		s.wantDevices()
	})
}

func (s *served) retain() {
	s.t.Helper()
	_, err := s.store.Retain(context.Background())
	s.must(err)
}

// forgetSoftEnds has the sessions removed that are due, and wants so many fewer rows.
func (s *served) forgetSoftEnds(want int) {
	s.t.Helper()
	count := func() (n int) {
		s.must(s.store.View(context.Background(), func(tx *store.Tx) error {
			all, err := tx.Sessions(store.SessionFilter{Ended: true, Limit: 100})
			n = len(all)
			return err
		}))
		return n
	}
	before := count()
	s.must(ForgetSoftEnds(context.Background(), s.store, s.sessions.config.Outbox))
	if removed := before - count(); removed != want {
		s.t.Errorf("%d sessions were removed, want %d", removed, want)
	}
}
