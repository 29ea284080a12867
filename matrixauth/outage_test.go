package matrixauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// outages are the ways in which a homeserver is not there, each with its end.
var outages = map[string]struct{ begin, end func(*house) }{
	"stopped":            {func(h *house) { h.fake.Stop() }, func(h *house) { h.fake.Resume() }},
	"behind a proxy":     {func(h *house) { h.fake.Fail(http.StatusBadGateway, "") }, func(h *house) { h.fake.Recover() }},
	"proxy says no":      {func(h *house) { h.fake.Fail(http.StatusForbidden, "") }, func(h *house) { h.fake.Recover() }},
	"internal error":     {func(h *house) { h.fake.Fail(http.StatusInternalServerError, "M_UNKNOWN") }, func(h *house) { h.fake.Recover() }},
	"limits":             {func(h *house) { h.fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") }, func(h *house) { h.fake.Recover() }},
	"other secret":       {func(h *house) { h.fake.Fail(http.StatusForbidden, "M_UNKNOWN") }, func(h *house) { h.fake.Recover() }},
	"without delegation": {func(h *house) { h.fake.Fail(http.StatusNotFound, "M_UNRECOGNIZED") }, func(h *house) { h.fake.Recover() }},
	"hanging up":         {func(h *house) { h.fake.Abort() }, func(h *house) { h.fake.Recover() }},
	"losing its answers": {func(h *house) { h.fake.LoseAnswers(1 << 20) }, func(h *house) { h.fake.LoseAnswers(0) }},
}

// wantDown checks the answer to a login that the homeserver let down: it says when to try again, and is
// no reason for a client to give up its session (SYN-15, LEG-9).
func wantDown(t *testing.T, a answer) {
	t.Helper()
	wantWire(t, web.MatrixWire, a)
	if want := `{"errcode":"M_UNKNOWN","error":"The homeserver cannot be reached right now; try again","retry_after_ms":5000}`; a.status != http.StatusServiceUnavailable ||
		a.body != want || a.header.Get("Retry-After") != "5" {
		t.Fatalf("got %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
	}
}

// TestHomeserverDown: logins wait for the homeserver and leave nothing behind, logouts do not wait.
func TestHomeserverDown(t *testing.T) {
	for name, outage := range outages {
		t.Run("login/"+name, func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			outage.begin(h)
			wantDown(t, h.tryLogin("alice", object{"device_id": "PHONE"}))
			wantDown(t, h.tryLogin("alice", nil))
			h.guess("alice", "").want(t, http.StatusForbidden, "M_FORBIDDEN")
			h.wantSessions("alice")
			outage.end(h)
			h.settle()
			h.wantSessions("alice")
			h.wantDevices("alice")
			if aside := h.setAside(); len(aside) != 0 {
				t.Errorf("set aside: %+v", aside)
			}
			s := h.loginOn("alice", "PHONE")
			h.settle()
			h.wantDevices("alice", "PHONE")
			h.wantActive(s.AccessToken, "PHONE")
		})
		t.Run("login on a device in use/"+name, func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
			outage.begin(h)
			wantDown(t, h.tryLogin("alice", object{"device_id": "PHONE"}))
			outage.end(h)
			h.settle()
			h.wantActive(s.AccessToken, "PHONE")
			h.signedIn(h.refresh(s.RefreshToken))
			h.wantDevices("alice", "PHONE")
		})
		t.Run("logout/"+name, func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			s := h.loginOn("alice", "PHONE")
			outage.begin(h)
			h.logout(s.AccessToken).want(t, http.StatusOK, "")
			h.wantInactive(s.AccessToken)
			h.wantSessions("alice")
			if h.waiting() != 1 {
				t.Errorf("%d jobs wait, want 1", h.waiting())
			}
			outage.end(h)
			h.settle()
			h.wantDevices("alice")
		})
		// The deletion that waited must not hit the device of the newer login.
		t.Run("logout, then login on the same device/"+name, func(t *testing.T) {
			h := newHouse(t, unlimited)
			h.add("alice")
			h.login("alice", object{"device_id": "OTHER", "initial_device_display_name": "Other"})
			s := h.loginOn("alice", "PHONE")
			outage.begin(h)
			h.logout(s.AccessToken).want(t, http.StatusOK, "")
			wantDown(t, h.tryLogin("alice", object{"device_id": "PHONE"}))
			outage.end(h)
			again := h.loginOn("alice", "PHONE")
			h.wantDevices("alice", "OTHER", "PHONE")
			h.settle()
			h.wantDevices("alice", "OTHER", "PHONE")
			h.wantActive(again.AccessToken, "PHONE")
		})
	}
	t.Run("an account that the homeserver never heard of", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.fake.Stop()
		act(h, AddUser, NewUser{Localpart: "alice", Password: alicesPassword, Force: true})
		h.pass()
		wantDown(t, h.tryLogin("alice", nil))
		h.fake.Resume()
		// The job's next try is far off; a login does not wait for that.
		s := h.loginOn("alice", "PHONE")
		h.wantDevices("alice", "PHONE")
		h.wantActive(s.AccessToken, "PHONE")
	})
	t.Run("jobs survive days and a restart, and run in order", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.fake.Stop()
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "a@example.org"})
		act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "b@example.org"})
		for range 500 {
			h.clock.Move(10 * time.Minute)
			h.pass()
		}
		h.crash()
		if h.waiting() != 3 {
			t.Fatalf("%d jobs wait, want 3", h.waiting())
		}
		h.fake.ForgetCalls()
		h.fake.Resume()
		// As soon as one job is through, the others no longer wait for their own time.
		h.clock.Move(10 * time.Minute)
		h.pass()
		var ops []string
		for _, c := range h.fake.Calls() {
			ops = append(ops, c.Op)
		}
		if got := strings.Join(ops, " "); got != "delete_device provision_user provision_user" {
			t.Errorf("calls were %q", got)
		}
		if u, _ := h.fake.User("alice"); len(u.Devices) != 0 || len(u.Emails) != 2 {
			t.Errorf("at the homeserver: %+v", u)
		}
	})
	t.Run("a success hastens the jobs of others", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		alice, bob := h.loginOn("alice", "PHONE"), h.loginOn("bob", "PHONE")
		h.fake.Stop()
		h.logout(alice.AccessToken).want(t, http.StatusOK, "")
		h.logout(bob.AccessToken).want(t, http.StatusOK, "")
		h.fake.Resume()
		h.loginOn("alice", "LAPTOP")
		h.pass()
		h.wantDevices("bob")
	})
}

