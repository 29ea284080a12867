package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// consent has the user remember a consent to a client.
func (b *bench) consent(clientID string) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		return tx.SaveConsent(model.Consent{UserID: b.user.ID, ClientID: clientID, RedirectURI: "https://" + clientID + ".test/", Scope: model.ScopeAPI})
	})
}

// consents lists the clients to which a consent of the user is remembered.
func (b *bench) consents() (clients []string) {
	b.t.Helper()
	b.must(b.store.View(context.Background(), func(tx *store.Tx) error {
		all, err := tx.Consents(b.user.ID)
		for _, c := range all {
			clients = append(clients, c.ClientID)
		}
		return err
	}))
	slices.Sort(clients)
	return clients
}

// approved keeps requests that the user approved a moment ago, by ids that begin with the client and say how.
func (b *bench) approved(ids ...string) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		for _, id := range ids {
			client, how, _ := strings.Cut(id, ", ")
			a := model.Authorization{ID: id, ClientID: client, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}
			if err := tx.InsertAuthorization(a); err != nil {
				return err
			}
			a.UserID, a.Remembered, a.CodeExpiresAt = b.user.ID, how == "remembered", tx.Now.Add(time.Minute)
			a.CodeHash, a.AnswerHash = model.HashToken(id), model.HashToken(id)
			if _, err := tx.ApproveAuthorization(a); err != nil {
				return err
			}
		}
		return nil
	})
}

// spent lists those of the requests whose code is worth nothing any more.
func (b *bench) spent(ids ...string) (spent []string) {
	b.t.Helper()
	b.must(b.store.View(context.Background(), func(tx *store.Tx) error {
		for _, id := range ids {
			a, err := tx.Authorization(id)
			if err != nil {
				return err
			}
			if !a.ConsumedAt.IsZero() {
				spent = append(spent, id)
			}
		}
		return nil
	}))
	return spent
}

// ofClient starts a session of an OAuth client.
func (s *served) ofClient(device, clientID string) (model.Session, Tokens) {
	s.t.Helper()
	p := s.asked(device)
	p.Kind, p.ClientID = model.OAuthSession, clientID
	session, tokens, err := s.sessions.Start(context.Background(), p)
	s.must(err)
	return session, tokens
}

