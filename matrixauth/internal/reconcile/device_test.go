package reconcile_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/sqlite"
)

// wantRefused checks what a client with a live session is told whose token the homeserver refuses.
func wantRefused(h *house.House, token string) {
	h.T.Helper()
	if a := h.List(token); a.Status != http.StatusUnauthorized || a.Errcode() != "M_UNKNOWN_TOKEN" {
		h.T.Fatalf("got %d %s, want a refusal", a.Status, a.Body)
	}
}

// endReason reads why the session on a device ended.
func endReason(h *house.House, device string) (reason string) {
	h.T.Helper()
	sqlite.Scan(h.T, h.File, "SELECT end_reason FROM sessions WHERE device_id = ? ORDER BY id DESC LIMIT 1", []any{device}, &reason)
	return reason
}

// TestDeviceDeletedAtTheHomeserver: the session whose device an administrator of the homeserver has
// deleted ends once its client is refused, and no other does.
func TestDeviceDeletedAtTheHomeserver(t *testing.T) {
	t.Run("the session ends, and its client is told that it did", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		laptop := h.Login("bob", house.Object{"device_id": "LAPTOP", "refresh_token": true})
		h.Clock.Move(time.Minute)
		h.Renewed(sessions)
		laptop = h.SignedIn(h.Refresh(laptop.RefreshToken))
		h.List(sessions["bob"].AccessToken).Shows(t, http.StatusOK, "BOB")
		h.Fake.DeleteDevices("bob", "BOB")
		a := h.List(sessions["bob"].AccessToken)
		if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, `"soft_logout":true`) {
			t.Fatalf("before the check it is told %d %s", a.Status, a.Body)
		}
		h.Must(h.Reconcile())
		h.WantSessions("bob", "LAPTOP")
		h.WantInactive(sessions["bob"].AccessToken)
		h.WantActive(laptop.AccessToken, "LAPTOP")
		h.WantActive(sessions["alice"].AccessToken, "ALICE")
		if reason := endReason(h, "BOB"); reason != "device_deleted" {
			t.Errorf("it ended by %q", reason)
		}
		h.Refresh(sessions["bob"].RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a := h.List(sessions["bob"].AccessToken); a.Status != http.StatusUnauthorized || strings.Contains(a.Body, `"soft_logout":true`) {
			t.Errorf("after it, it is told %d %s", a.Status, a.Body)
		}
		if !strings.Contains(h.Log.String(), "the homeserver has deleted the device of a session") {
			t.Error("the log does not say so")
		}
		h.Settle()
		h.WantDevices("bob", "LAPTOP")
	})
	t.Run("an app of OAuth", func(t *testing.T) {
		h, _ := house.Household(t, "alice", "bob")
		id := h.Register("client", "")
		s := h.OauthSession("alice", id, "TABLET")
		h.Clock.Move(time.Minute)
		h.Fake.DeleteDevices("alice", "TABLET")
		wantRefused(h, s.AccessToken)
		h.Must(h.Reconcile())
		h.Renew(id, s.RefreshToken).Shows(t, http.StatusBadRequest, "invalid_grant")
		h.WantSessions("alice", "ALICE")
	})
	t.Run("the only session of all", func(t *testing.T) {
		h, sessions := house.Household(t, "alice")
		h.Fake.DeleteDevices("alice", "ALICE")
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("alice")
	})
	t.Run("a locked user keeps what is locked", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob")
		h.Fake.DeleteDevices("alice", "ALICE")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		if a := h.List(sessions["alice"].AccessToken); a.Errcode() != "M_USER_LOCKED" {
			t.Fatalf("got %d %s", a.Status, a.Body)
		}
		h.Must(h.Reconcile())
		h.WantSessions("alice", "ALICE")
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("alice")
	})
	t.Run("a session without a device has none to lose", func(t *testing.T) {
		h, _ := house.Household(t, "alice", "bob")
		house.Act(h, matrixauth.SetAdmin, matrixauth.AdminRight{Name: matrixauth.Name{User: "alice"}, Admin: true})
		id := h.Register("client", "")
		code := h.SignedInAs("alice").Consent(house.Params(id, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))
		s := h.Tokens(h.Exchange(id, code))
		h.Clock.Move(time.Minute)
		h.Fake.DeleteDevices("alice", "ALICE")
		h.ReconcileQueue.Refused(h.UserID("alice"))
		h.Must(h.Reconcile())
		h.WantDeviceless(s.AccessToken)
	})
}