// TestSlowHomeserver: who waits for the homeserver holds up nobody else.
func TestSlowHomeserver(t *testing.T) {
	t.Run("another user logs in", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		s := h.loginOn("alice", "PHONE")
		gate := h.fake.Hold("delete_device")
		done := make(chan answer, 1)
		go func() { done <- h.logout(s.AccessToken) }()
		<-gate.Arrived
		h.wantInactive(s.AccessToken)
		h.loginOn("bob", "PHONE")
		gate.Release()
		(<-done).want(t, http.StatusOK, "")
		h.wantDevices("alice")
	})
	t.Run("a logout is answered although its device is not gone yet", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		gate := h.fake.Hold("delete_device")
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		gate.Release()
		h.settle()
		h.wantDevices("alice")
	})
	t.Run("a client that hangs up leaves nothing behind", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		gate := h.fake.Hold("upsert_device")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.site.URL+loginPath, strings.NewReader(loginBody("alice", alicesPassword, object{"device_id": "PHONE"})))
		h.must(err)
		done := make(chan error, 1)
		go func() {
			res, err := h.http.Do(r)
			if err == nil {
				err = fmt.Errorf("got %d, want no answer: %w", res.StatusCode, res.Body.Close())
			} else {
				err = nil
			}
			done <- err
		}()
		<-gate.Arrived
		cancel()
		h.must(<-done)
		// The lane is free as soon as the server has noticed; until then the gate must stay shut.
		leave, err := h.outbox.Enter(t.Context(), model.ToHomeserver.Lane(h.userID("alice")))
		h.must(err)
		leave()
		h.settle()
		h.wantSessions("alice")
		h.wantDevices("alice")
		gate.Release()
	})
}

