package matrixauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver/fake"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// outages are the ways in which a homeserver is not there, each with its end.
var outages = map[string]struct{ begin, end func(*house.House) }{
	"stopped":            {func(h *house.House) { h.Fake.Stop() }, func(h *house.House) { h.Fake.Resume() }},
	"behind a proxy":     {func(h *house.House) { h.Fake.Fail(http.StatusBadGateway, "") }, func(h *house.House) { h.Fake.Recover() }},
	"proxy says no":      {func(h *house.House) { h.Fake.Fail(http.StatusForbidden, "") }, func(h *house.House) { h.Fake.Recover() }},
	"internal error":     {func(h *house.House) { h.Fake.Fail(http.StatusInternalServerError, "M_UNKNOWN") }, func(h *house.House) { h.Fake.Recover() }},
	"limits":             {func(h *house.House) { h.Fake.Fail(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED") }, func(h *house.House) { h.Fake.Recover() }},
	"other secret":       {func(h *house.House) { h.Fake.Fail(http.StatusForbidden, "M_UNKNOWN") }, func(h *house.House) { h.Fake.Recover() }},
	"without delegation": {func(h *house.House) { h.Fake.Fail(http.StatusNotFound, "M_UNRECOGNIZED") }, func(h *house.House) { h.Fake.Recover() }},
	"hanging up":         {func(h *house.House) { h.Fake.Abort() }, func(h *house.House) { h.Fake.Recover() }},
	"losing its answers": {func(h *house.House) { h.Fake.LoseAnswers(1 << 20) }, func(h *house.House) { h.Fake.LoseAnswers(0) }},
}

// wantDown checks the answer to a login that the homeserver let down: it says when to try again, and is
// no reason for a client to give up its session (SYN-15, LEG-9).
func wantDown(t *testing.T, a house.Answer) {
	t.Helper()
	house.WantWire(t, web.MatrixWire, a)
	if want := `{"errcode":"M_UNKNOWN","error":"The homeserver cannot be reached right now; try again","retry_after_ms":5000}`; a.Status != http.StatusServiceUnavailable ||
		a.Body != want || a.Header.Get("Retry-After") != "5" {
		t.Fatalf("got %d, Retry-After %q, %s", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
}

// TestHomeserverDown: logins wait for the homeserver and leave nothing behind, logouts do not wait.
func TestHomeserverDown(t *testing.T) {
	for name, outage := range outages {
		t.Run("login/"+name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			outage.begin(h)
			wantDown(t, h.TryLogin("alice", house.Object{"device_id": "PHONE"}))
			wantDown(t, h.TryLogin("alice", nil))
			h.Guess("alice", "").Want(t, http.StatusForbidden, "M_FORBIDDEN")
			h.WantSessions("alice")
			outage.end(h)
			h.Settle()
			h.WantSessions("alice")
			h.WantDevices("alice")
			if aside := h.SetAside(); len(aside) != 0 {
				t.Errorf("set aside: %+v", aside)
			}
			s := h.LoginOn("alice", "PHONE")
			h.Settle()
			h.WantDevices("alice", "PHONE")
			h.WantActive(s.AccessToken, "PHONE")
		})
		t.Run("login on a device in use/"+name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
			outage.begin(h)
			wantDown(t, h.TryLogin("alice", house.Object{"device_id": "PHONE"}))
			outage.end(h)
			h.Settle()
			h.WantActive(s.AccessToken, "PHONE")
			h.SignedIn(h.Refresh(s.RefreshToken))
			h.WantDevices("alice", "PHONE")
		})
		t.Run("logout/"+name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			s := h.LoginOn("alice", "PHONE")
			outage.begin(h)
			h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
			h.WantInactive(s.AccessToken)
			h.WantSessions("alice")
			if h.Waiting() != 1 {
				t.Errorf("%d jobs wait, want 1", h.Waiting())
			}
			outage.end(h)
			h.Settle()
			h.WantDevices("alice")
		})
		// The deletion that waited must not hit the device of the newer login.
		t.Run("logout, then login on the same device/"+name, func(t *testing.T) {
			h := house.New(t, house.Unlimited)
			h.Add("alice")
			h.Login("alice", house.Object{"device_id": "OTHER", "initial_device_display_name": "Other"})
			s := h.LoginOn("alice", "PHONE")
			outage.begin(h)
			h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
			wantDown(t, h.TryLogin("alice", house.Object{"device_id": "PHONE"}))
			outage.end(h)
			again := h.LoginOn("alice", "PHONE")
			h.WantDevices("alice", "OTHER", "PHONE")
			h.Settle()
			h.WantDevices("alice", "OTHER", "PHONE")
			h.WantActive(again.AccessToken, "PHONE")
		})
	}
	t.Run("an account that the homeserver never heard of", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Fake.Stop()
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword, Force: true})
		h.Pass()
		wantDown(t, h.TryLogin("alice", nil))
		h.Fake.Resume()
		// The job's next try is far off; a login does not wait for that.
		s := h.LoginOn("alice", "PHONE")
		h.WantDevices("alice", "PHONE")
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("jobs survive days and a restart, and run in order", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.Fake.Stop()
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "a@example.org"})
		house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "b@example.org"})
		for range 500 {
			h.Clock.Move(10 * time.Minute)
			h.Pass()
		}
		h.Crash()
		if h.Waiting() != 3 {
			t.Fatalf("%d jobs wait, want 3", h.Waiting())
		}
		h.Fake.ForgetCalls()
		h.Fake.Resume()
		// As soon as one job is through, the others no longer wait for their own time.
		h.Clock.Move(10 * time.Minute)
		h.Pass()
		var ops []string
		for _, c := range h.Fake.Calls() {
			ops = append(ops, c.Op)
		}
		if got := strings.Join(ops, " "); got != "delete_device provision_user provision_user" {
			t.Errorf("calls were %q", got)
		}
		if u, _ := h.Fake.User("alice"); len(u.Devices) != 0 || len(u.Emails) != 2 {
			t.Errorf("at the homeserver: %+v", u)
		}
	})
	t.Run("a success hastens the jobs of others", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		alice, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("bob", "PHONE")
		h.Fake.Stop()
		h.Logout(alice.AccessToken).Want(t, http.StatusOK, "")
		h.Logout(bob.AccessToken).Want(t, http.StatusOK, "")
		h.Fake.Resume()
		h.LoginOn("alice", "LAPTOP")
		h.Pass()
		h.WantDevices("bob")
	})
}