func TestEnd(t *testing.T) {
	ctx := context.Background()
	end := func(s *served, session model.Session, reason model.EndReason) {
		s.t.Helper()
		s.update(func(tx *store.Tx) error { return s.sessions.End(tx, model.TheServer(), session, reason) })
	}
	t.Run("tokens_are_gone_at_once_and_the_device_soon", func(t *testing.T) { // REV-9
		s := newServed(t, nil)
		session, tokens := s.login("D")
		other, _ := s.login("E")
		end(s, session, model.EndLogout)
		s.wantEnded(session.ID, model.EndLogout)
		for _, token := range []string{tokens.Access, tokens.Refresh} {
			_, err := s.sessions.Find(token)
			wantCode(t, err, model.UnknownToken)
		}
		s.work()
		s.wantDevices("E")
		if !s.live(other.ID) {
			t.Error("the other session ended")
		}
		s.wantJobs(0)
	})
	t.Run("the_event_says_why_and_by_whom", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		end(s, session, model.EndLogout)
		if e := s.lastEvent(); e.Action != model.ActionEndSession || e.By.Kind != model.ActorServer || e.Details["reason"] != string(model.EndLogout) || e.Details["device_id"] != "D" {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run("without_a_device_none_is_deleted", func(t *testing.T) { // AMB-6
		s := newServed(t, nil)
		session := s.withoutDevice()
		end(s, session, model.EndLogout)
		s.wantEnded(session.ID, model.EndLogout)
		s.wantJobs(0)
	})
	t.Run("consents_go_as_far_as_the_reason_says", func(t *testing.T) {
		for _, reason := range model.EndReasons {
			s := newServed(t, nil)
			session, _ := s.ofClient("D", "app")
			s.consent("app")
			s.consent("other")
			codes := []string{"app, asked", "app, remembered", "other, remembered"}
			s.approved(codes...)
			s.clock.Move(time.Second)
			end(s, session, reason)
			want := map[model.Withdrawal][]string{
				model.WithdrawNone: {"app", "other"}, model.WithdrawClient: {"other"}, model.WithdrawAll: nil,
			}[reason.Withdraws()]
			if got := s.consents(); !slices.Equal(got, want) {
				t.Errorf("%s left the consents to %q, want %q", reason, got, want)
			}
			spent := map[model.Withdrawal][]string{
				model.WithdrawNone: nil, model.WithdrawClient: codes[1:2], model.WithdrawAll: codes,
			}[reason.Withdraws()]
			if got := s.spent(codes...); !slices.Equal(got, spent) {
				t.Errorf("%s made the codes %q worthless, want %q", reason, got, spent)
			}
		}
	})
	t.Run("a_session_of_no_client_takes_no_consent", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.consent("")
		end(s, session, model.EndLogout)
		if got := s.consents(); len(got) != 1 {
			t.Errorf("the consents are %q", got)
		}
	})
	t.Run("all_of_a_user_end", func(t *testing.T) {
		s := newServed(t, nil)
		bob := s.secondUser("bob")
		s.login("D")
		s.login("E")
		s.withoutDevice()
		s.consent("app")
		endAll := func(userID string, want int) {
			t.Helper()
			s.update(func(tx *store.Tx) error {
				n, err := s.sessions.EndAll(tx, model.TheServer(), userID, model.EndPassword)
				if n != want {
					t.Errorf("%d sessions ended, want %d", n, want)
				}
				return err
			})
		}
		endAll(bob.ID, 0)
		if len(s.consents()) != 1 || len(s.sessionsOf(s.user.ID)) != 3 {
			t.Error("what another user has ended")
		}
		endAll(s.user.ID, 3)
		if len(s.consents()) != 0 || len(s.sessionsOf(s.user.ID)) != 0 {
			t.Error("something is left")
		}
		s.work()
		s.wantDevices()
		s.consent("app")
		endAll(s.user.ID, 0) // a user without a session has consents too
		if len(s.consents()) != 0 {
			t.Error("the consents of a user without a session are left")
		}
	})
	t.Run("live_are_those_that_have_not_ended", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		isLive := func(id string, want bool) {
			t.Helper()
			if live, err := s.sessions.IsLive(ctx, id); err != nil || live != want {
				t.Errorf("live: %v, %v", live, err)
			}
		}
		isLive(session.ID, true)
		isLive("no session", false)
		end(s, session, model.EndLogout)
		isLive(session.ID, false)
		s.breakStore()
		_, err := s.sessions.IsLive(ctx, session.ID)
		wantUnjudged(t, err)
		_, err = s.sessions.Live(ctx, s.user.ID)
		wantUnjudged(t, err)
	})
	t.Run("an_end_that_finds_nobody_reports_so", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		for i, want := range []bool{true, false} {
			s.update(func(tx *store.Tx) error {
				ended, lived, err := s.sessions.EndLive(tx, model.TheServer(), session.ID, model.EndIdle)
				if lived != want || lived && ended.ID != session.ID {
					t.Errorf("time %d: %v, %+v", i, lived, ended)
				}
				return err
			})
		}
		s.wantEnded(session.ID, model.EndIdle)
	})
}

// TestEndStolen: the log tells of a secret that somebody else has too, and of which it was.
func TestEndStolen(t *testing.T) { // REF-5
	for reason, text := range map[model.EndReason]string{
		model.EndReplay:     "a consumed refresh token was presented again; its session is ended",
		model.EndApart:      "a session was refreshed from two places that have nothing to do with each other; it is ended",
		model.EndCodeReplay: "a code was presented again; its session is ended",
	} {
		s := newServed(t, nil)
		session, _ := s.login("D")
		steal := func(id string) {
			t.Helper()
			s.update(func(tx *store.Tx) error { return s.sessions.EndStolen(tx, id, reason, "203.0.113.5") })
		}
		steal("no session")
		if s.log.String() != "" {
			t.Errorf("the end of nothing logged %s", s.log)
		}
		steal(session.ID)
		s.wantEnded(session.ID, reason)
		steal(session.ID) // which has ended
		lines := s.log.Lines(t, 0, "is ended")
		if len(lines) != 1 || lines[0]["msg"] != text || lines[0]["level"] != "WARN" || lines[0]["client_ip"] != "203.0.113.5" || lines[0]["session_id"] != session.ID || lines[0]["user"] != "@alice:example.test" {
			t.Errorf("%s logged %v", reason, lines)
		}
	}
}

