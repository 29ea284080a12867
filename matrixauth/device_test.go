package matrixauth

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// wantRefused checks what a client with a live session is told whose token the homeserver refuses.
func (h *house) wantRefused(token string) {
	h.t.Helper()
	if a := h.list(token); a.status != http.StatusUnauthorized || a.errcode() != "M_UNKNOWN_TOKEN" {
		h.t.Fatalf("got %d %s, want a refusal", a.status, a.body)
	}
}

// endReason reads why the session on a device ended.
func (h *house) endReason(device string) (reason string) {
	h.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+url.PathEscape(h.file)+"?mode=ro&_query_only=true")
	h.must(err)
	defer func() { h.must(db.Close()) }()
	h.must(db.QueryRow("SELECT end_reason FROM sessions WHERE device_id = ? ORDER BY id DESC LIMIT 1", device).Scan(&reason))
	return reason
}

// TestDeviceDeletedAtTheHomeserver: the session whose device an administrator of the homeserver has
// deleted ends once its client is refused, and no other does.
func TestDeviceDeletedAtTheHomeserver(t *testing.T) {
	t.Run("the session ends, and its client is told that it did", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		laptop := h.login("bob", object{"device_id": "LAPTOP", "refresh_token": true})
		h.clock.Move(time.Minute)
		h.renewed(sessions)
		laptop = h.signedIn(h.refresh(laptop.RefreshToken))
		h.list(sessions["bob"].AccessToken).shows(t, http.StatusOK, "BOB")
		h.fake.DeleteDevices("bob", "BOB")
		a := h.list(sessions["bob"].AccessToken)
		if a.status != http.StatusUnauthorized || !strings.Contains(a.body, `"soft_logout":true`) {
			t.Fatalf("before the check it is told %d %s", a.status, a.body)
		}
		h.must(h.reconcile())
		h.wantSessions("bob", "LAPTOP")
		h.wantInactive(sessions["bob"].AccessToken)
		h.wantActive(laptop.AccessToken, "LAPTOP")
		h.wantActive(sessions["alice"].AccessToken, "ALICE")
		if reason := h.endReason("BOB"); reason != "device_deleted" {
			t.Errorf("it ended by %q", reason)
		}
		h.refresh(sessions["bob"].RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a := h.list(sessions["bob"].AccessToken); a.status != http.StatusUnauthorized || strings.Contains(a.body, `"soft_logout":true`) {
			t.Errorf("after it, it is told %d %s", a.status, a.body)
		}
		if !strings.Contains(h.log.String(), "the homeserver has deleted the device of a session") {
			t.Error("the log does not say so")
		}
		h.settle()
		h.wantDevices("bob", "LAPTOP")
	})
	t.Run("an app of OAuth", func(t *testing.T) {
		h, _ := household(t, "alice", "bob")
		id := h.register("client", "")
		s := h.oauthSession("alice", id, "TABLET")
		h.clock.Move(time.Minute)
		h.fake.DeleteDevices("alice", "TABLET")
		h.wantRefused(s.AccessToken)
		h.must(h.reconcile())
		h.renew(id, s.RefreshToken).shows(t, http.StatusBadRequest, "invalid_grant")
		h.wantSessions("alice", "ALICE")
	})
	t.Run("the only session of all", func(t *testing.T) {
		h, sessions := household(t, "alice")
		h.fake.DeleteDevices("alice", "ALICE")
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("alice")
	})
	t.Run("a locked user keeps what is locked", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob")
		h.fake.DeleteDevices("alice", "ALICE")
		act(h, LockUser, Name{User: "alice"})
		if a := h.list(sessions["alice"].AccessToken); a.errcode() != "M_USER_LOCKED" {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		h.must(h.reconcile())
		h.wantSessions("alice", "ALICE")
		act(h, UnlockUser, Name{User: "alice"})
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("alice")
	})
	t.Run("a session without a device has none to lose", func(t *testing.T) {
		h, _ := household(t, "alice", "bob")
		act(h, SetAdmin, AdminRight{Name: Name{User: "alice"}, Admin: true})
		id := h.register("client", "")
		code := h.signedInAs("alice").consent(params(id, "scope", model.ScopeAPI+" "+model.ScopeSynapseAdmin))
		s := h.tokens(h.exchange(id, code))
		h.clock.Move(time.Minute)
		h.fake.DeleteDevices("alice", "ALICE")
		h.reconcileQueue.Refused(h.userID("alice"))
		h.must(h.reconcile())
		h.wantDeviceless(s.AccessToken)
	})
}