// TestSlowHomeserver: who waits for the homeserver holds up nobody else.
func TestSlowHomeserver(t *testing.T) {
	t.Run("another user logs in", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		s := h.LoginOn("alice", "PHONE")
		gate := h.Fake.Hold("delete_device")
		done := make(chan house.Answer, 1)
		go func() { done <- h.Logout(s.AccessToken) }()
		<-gate.Arrived
		h.WantInactive(s.AccessToken)
		h.LoginOn("bob", "PHONE")
		gate.Release()
		(<-done).Want(t, http.StatusOK, "")
		h.WantDevices("alice")
	})
	t.Run("a logout is answered although its device is not gone yet", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		gate := h.Fake.Hold("delete_device")
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		gate.Release()
		h.Settle()
		h.WantDevices("alice")
	})
	t.Run("a client that hangs up leaves nothing behind", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		gate := h.Fake.Hold("upsert_device")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Site.URL+house.LoginPath, strings.NewReader(house.LoginBody("alice", house.AlicesPassword, house.Object{"device_id": "PHONE"})))
		h.Must(err)
		done := make(chan error, 1)
		go func() {
			res, err := h.Client.Do(r)
			if err == nil {
				err = fmt.Errorf("got %d, want no answer: %w", res.StatusCode, res.Body.Close())
			} else {
				err = nil
			}
			done <- err
		}()
		<-gate.Arrived
		cancel()
		h.Must(<-done)
		// The lane is free as soon as the server has noticed; until then the gate must stay shut.
		leave, err := h.Outbox.Enter(t.Context(), model.ToHomeserver.Lane(h.UserID("alice")))
		h.Must(err)
		leave()
		h.Settle()
		h.WantSessions("alice")
		h.WantDevices("alice")
		gate.Release()
	})
}