// TestCrash: the server dies between two steps; what was promised is kept when it is back.
func TestCrash(t *testing.T) {
	dieAfter := func(h *house, op string) {
		h.tap.set(func(done string) {
			if done == op {
				h.tap.set(nil)
				h.die()
			}
		})
	}
	t.Run("between the making of the device and the commit", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		dieAfter(h, "upsert_device")
		if a := h.tryLogin("alice", object{"device_id": "PHONE"}); a.status < 500 || strings.Contains(a.body, "database") {
			t.Errorf("got %d %s", a.status, a.body)
		}
		h.wantDevices("alice", "PHONE")
		h.open()
		h.settle()
		h.wantDevices("alice")
		h.wantSessions("alice")
	})
	t.Run("the same, and the client is back before the clean-up", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		dieAfter(h, "upsert_device")
		h.tryLogin("alice", object{"device_id": "PHONE"})
		h.open()
		s := h.loginOn("alice", "PHONE")
		h.settle()
		h.wantDevices("alice", "PHONE")
		h.wantActive(s.AccessToken, "PHONE")
	})
	t.Run("the same on a device in use", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		dieAfter(h, "upsert_device")
		h.tryLogin("alice", object{"device_id": "PHONE"})
		h.open()
		h.settle()
		h.wantDevices("alice", "PHONE")
		h.wantActive(s.AccessToken, "PHONE")
	})
	t.Run("between the deletion of a device and the note of it", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		dieAfter(h, "delete_device")
		h.logout(s.AccessToken)
		h.open()
		h.wantInactive(s.AccessToken)
		again := h.loginOn("alice", "PHONE")
		h.settle()
		h.wantDevices("alice", "PHONE")
		h.wantActive(again.AccessToken, "PHONE")
	})
	t.Run("between the creation of an account and its provisioning", func(t *testing.T) {
		h := newHouse(t, unlimited)
		act(h, AddUser, NewUser{Localpart: "alice", Password: alicesPassword, Email: "a@example.org"})
		h.crash()
		h.loginOn("alice", "PHONE")
		if u, _ := h.fake.User("alice"); len(u.Emails) != 1 {
			t.Errorf("at the homeserver: %+v", u)
		}
	})
	t.Run("requests after the end", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.must(h.core.Close())
		for _, a := range []answer{h.tryLogin("alice", nil), h.refresh("mcr_x"), h.logout(s.AccessToken), h.do(call{path: loginPath})} {
			a.want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
			if a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
		}
		if a := h.introspect(s.AccessToken); a.status != http.StatusServiceUnavailable {
			t.Errorf("introspection: got %d %s", a.status, a.body)
		}
		h.open()
		h.wantActive(s.AccessToken, "PHONE")
	})
}

// TestRefusedForGood: a job that the homeserver refuses is set aside for the operator, and the others go on.
func TestRefusedForGood(t *testing.T) {
	t.Run("a deletion", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		alice, bob := h.loginOn("alice", "PHONE"), h.loginOn("bob", "PHONE")
		h.tap.refuseAll("delete_device")
		h.logout(alice.AccessToken).want(t, http.StatusOK, "")
		h.tap.refuseAll("")
		aside := h.setAside()
		if len(aside) != 1 || aside[0].Kind != model.JobDeleteDevice || !strings.Contains(aside[0].LastError, "M_INVALID_PARAM") || h.waiting() != 0 {
			t.Fatalf("set aside: %+v; %d wait", aside, h.waiting())
		}
		again := h.loginOn("alice", "LAPTOP")
		h.wantActive(again.AccessToken, "LAPTOP")
		h.logout(bob.AccessToken).want(t, http.StatusOK, "")
		h.wantDevices("bob")
		h.crash()
		h.settle()
		if len(h.setAside()) != 1 {
			t.Error("it was forgotten")
		}
		h.clock.Move(31 * 24 * time.Hour)
		if _, err := h.store.Retain(t.Context()); err != nil || len(h.setAside()) != 0 {
			t.Errorf("after a month: %v, %d jobs set aside", err, len(h.setAside()))
		}
	})
	t.Run("an account that an application service has", func(t *testing.T) {
		h := newHouse(t, unlimited)
		if _, err := AddUser.Do(t.Context(), h.ops, NewUser{Localpart: "bridge_x", Password: alicesPassword}); err == nil || !isRefused(err) {
			t.Errorf("got %v, want a refusal", err)
		}
		h.fake.Stop()
		act(h, AddUser, NewUser{Localpart: "bridge_x", Password: alicesPassword, Force: true})
		h.fake.Resume()
		act(h, AddUser, NewUser{Localpart: "alice", Password: alicesPassword})
		h.settle()
		for range 3 {
			h.tryLogin("bridge_x", nil).want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
		}
		h.settle()
		if aside := h.setAside(); len(aside) != 1 || aside[0].Kind != model.JobProvisionUser {
			t.Errorf("set aside: %+v", aside)
		}
		h.loginOn("alice", "PHONE")
	})
}