// TestDeviceIsThere: nothing ends a session whose device may be there.
func TestDeviceIsThere(t *testing.T) {
	nothingEnded := func(h *house.House, sessions map[string]house.SignedIn) {
		h.T.Helper()
		for name, s := range sessions {
			h.WantActive(s.AccessToken, strings.ToUpper(name))
		}
	}
	t.Run("the homeserver refused the token for reasons of its own", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob")
		h.Renewed(sessions)
		h.Must(h.Reconcile())
		h.Answering(house.Refusing)
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		nothingEnded(h, sessions)
	})
	t.Run("an expired token starts no check", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob")
		h.Clock.Move(10 * time.Minute)
		h.Answering(house.Refusing)
		wantRefused(h, sessions["alice"].AccessToken)
		h.Fake.ForgetCalls()
		h.Must(h.Reconcile())
		if n := len(h.Fake.Calls()); n != 0 {
			t.Errorf("it made %d calls", n)
		}
	})
	t.Run("a session that has only just begun", func(t *testing.T) {
		h, sessions := house.Household(t, "bob", "alice")
		h.Clock.Move(-time.Minute)
		h.Fake.DeleteDevices("alice", "ALICE") // a list that is a little behind
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		h.WantActive(sessions["alice"].AccessToken, "ALICE")
		h.Clock.Move(time.Minute)
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("alice")
	})
	for name, broken := range map[string]http.HandlerFunc{
		"the list is an error":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"the list is a proxy's page":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"the list is refused":          house.Refusing,
		"the list is closed":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"the list is cut short":        jsonHandler(`{"devices":[{"device_id":`),
		"the list has another form":    jsonHandler(`{}`),
		"the list is null":             jsonHandler(`{"devices":null}`),
		"the connection is cut":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the list is endless":          endless,
		"the list is somebody's entry": jsonHandler(`{"devices":{"device_id":"ALICE"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			h, sessions := house.Household(t, "alice", "bob")
			h.Renewed(sessions)
			h.Must(h.Reconcile())
			h.Clock.Move(time.Minute)
			h.Fake.DeleteDevices("alice", "ALICE")
			wantRefused(h, sessions["alice"].AccessToken)
			h.Fake.Intercept(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == house.DevicesPath {
					broken(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"user_id":"@x:%s","is_suspended":false,"is_deactivated":false}`, house.ServerName)
			})
			if err := h.Reconcile(); err == nil {
				t.Error("that is no answer")
			}
			nothingEnded(h, sessions)
			h.Fake.Recover()
			h.Clock.Move(time.Minute)
			wantRefused(h, sessions["alice"].AccessToken)
			h.Must(h.Reconcile())
			h.WantSessions("alice")
		})
	}
	t.Run("the homeserver cannot ask us", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob")
		h.Fake.DeleteDevices("alice", "ALICE")
		h.ReconcileQueue.Refused(h.UserID("alice"))
		h.Fake.AskAt("http://127.0.0.1:9/")
		if err := h.Reconcile(); err == nil {
			t.Error("that is no answer")
		}
		nothingEnded(h, sessions)
	})
	t.Run("a login takes the device over while it is looked at", func(t *testing.T) {
		h, _ := house.Household(t, "alice", "bob")
		h.Fake.DeleteDevices("alice", "ALICE")
		h.ReconcileQueue.Refused(h.UserID("alice"))
		var s house.SignedIn
		h.Tap.Set(func(op string) {
			if op == "devices" { // the homeserver has answered, and we do not know it yet
				h.Tap.Set(nil)
				s = h.LoginOn("alice", "ALICE")
			}
		})
		h.Must(h.Reconcile())
		h.Settle()
		h.WantActive(s.AccessToken, "ALICE")
		h.WantDevices("alice", "ALICE")
	})
}