// TestCrash: the server dies between two steps; what was promised is kept when it is back.
func TestCrash(t *testing.T) {
	dieAfter := func(h *house.House, op string) {
		h.Tap.Set(func(done string) {
			if done == op {
				h.Tap.Set(nil)
				h.Die()
			}
		})
	}
	t.Run("between the making of the device and the commit", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		dieAfter(h, "upsert_device")
		if a := h.TryLogin("alice", house.Object{"device_id": "PHONE"}); a.Status < 500 || strings.Contains(a.Body, "database") {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
		h.WantDevices("alice", "PHONE")
		h.Open()
		h.Settle()
		h.WantDevices("alice")
		h.WantSessions("alice")
	})
	t.Run("the same, and the client is back before the clean-up", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		dieAfter(h, "upsert_device")
		h.TryLogin("alice", house.Object{"device_id": "PHONE"})
		h.Open()
		s := h.LoginOn("alice", "PHONE")
		h.Settle()
		h.WantDevices("alice", "PHONE")
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("the same on a device in use", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		dieAfter(h, "upsert_device")
		h.TryLogin("alice", house.Object{"device_id": "PHONE"})
		h.Open()
		h.Settle()
		h.WantDevices("alice", "PHONE")
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("between the deletion of a device and the note of it", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		dieAfter(h, "delete_device")
		h.Logout(s.AccessToken)
		h.Open()
		h.WantInactive(s.AccessToken)
		again := h.LoginOn("alice", "PHONE")
		h.Settle()
		h.WantDevices("alice", "PHONE")
		h.WantActive(again.AccessToken, "PHONE")
	})
	t.Run("between the creation of an account and its provisioning", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword, Email: "a@example.org"})
		h.Crash()
		h.LoginOn("alice", "PHONE")
		if u, _ := h.Fake.User("alice"); len(u.Emails) != 1 {
			t.Errorf("at the homeserver: %+v", u)
		}
	})
	t.Run("requests after the end", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.Must(h.Core.Close())
		for _, a := range []house.Answer{h.TryLogin("alice", nil), h.Refresh("mcr_x"), h.Logout(s.AccessToken), h.Do(house.Call{Path: house.LoginPath})} {
			a.Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
			if a.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
		}
		if a := h.Introspect(s.AccessToken); a.Status != http.StatusServiceUnavailable {
			t.Errorf("introspection: got %d %s", a.Status, a.Body)
		}
		h.Open()
		h.WantActive(s.AccessToken, "PHONE")
	})
}

// TestRefusedForGood: a job that the homeserver refuses is set aside for the operator, and the others go on.
func TestRefusedForGood(t *testing.T) {
	t.Run("a deletion", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		alice, bob := h.LoginOn("alice", "PHONE"), h.LoginOn("bob", "PHONE")
		h.Tap.RefuseAll("delete_device")
		h.Logout(alice.AccessToken).Want(t, http.StatusOK, "")
		h.Tap.RefuseAll("")
		aside := h.SetAside()
		if len(aside) != 1 || aside[0].Kind != model.JobDeleteDevice || !strings.Contains(aside[0].LastError, "M_INVALID_PARAM") || h.Waiting() != 0 {
			t.Fatalf("set aside: %+v; %d wait", aside, h.Waiting())
		}
		again := h.LoginOn("alice", "LAPTOP")
		h.WantActive(again.AccessToken, "LAPTOP")
		h.Logout(bob.AccessToken).Want(t, http.StatusOK, "")
		h.WantDevices("bob")
		h.Crash()
		h.Settle()
		if len(h.SetAside()) != 1 {
			t.Error("it was forgotten")
		}
		h.Clock.Move(31 * 24 * time.Hour)
		if _, err := h.Store.Retain(t.Context()); err != nil || len(h.SetAside()) != 0 {
			t.Errorf("after a month: %v, %d jobs set aside", err, len(h.SetAside()))
		}
	})
	t.Run("an account that an application service has", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		if _, err := matrixauth.AddUser.Do(t.Context(), h.Ops, matrixauth.NewUser{Localpart: "bridge_x", Password: house.AlicesPassword}); err == nil || !house.IsRefused(err) {
			t.Errorf("got %v, want a refusal", err)
		}
		h.Fake.Stop()
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "bridge_x", Password: house.AlicesPassword, Force: true})
		h.Fake.Resume()
		house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "alice", Password: house.AlicesPassword})
		h.Settle()
		for range 3 {
			h.TryLogin("bridge_x", nil).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
		}
		h.Settle()
		if aside := h.SetAside(); len(aside) != 1 || aside[0].Kind != model.JobProvisionUser {
			t.Errorf("set aside: %+v", aside)
		}
		h.LoginOn("alice", "PHONE")
	})
}

