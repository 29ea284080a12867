package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// deviceName is the name that the homeserver has for a device; empty for none.
func (s *served) deviceName(id string) string {
	s.t.Helper()
	user, _ := s.synapse.User(s.user.Localpart)
	name, there := user.Devices[id]
	if !there {
		s.t.Fatalf("the homeserver does not have the device %q", id)
	}
	if name == nil {
		return ""
	}
	return *name
}

func TestStart(t *testing.T) {
	ctx := context.Background()
	t.Run("a_session_has_device_tokens_and_event", func(t *testing.T) { // TOK-15, SYN-8
		s := newServed(t, nil)
		p := s.asked("D")
		p.DeviceName = "Phone"
		session, tokens, err := s.sessions.Start(ctx, p)
		s.must(err)
		s.wantDevices("D")
		if name := s.deviceName("D"); name != "Phone" {
			t.Errorf("the device is called %q", name)
		}
		found, err := s.sessions.Introspect(tokens.Access)
		s.must(err)
		if found.DeviceID != "D" || found.UserID != s.user.ID || found.Localpart != "alice" || found.Scope != model.ScopeAPI {
			t.Errorf("the token is %+v", found)
		}
		row := s.row(session.ID)
		if row.DeviceName != "Phone" || row.LastIP != source.IP || row.UserAgent != source.UserAgent || !row.CreatedAt.Equal(s.clock.Now()) {
			t.Errorf("the session is %+v", row)
		}
		if e := s.lastEvent(); e.Action != model.ActionStartSession || e.By.Kind != model.ActorUser || e.By.ID != s.user.ID || e.By.Source.IP != source.IP || e.Details["session_id"] != session.ID {
			t.Errorf("the event is %+v", e)
		}
		s.wantJobs(0) // the note that would delete the device is gone
	})
	t.Run("a_device_is_made_up_if_the_client_names_none", func(t *testing.T) { // LEG-22
		s := newServed(t, nil)
		one, _ := s.login("")
		two, _ := s.login("")
		if len(one.DeviceID) != 10 || one.DeviceID == two.DeviceID {
			t.Errorf("the devices are %q and %q", one.DeviceID, two.DeviceID)
		}
	})
	t.Run("who_starts_it_for_somebody_is_in_the_event", func(t *testing.T) {
		s := newServed(t, nil)
		p := s.asked("D")
		p.By = model.Operator("0", "root")
		_, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		if e := s.lastEvent(); e.By.Kind != model.ActorOperator || e.By.Name != "root" {
			t.Errorf("the event is by %+v", e.By)
		}
	})
	t.Run("one_that_is_not_refreshable_has_one_token_that_does_not_expire", func(t *testing.T) {
		s := newServed(t, nil)
		p := s.asked("D")
		p.Refreshable = false
		_, tokens, err := s.sessions.Start(ctx, p)
		s.must(err)
		if tokens.Refresh != "" || tokens.Life != 0 {
			t.Errorf("got the tokens %+v", tokens)
		}
		s.clock.Move(10 * 365 * 24 * time.Hour)
		s.use(tokens.Access)
	})
	t.Run("an_existing_device_keeps_its_name", func(t *testing.T) { // LEG-23
		s := newServed(t, nil)
		p := s.asked("D")
		p.DeviceName = "Phone"
		_, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		p.DeviceName = "Laptop"
		session, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		if name := s.deviceName("D"); name != "Phone" || session.DeviceName != "Phone" {
			t.Errorf("the device is called %q, and %q in the session", name, session.DeviceName)
		}
	})
	t.Run("a_device_that_the_homeserver_lost_has_the_new_name", func(t *testing.T) {
		s := newServed(t, nil)
		p := s.asked("D")
		p.DeviceName = "Phone"
		_, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		s.synapse.DeleteDevices("alice", "D")
		p.DeviceName = "Laptop"
		session, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		if name := s.deviceName("D"); name != "Laptop" || session.DeviceName != "Laptop" {
			t.Errorf("the device is called %q, and %q in the session", name, session.DeviceName)
		}
	})
	t.Run("a_session_on_the_device_ends_and_the_device_stays", func(t *testing.T) { // SCOPE-9
		s := newServed(t, nil)
		old, tokens := s.login("D")
		other, _ := s.login("E")
		s.login("D")
		s.wantEnded(old.ID, model.EndReplaced)
		if !s.live(other.ID) {
			t.Error("the session on another device ended")
		}
		s.work()
		s.wantDevices("D", "E")
		_, err := s.sessions.MayPass(tokens.Access) // which the homeserver remembers
		wantCode(t, err, model.UnknownToken)
	})
	t.Run("without_a_device_none_is_made_and_no_session_replaced", func(t *testing.T) { // AMB-6
		s := newServed(t, nil)
		one, two := s.withoutDevice(), s.withoutDevice()
		if one.DeviceID != "" || !s.live(one.ID) || !s.live(two.ID) {
			t.Errorf("the first session is %+v", s.row(one.ID))
		}
		s.wantDevices()
		if calls := s.synapse.Calls(); len(calls) > 0 {
			t.Errorf("the homeserver was called: %+v", calls)
		}
	})
	t.Run("what_it_consumes_goes_with_it", func(t *testing.T) {
		s := newServed(t, nil)
		p := s.asked("D")
		var consumed string
		p.Consume = func(_ *store.Tx, session model.Session) error { consumed = session.ID; return nil }
		session, _, err := s.sessions.Start(ctx, p)
		s.must(err)
		if consumed != session.ID {
			t.Errorf("consumed for %q, the session is %q", consumed, session.ID)
		}
		p.DeviceID, p.Consume = "E", func(*store.Tx, model.Session) error { return model.NewError(model.InvalidGrant) }
		_, _, err = s.sessions.Start(ctx, p)
		wantCode(t, err, model.InvalidGrant)
		if live := s.sessionsOf(s.user.ID); len(live) != 1 {
			t.Errorf("%d sessions live", len(live))
		}
		s.work()
		s.wantDevices("D") // the other one was made, and is deleted
	})
}