func TestEndOwn(t *testing.T) { // ACCT-4, ACCT-12
	ctx := context.Background()
	t.Run("the_device_is_gone_with_the_answer", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.login("E")
		s.must(s.sessions.EndOwn(ctx, model.Holder(s.user.ID, source), session.ID))
		s.wantEnded(session.ID, model.EndSignedOut)
		s.wantDevices("E")
		if e := s.lastEvent(); e.By.ID != s.user.ID || e.By.Source.IP != source.IP {
			t.Errorf("the event is by %+v", e.By)
		}
	})
	t.Run("one_that_is_over_or_of_somebody_else_is_not_found", func(t *testing.T) {
		s := newServed(t, nil)
		bob := s.secondUser("bob")
		session, _ := s.login("D")
		wantCode(t, s.sessions.EndOwn(ctx, model.Holder(bob.ID, source), session.ID), model.SessionNotFound)
		if !s.live(session.ID) {
			t.Fatal("somebody else ended the session")
		}
		wantCode(t, s.sessions.EndOwn(ctx, model.Holder(s.user.ID, source), "no session"), model.SessionNotFound)
		s.must(s.sessions.EndOwn(ctx, model.Holder(s.user.ID, source), session.ID))
		wantCode(t, s.sessions.EndOwn(ctx, model.Holder(s.user.ID, source), session.ID), model.SessionNotFound)
	})
	t.Run("all_are_counted", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.login("E")
		for _, want := range []int{2, 0} {
			if n, err := s.sessions.EndAllOwn(ctx, model.Holder(s.user.ID, source)); err != nil || n != want {
				t.Errorf("%d sessions ended, %v; want %d", n, err, want)
			}
		}
		s.wantEnded(session.ID, model.EndSignedOut)
		s.wantDevices()
	})
	t.Run("a_store_that_is_broken_ends_nothing", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.breakStore()
		wantUnjudged(t, s.sessions.EndOwn(ctx, model.Holder(s.user.ID, source), session.ID))
		n, err := s.sessions.EndAllOwn(ctx, model.Holder(s.user.ID, source))
		wantUnjudged(t, err)
		if n != 0 {
			t.Errorf("%d ended", n)
		}
	})
}

func TestLogout(t *testing.T) { // LEG-37
	ctx := context.Background()
	t.Run("it_ends_the_session_of_the_token", func(t *testing.T) {
		s := newServed(t, nil)
		session, tokens := s.login("D")
		owner, err := s.sessions.Logout(ctx, tokens.Access, source)
		s.must(err)
		if owner.UserID != s.user.ID || owner.Localpart != "alice" || owner.DeviceID != "D" {
			t.Errorf("the owner is %+v", owner)
		}
		s.wantEnded(session.ID, model.EndLogout)
		s.wantDevices()
		if e := s.lastEvent(); e.By.ID != s.user.ID || e.By.Source.IP != source.IP {
			t.Errorf("the event is by %+v", e.By)
		}
		_, err = s.sessions.Logout(ctx, tokens.Access, source)
		wantCode(t, err, model.UnknownToken)
	})
	t.Run("it_works_for_locked_users", func(t *testing.T) { // LEG-39
		s := newServed(t, nil)
		session, tokens := s.login("D")
		s.sessions.SetLocked(s.user.ID, true)
		_, err := s.sessions.Logout(ctx, tokens.Access, source)
		s.must(err)
		s.wantEnded(session.ID, model.EndLogout)
	})
	t.Run("an_expired_token_ends_nothing", func(t *testing.T) { // SOFT-3
		s := newServed(t, nil)
		session, tokens := s.login("D")
		s.clock.Move(5 * time.Minute)
		_, err := s.sessions.Logout(ctx, tokens.Access, source)
		wantCode(t, err, model.ExpiredToken)
		_, err = s.sessions.Logout(ctx, tokens.Refresh, source)
		wantCode(t, err, model.UnknownToken)
		if !s.live(session.ID) {
			t.Error("the session ended")
		}
	})
	t.Run("a_session_that_ended_a_moment_ago_is_over", func(t *testing.T) {
		s := newServed(t, nil)
		session, tokens := s.login("D")
		s.update(func(tx *store.Tx) error { return tx.EndSession(session.ID, model.EndReplay) }) // while the token was looked at
		_, err := s.sessions.Logout(ctx, tokens.Access, source)
		wantCode(t, err, model.UnknownToken)
		s.wantEnded(session.ID, model.EndReplay)
	})
	t.Run("a_homeserver_that_is_down_does_not_hinder_it", func(t *testing.T) {
		s := newServed(t, nil)
		session, tokens := s.login("D")
		s.down()
		_, err := s.sessions.Logout(ctx, tokens.Access, source)
		s.must(err)
		s.wantEnded(session.ID, model.EndLogout)
		lines := s.log.Lines(t, 0, "did not wait")
		if len(lines) != 1 || lines[0]["user"] != "@alice:example.test" || lines[0]["user_id"] != s.user.ID || !strings.Contains(fmt.Sprint(lines[0]["error"]), "502") {
			t.Errorf("logged %v", lines)
		}
		s.synapse.Recover()
		s.clock.Move(time.Hour)
		s.work()
		s.wantDevices()
	})
	t.Run("a_user_who_is_not_there_is_named_by_the_id", func(t *testing.T) {
		s := newServed(t, nil)
		if got := s.sessions.logUser("01J").String(); got != "user_id=01J" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a_caller_who_is_gone_does_not_cut_the_wait_short", func(t *testing.T) {
		s := newServed(t, nil)
		session, _ := s.login("D")
		s.update(func(tx *store.Tx) error { return s.sessions.End(tx, model.TheServer(), session, model.EndLogout) })
		gone, cancel := context.WithCancel(ctx)
		cancel()
		s.sessions.Settle(gone, s.user.ID)
		s.wantDevices()
		if s.log.String() != "" {
			t.Errorf("logged %s", s.log)
		}
	})
}