// TestDeviceIsThere: nothing ends a session whose device may be there.
func TestDeviceIsThere(t *testing.T) {
	nothingEnded := func(h *house, sessions map[string]signedIn) {
		h.t.Helper()
		for name, s := range sessions {
			h.wantActive(s.AccessToken, strings.ToUpper(name))
		}
	}
	t.Run("the homeserver refused the token for reasons of its own", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob")
		h.renewed(sessions)
		h.must(h.reconcile())
		h.answering(refusing)
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		nothingEnded(h, sessions)
	})
	t.Run("an expired token starts no check", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob")
		h.clock.Move(10 * time.Minute)
		h.answering(refusing)
		h.wantRefused(sessions["alice"].AccessToken)
		h.fake.ForgetCalls()
		h.must(h.reconcile())
		if n := len(h.fake.Calls()); n != 0 {
			t.Errorf("it made %d calls", n)
		}
	})
	t.Run("a session that has only just begun", func(t *testing.T) {
		h, sessions := household(t, "bob", "alice")
		h.clock.Move(-time.Minute)
		h.fake.DeleteDevices("alice", "ALICE") // a list that is a little behind
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		h.wantActive(sessions["alice"].AccessToken, "ALICE")
		h.clock.Move(time.Minute)
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("alice")
	})
	for name, broken := range map[string]http.HandlerFunc{
		"the list is an error":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"the list is a proxy's page":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"the list is refused":          refusing,
		"the list is closed":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"the list is cut short":        jsonHandler(`{"devices":[{"device_id":`),
		"the list has another form":    jsonHandler(`{}`),
		"the list is null":             jsonHandler(`{"devices":null}`),
		"the connection is cut":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the list is endless":          endless,
		"the list is somebody's entry": jsonHandler(`{"devices":{"device_id":"ALICE"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			h, sessions := household(t, "alice", "bob")
			h.renewed(sessions)
			h.must(h.reconcile())
			h.clock.Move(time.Minute)
			h.fake.DeleteDevices("alice", "ALICE")
			h.wantRefused(sessions["alice"].AccessToken)
			h.fake.Intercept(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == devicesPath {
					broken(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"user_id":"@x:%s","is_suspended":false,"is_deactivated":false}`, serverName)
			})
			if err := h.reconcile(); err == nil {
				t.Error("that is no answer")
			}
			nothingEnded(h, sessions)
			h.fake.Recover()
			h.clock.Move(time.Minute)
			h.wantRefused(sessions["alice"].AccessToken)
			h.must(h.reconcile())
			h.wantSessions("alice")
		})
	}
	t.Run("the homeserver cannot ask us", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob")
		h.fake.DeleteDevices("alice", "ALICE")
		h.reconcileQueue.Refused(h.userID("alice"))
		h.fake.AskAt("http://127.0.0.1:9/")
		if err := h.reconcile(); err == nil {
			t.Error("that is no answer")
		}
		nothingEnded(h, sessions)
	})
	t.Run("a login takes the device over while it is looked at", func(t *testing.T) {
		h, _ := household(t, "alice", "bob")
		h.fake.DeleteDevices("alice", "ALICE")
		h.reconcileQueue.Refused(h.userID("alice"))
		var s signedIn
		h.tap.set(func(op string) {
			if op == "devices" { // the homeserver has answered, and we do not know it yet
				h.tap.set(nil)
				s = h.loginOn("alice", "ALICE")
			}
		})
		h.must(h.reconcile())
		h.settle()
		h.wantActive(s.AccessToken, "ALICE")
		h.wantDevices("alice", "ALICE")
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
	wantHeld := func(h *house, sessions map[string]signedIn, refused ...string) {
		h.t.Helper()
		for range 3 {
			for _, name := range refused {
				h.wantRefused(sessions[name].AccessToken)
				h.must(h.reconcile())
			}
			h.clock.Move(6 * time.Minute)
			h.renewed(sessions)
		}
		for name, s := range sessions {
			h.wantActive(s.AccessToken, strings.ToUpper(name))
		}
		if !strings.Contains(h.log.String(), "after a restore of an older database") {
			h.t.Error("the log does not say so")
		}
	}
	t.Run("everybody's devices are gone", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.behindSite()
		h.add("alice", "bob", "carol", "dave")
		old := h.fake.Backup()
		sessions := map[string]signedIn{}
		for _, name := range []string{"alice", "bob", "carol", "dave"} {
			sessions[name] = h.login(name, object{"device_id": strings.ToUpper(name), "refresh_token": true})
			h.clock.Move(time.Minute)
		}
		right := h.fake.Backup()
		old()
		wantHeld(h, sessions, "alice", "bob", "carol", "dave")
		right()
		for _, name := range []string{"alice", "dave"} {
			h.list(sessions[name].AccessToken).shows(t, http.StatusOK, strings.ToUpper(name))
		}
	})
	t.Run("those of two who signed in last", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol", "dave")
		h.renewed(sessions)
		h.fake.DeleteDevices("carol", "CAROL")
		h.fake.DeleteDevices("dave", "DAVE")
		wantHeld(h, sessions, "dave", "carol")
	})
	t.Run("others have signed in since", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		h.fake.DeleteDevices("bob", "BOB")
		h.fake.DeleteDevices("carol", "CAROL")
		h.add("erin", "frank", "grace")
		for _, name := range []string{"erin", "frank", "grace"} {
			sessions[name] = h.login(name, object{"device_id": strings.ToUpper(name), "refresh_token": true})
			h.clock.Move(time.Minute)
		}
		wantHeld(h, sessions, "bob", "carol")
	})
	t.Run("accounts are gone too", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		h.fake.DeleteDevices("bob", "BOB")
		h.fake.Remove("carol")
		wantHeld(h, sessions, "bob")
	})
	t.Run("devices that nobody uses any more tell nothing", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		h.clock.Move(8 * 24 * time.Hour)
		delete(sessions, "alice")
		h.renewed(sessions)
		h.fake.DeleteDevices("alice", "ALICE")
		h.fake.DeleteDevices("bob", "BOB")
		h.wantRefused(sessions["bob"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("bob")
		h.wantSessions("alice", "ALICE")
	})
	t.Run("nor do those of an account that was deactivated", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		h.fake.Deactivate("alice")
		h.fake.DeleteDevices("bob", "BOB")
		h.wantRefused(sessions["bob"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("bob")
	})
	t.Run("nor many of one person", func(t *testing.T) {
		h, sessions := household(t, "alice", "bob", "carol")
		for i := range 5 {
			h.loginOn("alice", fmt.Sprint("A", i))
			h.clock.Move(time.Minute)
			h.fake.DeleteDevices("alice", fmt.Sprint("A", i))
		}
		h.renewed(sessions)
		h.fake.DeleteDevices("alice", "ALICE")
		h.wantRefused(sessions["alice"].AccessToken)
		h.must(h.reconcile())
		h.wantSessions("alice")
	})
}

// TestMadClientIsBounded: a client whose device is gone and that sends without end has the homeserver
// asked every ten seconds, and every five minutes while nothing may be ended.
func TestMadClientIsBounded(t *testing.T) {
	h, sessions := household(t, "alice", "bob")
	var lists atomic.Int64
	h.tap.set(func(op string) {
		if op == "devices" {
			lists.Add(1)
		}
	})
	h.renewed(sessions)
	h.fake.DeleteDevices("alice", "ALICE")
	h.fake.DeleteDevices("bob", "BOB")
	id := h.userID("alice")
	storm := func(want int64) {
		t.Helper()
		for range 1000 {
			h.reconcileQueue.Refused(id)
		}
		h.must(h.reconcile())
		if n := lists.Load(); n != want {
			t.Fatalf("%d lists were read, want %d", n, want)
		}
	}
	storm(2) // alice's, and bob's as a witness
	for range 5 {
		h.clock.Move(50 * time.Second)
		storm(2)
	}
	h.clock.Move(51 * time.Second)
	storm(4)
}

// TestInternalToken: what we ask the homeserver ourselves bears a token that nobody else can use.
func TestInternalToken(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice")
	alice := model.User{ID: h.userID("alice"), Localpart: "alice"}
	mint := func() (string, func()) {
		token, drop, err := h.domain().Sessions.MintInternal(alice, model.ScopeAPI)
		h.must(err)
		h.secret(token)
		return token, drop
	}
	t.Run("the homeserver is told, for seconds", func(t *testing.T) {
		token, drop := mint()
		defer drop()
		d := h.introspect(token).document(t)
		if d["active"] != true || d["username"] != "alice" || d["device_id"] != nil || d["expires_in"] != float64(10) {
			t.Fatalf("got %v", d)
		}
		h.clock.Move(9 * time.Second)
		if d := h.introspect(token).document(t); d["expires_in"] != float64(1) {
			t.Errorf("got %v", d)
		}
		h.clock.Move(time.Second)
		h.wantInactive(token)
	})
	t.Run("nobody is told once it is dropped", func(t *testing.T) {
		token, drop := mint()
		drop()
		h.wantInactive(token)
	})
	t.Run("a locked user is read about", func(t *testing.T) {
		act(h, LockUser, Name{User: "alice"})
		defer act(h, UnlockUser, Name{User: "alice"})
		token, drop := mint()
		defer drop()
		if d := h.introspect(token).document(t); d["active"] != true {
			t.Errorf("got %v", d)
		}
	})
	t.Run("nobody else is told", func(t *testing.T) {
		token, drop := mint()
		defer drop()
		id := h.register("confidential", "a-clients-secret")
		header := http.Header{"Content-Type": formType["Content-Type"], "Authorization": {basicAuth(id, "a-clients-secret")}}
		if a := h.do(call{method: "POST", path: "/oauth2/introspect", header: header, body: form("token", token)}); a.body != inactive {
			t.Errorf("a client is told %d %s", a.status, a.body)
		}
		header["Authorization"] = []string{"Bearer another-secret"}
		if a := h.do(call{method: "POST", path: "/oauth2/introspect", inside: true, header: header, body: form("token", token)}); a.status != http.StatusUnauthorized {
			t.Errorf("a stranger is told %d %s", a.status, a.body)
		}
	})
	t.Run("the public gateway refuses it, and our own APIs do not know it", func(t *testing.T) {
		token, drop := mint()
		before := h.passed.Load()
		for range 2 {
			for _, c := range []call{{path: devicesPath, bearer: token}, {path: devicesPath + "?access_token=" + token}, {method: "PUT", path: apiPaths[0], bearer: token, body: "{}"}} {
				if a := h.do(c); a.status != http.StatusUnauthorized || a.errcode() != "M_UNKNOWN_TOKEN" {
					t.Errorf("%s: got %d %s", c.path, a.status, a.body)
				}
			}
			// The homeserver may remember it a little longer than we do.
			drop()
		}
		if n := h.passed.Load() - before; n != 0 {
			t.Errorf("%d requests went on", n)
		}
		h.logout(token).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.refresh(token).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	})
	t.Run("it is stored nowhere, and their number is bounded", func(t *testing.T) {
		before := h.rows()
		made := 0
		for range 1000 {
			if token, _, err := h.domain().Sessions.MintInternal(alice, model.ScopeAPI); err == nil {
				h.secret(token)
				made++
			}
		}
		if made > 64 {
			t.Errorf("%d were made", made)
		}
		if h.rows() != before {
			t.Error("rows have changed")
		}
		h.clock.Move(11 * time.Second)
		_, drop := mint() // those that are over are not in the way
		drop()
	})
}

// TestSessionsNear holds which sessions are asked about beside a missing one.
func TestSessionsNear(t *testing.T) {
	h, _ := household(t, "a1", "a2", "a3", "a4", "a5", "a6", "missing", "b1", "b2", "b3", "b4", "b5")
	h.loginOn("b1", "AGAIN")
	id := h.userID("missing")
	var devices []string
	h.must(h.store.View(context.Background(), func(tx *store.Tx) error {
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