func TestStartRefused(t *testing.T) {
	ctx := context.Background()
	refused := func(t *testing.T, s *served, p Start, code model.Code) {
		t.Helper()
		_, _, err := s.sessions.Start(ctx, p)
		wantCode(t, err, code)
		if live := s.sessionsOf(p.User.ID); len(live) != 0 {
			t.Errorf("there is a session: %+v", live)
		}
	}
	t.Run("device_ids_like_a_cross_signing_key", func(t *testing.T) { // LEG-24, SCOPE-17
		s := newServed(t, nil)
		for size, forbidden := range map[int]bool{31: false, 32: true, 33: false} {
			id := base64.RawStdEncoding.EncodeToString(slices.Repeat([]byte{0xfb}, size))
			_, _, err := s.sessions.Start(ctx, s.asked(id))
			if got := errors.Is(err, model.DeviceIDForbidden); got != forbidden || !forbidden && err != nil {
				t.Errorf("the form of %d bytes gave %v", size, err)
			}
		}
		wantCode(t, CheckDevice("a\x00b"), model.InvalidParam)
	})
	t.Run("invisible_characters_in_the_id_of_a_new_device", func(t *testing.T) { // HTTP-9
		s := newServed(t, nil)
		id := "D\u200b"
		refused(t, s, s.asked(id), model.InvalidParam)
		s.work()
		s.wantDevices() // what was made to find out is gone
		s.synapse.AddDevice("alice", id)
		s.login(id) // who has had such a device goes on
	})
	t.Run("a_homeserver_that_is_down", func(t *testing.T) {
		s := newServed(t, nil)
		s.down()
		refused(t, s, s.asked("D"), model.TemporarilyDown)
		if lines := s.log.Lines(t, 0, "could not be made"); len(lines) != 1 || lines[0]["user"] != "@alice:example.test" {
			t.Errorf("logged %v", lines)
		}
		s.synapse.Recover()
		s.login("D")
		s.work()
		s.wantDevices("D")
	})
	t.Run("an_answer_that_is_lost_leaves_no_device", func(t *testing.T) { // SYN-8
		s := newServed(t, nil)
		s.synapse.LoseAnswers(2) // the call is made once more by itself
		refused(t, s, s.asked("D"), model.TemporarilyDown)
		s.work()
		s.wantDevices()
	})
	t.Run("a_device_that_cannot_be_named", func(t *testing.T) {
		s := newServed(t, nil)
		gate := s.synapse.Hold("update_device_display_name")
		p := s.asked("D")
		p.DeviceName = "Phone"
		work, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error)
		go func() {
			_, _, err := s.sessions.Start(work, p)
			done <- err
		}()
		<-gate.Arrived
		cancel() // the client hangs up before the device is whole
		wantCode(t, <-done, model.TemporarilyDown)
		gate.Release()
		s.work()
		s.wantDevices()
	})
	t.Run("accounts_that_were_blocked_while_the_homeserver_was_asked", func(t *testing.T) { // MOD-5, MOD-11
		for code, block := range map[model.Code]func(*model.User, *served){
			model.UserLocked:      func(u *model.User, s *served) { u.LockedAt = s.clock.Now() },
			model.UserDeactivated: func(u *model.User, s *served) { u.DeactivatedAt = s.clock.Now() },
		} {
			s := newServed(t, nil)
			blocked := s.user
			block(&blocked, s)
			s.update(func(tx *store.Tx) error { return tx.UpdateUser(blocked) })
			refused(t, s, s.asked("D"), code)
			s.work()
			s.wantDevices()
		}
	})
	t.Run("a_device_that_was_there_before_keeps_its_keys", func(t *testing.T) { // as of a session that the database forgot
		s := newServed(t, nil)
		s.synapse.AddDevice("alice", "D")
		p := s.asked("D")
		p.Consume = func(*store.Tx, model.Session) error { return model.NewError(model.InvalidGrant) }
		refused(t, s, p, model.InvalidGrant)
		s.work()
		s.wantDevices("D")
	})
	t.Run("who_is_not_confirmed", func(t *testing.T) { // MOD-11
		s := newServed(t, func(c *Config) {
			c.Confirm = func(_ context.Context, u model.User) error {
				if u.Localpart == "alice" {
					return model.NewError(model.UserDeactivated)
				}
				return nil
			}
		})
		refused(t, s, s.asked("D"), model.UserDeactivated)
		p := s.asked("")
		p.NoDevice = true
		refused(t, s, p, model.UserDeactivated)
		s.wantDevices()
		s.wantJobs(0)
	})
	t.Run("accounts_that_are_not_there", func(t *testing.T) {
		s := newServed(t, nil)
		p := s.asked("")
		p.NoDevice, p.User.ID = true, "01J"
		if _, _, err := s.sessions.Start(ctx, p); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a_store_that_is_broken", func(t *testing.T) {
		s := newServed(t, nil)
		s.breakStore()
		_, _, err := s.sessions.Start(ctx, s.asked("D"))
		wantUnjudged(t, err)
		s.wantDevices()
	})
}

// TestStartReadOnly: nothing is written to a homeserver that another service still has.
func TestStartReadOnly(t *testing.T) {
	s := newServed(t, nil)
	s.login("D")
	s.configure(func(c *Config) { c.ReadOnly = true })
	s.synapse.ForgetCalls()
	session, _ := s.login("D")
	if !s.live(session.ID) {
		t.Error("the session is not live")
	}
	_, _, err := s.sessions.Start(context.Background(), s.asked("E"))
	wantCode(t, err, model.TemporarilyDown)
	if calls := s.synapse.Calls(); len(calls) > 0 {
		t.Errorf("the homeserver was called: %+v", calls)
	}
	s.wantJobs(0)
	if !strings.Contains(fmt.Sprint(err), "read-only") {
		t.Errorf("the error is %v", err)
	}
}