// TestReadOnly: a homeserver that is only looked at is never written to. Who has what is needed there
// signs in; anybody else is told to wait, and nothing is left that would harm a device later.
func TestReadOnly(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "bob")
	phone := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
	bob := h.loginOn("bob", "PHONE")
	// A device that the homeserver has from elsewhere, as in the rehearsal of a migration.
	h.fake.Seed(fake.User{Localpart: "alice", Devices: map[string]*string{"PHONE": nil, "ELSEWHERE": nil}})
	h.config.Kind = SynapseReadOnly
	h.crash()
	h.fake.ForgetCalls()
	before := h.rows()
	for _, device := range []string{"NEW", "ELSEWHERE"} {
		h.tryLogin("alice", object{"device_id": device}).want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	}
	h.tryLogin("alice", nil).want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	if after := h.rows(); after != before {
		t.Errorf("a login that had to wait left rows:\n%s\nwant\n%s", after, before)
	}
	h.wantActive(phone.AccessToken, "PHONE")
	h.signedIn(h.refresh(phone.RefreshToken))
	again := h.loginOn("alice", "PHONE")
	h.wantInactive(phone.AccessToken)
	h.wantActive(again.AccessToken, "PHONE")
	act(h, LockUser, Name{User: "alice"})
	h.tryLogin("alice", object{"device_id": "PHONE"}).want(t, http.StatusUnauthorized, "M_USER_LOCKED")
	act(h, UnlockUser, Name{User: "alice"})
	h.logout(bob.AccessToken).want(t, http.StatusOK, "")
	h.wantInactive(bob.AccessToken)
	act(h, AddUser, NewUser{Localpart: "carol", Password: alicesPassword})
	h.tryLogin("carol", nil).want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	h.clock.Move(time.Hour)
	h.pass()
	for _, c := range h.fake.Calls() {
		if c.Method != http.MethodGet {
			t.Errorf("the homeserver was written to: %+v", c)
		}
	}
	if h.waiting() == 0 {
		t.Error("no job waits")
	}
	h.config.Kind = Synapse
	h.crash()
	h.settle()
	h.wantDevices("alice", "ELSEWHERE", "PHONE")
	h.wantDevices("bob")
	h.loginOn("carol", "PHONE")
}

// TestAtOnce: the same user at the same time; the device at the homeserver is there if and only if a
// session has it.
func TestAtOnce(t *testing.T) {
	t.Run("logins on one device", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		tokens := make([]string, 16)
		var group sync.WaitGroup
		for i := range tokens {
			group.Go(func() {
				a := h.tryLogin("alice", object{"device_id": "PHONE"})
				if a.status != http.StatusOK {
					t.Errorf("got %d %s", a.status, a.body)
					return
				}
				tokens[i], _ = a.document(t)["access_token"].(string)
			})
		}
		group.Wait()
		active := 0
		for _, token := range tokens {
			if h.introspect(token).body != inactive {
				active++
			}
		}
		if active != 1 {
			t.Errorf("%d tokens are active, want 1", active)
		}
		h.wantSessions("alice", "PHONE")
		h.settle()
		h.wantDevices("alice", "PHONE")
	})
	t.Run("login and logout of everything", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for range 10 {
			caller := h.loginOn("alice", "CALLER")
			var group sync.WaitGroup
			for _, device := range []string{"PHONE", "LAPTOP", "CALLER", "PHONE"} {
				group.Go(func() {
					if a := h.tryLogin("alice", object{"device_id": device}); a.status != http.StatusOK {
						t.Errorf("login: got %d %s", a.status, a.body)
					}
				})
			}
			group.Go(func() {
				// The caller's own session may have been taken over before.
				if a := h.logoutAll(caller.AccessToken); a.status != http.StatusOK && a.errcode() != "M_UNKNOWN_TOKEN" {
					t.Errorf("logout: got %d %s", a.status, a.body)
				}
			})
			group.Wait()
			h.settle()
			h.wantDevices("alice", h.liveDevices("alice")...)
		}
	})
	t.Run("logouts of one session", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		var group sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			group.Go(func() {
				a := h.logout(s.AccessToken)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.status == http.StatusOK:
					won++
				case a.errcode() != "M_UNKNOWN_TOKEN":
					t.Errorf("got %d %s", a.status, a.body)
				}
			})
		}
		group.Wait()
		if won != 1 {
			t.Errorf("%d logouts ended the session, want 1", won)
		}
		h.wantDevices("alice")
	})
}

// TestRun: with its background work running, a server catches up by itself when the homeserver is back.
func TestRun(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	h.must(h.core.Run())
	h.server.Start()
	defer h.server.Stop()
	s := h.loginOn("alice", "PHONE")
	h.fake.Stop()
	h.logout(s.AccessToken).want(t, http.StatusOK, "")
	h.fake.Resume()
	deadline := time.Now().Add(time.Minute)
	for len(h.fake.Devices("alice")) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the device is still there")
		}
		h.clock.Move(time.Minute)
		h.outbox.Wake()
		time.Sleep(time.Millisecond)
	}
	// Commands reach it through its socket.
	operator, err := Reach(t.Context(), Target{Database: h.file}, h.config, Deps{})
	h.must(err)
	defer func() { h.must(operator.Close()) }()
	if !operator.Live() {
		t.Error("the running server was not found")
	}
	if u, err := ShowUser.Do(t.Context(), operator, Name{User: "@alice:" + serverName}); err != nil || u.Localpart != "alice" {
		t.Errorf("got %+v, %v", u, err)
	}
}