func jsonHandler(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	block := []byte(`{"devices":[` + strings.Repeat(" ", 64<<10))
	for range 1 << 10 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// TestRestoredHomeserver: a homeserver that was restored from an older database lacks the devices of
// several people. Nobody is signed out, and all goes on once it is put right.
func TestRestoredHomeserver(t *testing.T) {
	// wantHeld has everybody's app be refused and checks that all their sessions live.
	wantHeld := func(h *house.House, sessions map[string]house.SignedIn, refused ...string) {
		h.T.Helper()
		for range 3 {
			for _, name := range refused {
				wantRefused(h, sessions[name].AccessToken)
				h.Must(h.Reconcile())
			}
			h.Clock.Move(6 * time.Minute)
			h.Renewed(sessions)
		}
		for name, s := range sessions {
			h.WantActive(s.AccessToken, strings.ToUpper(name))
		}
		if !strings.Contains(h.Log.String(), "after a restore of an older database") {
			h.T.Error("the log does not say so")
		}
	}
	t.Run("everybody's devices are gone", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.BehindSite()
		h.Add("alice", "bob", "carol", "dave")
		old := h.Fake.Backup()
		sessions := map[string]house.SignedIn{}
		for _, name := range []string{"alice", "bob", "carol", "dave"} {
			sessions[name] = h.Login(name, house.Object{"device_id": strings.ToUpper(name), "refresh_token": true})
			h.Clock.Move(time.Minute)
		}
		right := h.Fake.Backup()
		old()
		wantHeld(h, sessions, "alice", "bob", "carol", "dave")
		right()
		for _, name := range []string{"alice", "dave"} {
			h.List(sessions[name].AccessToken).Shows(t, http.StatusOK, strings.ToUpper(name))
		}
	})
	t.Run("those of two who signed in last", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol", "dave")
		h.Renewed(sessions)
		h.Fake.DeleteDevices("carol", "CAROL")
		h.Fake.DeleteDevices("dave", "DAVE")
		wantHeld(h, sessions, "dave", "carol")
	})
	t.Run("others have signed in since", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		h.Fake.DeleteDevices("bob", "BOB")
		h.Fake.DeleteDevices("carol", "CAROL")
		h.Add("erin", "frank", "grace")
		for _, name := range []string{"erin", "frank", "grace"} {
			sessions[name] = h.Login(name, house.Object{"device_id": strings.ToUpper(name), "refresh_token": true})
			h.Clock.Move(time.Minute)
		}
		wantHeld(h, sessions, "bob", "carol")
	})
	t.Run("accounts are gone too", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		h.Fake.DeleteDevices("bob", "BOB")
		h.Fake.Remove("carol")
		wantHeld(h, sessions, "bob")
	})
	t.Run("devices that nobody uses any more tell nothing", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		h.Clock.Move(8 * 24 * time.Hour)
		delete(sessions, "alice")
		h.Renewed(sessions)
		h.Fake.DeleteDevices("alice", "ALICE")
		h.Fake.DeleteDevices("bob", "BOB")
		wantRefused(h, sessions["bob"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("bob")
		h.WantSessions("alice", "ALICE")
	})
	t.Run("nor do those of an account that was deactivated", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		h.Fake.Deactivate("alice")
		h.Fake.DeleteDevices("bob", "BOB")
		wantRefused(h, sessions["bob"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("bob")
	})
	t.Run("nor many of one person", func(t *testing.T) {
		h, sessions := house.Household(t, "alice", "bob", "carol")
		for i := range 5 {
			h.LoginOn("alice", fmt.Sprint("A", i))
			h.Clock.Move(time.Minute)
			h.Fake.DeleteDevices("alice", fmt.Sprint("A", i))
		}
		h.Renewed(sessions)
		h.Fake.DeleteDevices("alice", "ALICE")
		wantRefused(h, sessions["alice"].AccessToken)
		h.Must(h.Reconcile())
		h.WantSessions("alice")
	})
}

// TestMadClientIsBounded: a client whose device is gone and that sends without end has the homeserver
// asked every ten seconds, and every five minutes while nothing may be ended.
func TestMadClientIsBounded(t *testing.T) {
	h, sessions := house.Household(t, "alice", "bob")
	var lists atomic.Int64
	h.Tap.Set(func(op string) {
		if op == "devices" {
			lists.Add(1)
		}
	})
	h.Renewed(sessions)
	h.Fake.DeleteDevices("alice", "ALICE")
	h.Fake.DeleteDevices("bob", "BOB")
	id := h.UserID("alice")
	storm := func(want int64) {
		t.Helper()
		for range 1000 {
			h.ReconcileQueue.Refused(id)
		}
		h.Must(h.Reconcile())
		if n := lists.Load(); n != want {
			t.Fatalf("%d lists were read, want %d", n, want)
		}
	}
	storm(2) // alice's, and bob's as a witness
	for range 5 {
		h.Clock.Move(50 * time.Second)
		storm(2)
	}
	h.Clock.Move(51 * time.Second)
	storm(4)
}

// TestSessionsNear holds which sessions are asked about beside a missing one.
func TestSessionsNear(t *testing.T) {
	h, _ := house.Household(t, "a1", "a2", "a3", "a4", "a5", "a6", "missing", "b1", "b2", "b3", "b4", "b5")
	h.LoginOn("b1", "AGAIN")
	id := h.UserID("missing")
	var devices []string
	h.Must(h.Store.View(context.Background(), func(tx *store.Tx) error {
		live, err := tx.LiveSessions(id)
		if err != nil {
			return err
		}
		near, err := tx.SessionsNear(live[0], 3, testkit.Start)
		for _, s := range near {
			devices = append(devices, s.DeviceID)
		}
		return err
	}))
	if got := strings.Join(devices, " "); got != "A6 A5 A4 B1 B2 B3" {
		t.Errorf("got %s", got)
	}
}