func TestRevoke(t *testing.T) { // REV-2, REV-3
	s := newServed(t, nil)
	session, tokens := s.login("D")
	found, err := s.sessions.Find(tokens.Refresh)
	s.must(err)
	s.must(s.sessions.Revoke(context.Background(), found, source))
	s.wantEnded(session.ID, model.EndRevoked)
	s.wantDevices()
	if e := s.lastEvent(); e.By.ID != s.user.ID || e.By.Source.IP != source.IP {
		t.Errorf("the event is by %+v", e.By)
	}
	s.must(s.sessions.Revoke(context.Background(), found, source)) // what has ended already is as they want it
	s.breakStore()
	wantUnjudged(t, s.sessions.Revoke(context.Background(), found, source))
}

// TestDeleteDevice: a job may run late, twice, or after the crash of a login.
func TestDeleteDevice(t *testing.T) {
	note := func(s *served, userID, device string) {
		s.update(func(tx *store.Tx) error {
			_, err := DeleteDeviceJob.Note(tx, userID, DeleteDevice{device})
			return err
		})
		s.work()
	}
	t.Run("a_device_that_has_a_session_stays", func(t *testing.T) {
		s := newServed(t, nil)
		s.login("D")
		note(s, s.user.ID, "D")
		s.wantDevices("D")
		s.wantJobs(0)
	})
	t.Run("one_that_has_none_goes", func(t *testing.T) {
		s := newServed(t, nil)
		s.login("D")
		s.synapse.AddDevice("alice", "E")
		note(s, s.user.ID, "E")
		note(s, s.user.ID, "E") // twice
		s.wantDevices("D")
		s.wantJobs(0)
	})
	t.Run("the_homeserver_does_not_know_the_user", func(t *testing.T) {
		s := newServed(t, nil)
		bob := s.secondUser("bob")
		note(s, bob.ID, "D")
		s.wantJobs(0)
	})
	t.Run("a_homeserver_that_is_down_is_asked_again", func(t *testing.T) {
		s := newServed(t, nil)
		s.synapse.AddDevice("alice", "D")
		s.down()
		note(s, s.user.ID, "D")
		s.wantJobs(1)
		if lines := s.log.Lines(t, 0, "tried again"); len(lines) != 1 || lines[0]["device_id"] != "D" {
			t.Errorf("logged %v", lines)
		}
	})
	t.Run("a_user_who_is_not_there_is_no_reason_to_try_again", func(t *testing.T) {
		s := newServed(t, nil)
		note(s, "01J", "D")
		state, err := s.sessions.config.Outbox.State(context.Background())
		s.must(err)
		if state.SetAside != 1 || state.Waiting != 0 {
			t.Errorf("the outbox is %+v", state)
		}
	})
}