// TestReadOnly: a homeserver that is only looked at is never written to. Who has what is needed there
// signs in; anybody else is told to wait, and nothing is left that would harm a device later.
func TestReadOnly(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "bob")
	phone := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
	bob := h.LoginOn("bob", "PHONE")
	// A device that the homeserver has from elsewhere, as in the rehearsal of a migration.
	h.Fake.Seed(fake.User{Localpart: "alice", Devices: map[string]*string{"PHONE": nil, "ELSEWHERE": nil}})
	h.Config.Kind = matrixauth.SynapseReadOnly
	h.Crash()
	h.Fake.ForgetCalls()
	before := h.Rows()
	for _, device := range []string{"NEW", "ELSEWHERE"} {
		h.TryLogin("alice", house.Object{"device_id": device}).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	}
	h.TryLogin("alice", nil).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	if after := h.Rows(); after != before {
		t.Errorf("a login that had to wait left rows:\n%s\nwant\n%s", after, before)
	}
	h.WantActive(phone.AccessToken, "PHONE")
	h.SignedIn(h.Refresh(phone.RefreshToken))
	again := h.LoginOn("alice", "PHONE")
	h.WantInactive(phone.AccessToken)
	h.WantActive(again.AccessToken, "PHONE")
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
	h.TryLogin("alice", house.Object{"device_id": "PHONE"}).Want(t, http.StatusUnauthorized, "M_USER_LOCKED")
	house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
	h.Logout(bob.AccessToken).Want(t, http.StatusOK, "")
	h.WantInactive(bob.AccessToken)
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "carol", Password: house.AlicesPassword})
	h.TryLogin("carol", nil).Want(t, http.StatusServiceUnavailable, "M_UNKNOWN")
	h.Clock.Move(time.Hour)
	h.Pass()
	for _, c := range h.Fake.Calls() {
		if c.Method != http.MethodGet {
			t.Errorf("the homeserver was written to: %+v", c)
		}
	}
	if h.Waiting() == 0 {
		t.Error("no job waits")
	}
	h.Config.Kind = matrixauth.Synapse
	h.Crash()
	h.Settle()
	h.WantDevices("alice", "ELSEWHERE", "PHONE")
	h.WantDevices("bob")
	h.LoginOn("carol", "PHONE")
}

// TestAtOnce: the same user at the same time; the device at the homeserver is there if and only if a
// session has it.
func TestAtOnce(t *testing.T) {
	t.Run("logins on one device", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		tokens := make([]string, 16)
		var group sync.WaitGroup
		for i := range tokens {
			group.Go(func() {
				a := h.TryLogin("alice", house.Object{"device_id": "PHONE"})
				if a.Status != http.StatusOK {
					t.Errorf("got %d %s", a.Status, a.Body)
					return
				}
				tokens[i], _ = a.Document(t)["access_token"].(string)
			})
		}
		group.Wait()
		active := 0
		for _, token := range tokens {
			if h.Introspect(token).Body != house.Inactive {
				active++
			}
		}
		if active != 1 {
			t.Errorf("%d tokens are active, want 1", active)
		}
		h.WantSessions("alice", "PHONE")
		h.Settle()
		h.WantDevices("alice", "PHONE")
	})
	t.Run("login and logout of everything", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for range 10 {
			caller := h.LoginOn("alice", "CALLER")
			var group sync.WaitGroup
			for _, device := range []string{"PHONE", "LAPTOP", "CALLER", "PHONE"} {
				group.Go(func() {
					if a := h.TryLogin("alice", house.Object{"device_id": device}); a.Status != http.StatusOK {
						t.Errorf("login: got %d %s", a.Status, a.Body)
					}
				})
			}
			group.Go(func() {
				// The caller's own session may have been taken over before.
				if a := h.LogoutAll(caller.AccessToken); a.Status != http.StatusOK && a.Errcode() != "M_UNKNOWN_TOKEN" {
					t.Errorf("logout: got %d %s", a.Status, a.Body)
				}
			})
			group.Wait()
			h.Settle()
			h.WantDevices("alice", h.LiveDevices("alice")...)
		}
	})
	t.Run("logouts of one session", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		var group sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			group.Go(func() {
				a := h.Logout(s.AccessToken)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.Status == http.StatusOK:
					won++
				case a.Errcode() != "M_UNKNOWN_TOKEN":
					t.Errorf("got %d %s", a.Status, a.Body)
				}
			})
		}
		group.Wait()
		if won != 1 {
			t.Errorf("%d logouts ended the session, want 1", won)
		}
		h.WantDevices("alice")
	})
}

// TestRun: with its background work running, a server catches up by itself when the homeserver is back.
func TestRun(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice")
	h.Must(h.Core.Run())
	h.Server.Start()
	defer h.Server.Stop()
	s := h.LoginOn("alice", "PHONE")
	h.Fake.Stop()
	h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
	h.Fake.Resume()
	deadline := time.Now().Add(time.Minute)
	for len(h.Fake.Devices("alice")) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the device is still there")
		}
		h.Clock.Move(time.Minute)
		h.Outbox.Wake()
		time.Sleep(time.Millisecond)
	}
	// Commands reach it through its socket.
	operator, err := matrixauth.Reach(t.Context(), matrixauth.Target{Database: h.File}, h.Config, matrixauth.Deps{})
	h.Must(err)
	defer func() { h.Must(operator.Close()) }()
	if !operator.Live() {
		t.Error("the running server was not found")
	}
	if u, err := matrixauth.ShowUser.Do(t.Context(), operator, matrixauth.Name{User: "@alice:" + house.ServerName}); err != nil || u.Localpart != "alice" {
		t.Errorf("got %+v, %v", u, err)
	}
}
