package matrixauth

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestLogout: the session of the token ends, its tokens die, its device goes (LEG-37).
func TestLogout(t *testing.T) {
	t.Run("LEG-37 ends the session and deletes its device", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		phone, laptop := h.login("alice", object{"device_id": "PHONE", "refresh_token": true}), h.loginOn("alice", "LAPTOP")
		bob := h.loginOn("bob", "PHONE")
		a := h.logout(phone.AccessToken)
		wantWire(t, web.MatrixWire, a)
		if a.status != http.StatusOK || a.body != `{}` {
			t.Fatalf("got %d %s, want 200 {}", a.status, a.body)
		}
		// A logout that was answered is complete, without any further step of the outbox.
		h.wantDevices("alice", "LAPTOP")
		h.wantInactive(phone.AccessToken)
		h.refresh(phone.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.logout(phone.AccessToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.wantActive(laptop.AccessToken, "LAPTOP")
		h.wantActive(bob.AccessToken, "PHONE")
		h.wantSessions("alice", "LAPTOP")
		if h.waiting() != 0 {
			t.Errorf("%d jobs wait", h.waiting())
		}
	})
	t.Run("LEG-37 the body does not matter", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for _, body := range []string{"", "{}", "hello", "[1", "\x00\xff", `{"access_token":"other"}`} {
			s := h.loginOn("alice", "PHONE")
			h.do(call{method: "POST", path: logoutPath, bearer: s.AccessToken, body: body}).want(t, http.StatusOK, "")
			h.wantInactive(s.AccessToken)
		}
	})
	t.Run("LEG-37 under every alias, by header and by query", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for _, path := range endpointNamed("logout").paths {
			s := h.loginOn("alice", "PHONE")
			h.do(call{method: "POST", path: path, bearer: s.AccessToken}).want(t, http.StatusOK, "")
			s = h.loginOn("alice", "PHONE")
			h.do(call{method: "POST", path: path + "?access_token=" + s.AccessToken}).want(t, http.StatusOK, "")
			s = h.loginOn("alice", "PHONE")
			h.do(call{method: "POST", path: path, header: http.Header{"Authorization": {"bearer  " + s.AccessToken + " "}}}).want(t, http.StatusOK, "")
			h.wantSessions("alice")
			h.wantDevices("alice")
		}
	})
	t.Run("a token that expired", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		h.clock.Move(5 * time.Minute)
		for _, a := range []answer{h.logout(s.AccessToken), h.logoutAll(s.AccessToken)} {
			a.want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			if a.document(t)["soft_logout"] != true { // SOFT-3: the session lives
				t.Errorf("got %s", a.body)
			}
		}
		h.wantSessions("alice", "PHONE")
		s = h.signedIn(h.refresh(s.RefreshToken))
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.wantSessions("alice")
	})
	t.Run("a refresh token is no access token", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		h.logout(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.logoutAll(s.RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.wantActive(s.AccessToken, "PHONE")
	})
	t.Run("LEG-39 of a locked user", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		act(h, LockUser, Name{User: "alice"})
		h.logout(s.AccessToken).want(t, http.StatusOK, "")
		h.wantDevices("alice")
		h.wantSessions("alice")
	})
}

// TestLogoutAll: every session of the user ends, the caller's too, and nobody else's (LEG-38).
func TestLogoutAll(t *testing.T) {
	t.Run("LEG-38 ends every session and deletes every device", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice", "bob")
		sessions := []signedIn{
			h.login("alice", object{"device_id": "PHONE", "refresh_token": true}), h.loginOn("alice", "LAPTOP"), h.loginOn("alice", "TABLET"),
		}
		bot := h.issue("alice", "BOT")
		bob := h.loginOn("bob", "PHONE")
		a := h.logoutAll(sessions[1].AccessToken)
		wantWire(t, web.MatrixWire, a)
		if a.status != http.StatusOK || a.body != `{}` {
			t.Fatalf("got %d %s, want 200 {}", a.status, a.body)
		}
		h.wantDevices("alice")
		h.wantSessions("alice")
		for _, s := range sessions {
			h.wantInactive(s.AccessToken)
		}
		h.wantInactive(bot.Token)
		h.refresh(sessions[0].RefreshToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.logoutAll(sessions[1].AccessToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.wantActive(bob.AccessToken, "PHONE")
		h.wantDevices("bob", "PHONE")
	})
	t.Run("LEG-38 under every alias", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		for _, path := range endpointNamed("logout_all").paths {
			h.loginOn("alice", "LAPTOP")
			s := h.loginOn("alice", "PHONE")
			h.do(call{method: "POST", path: path, bearer: s.AccessToken, body: "not looked at"}).want(t, http.StatusOK, "")
			h.wantSessions("alice")
		}
	})
	t.Run("LEG-39 of a locked user", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.loginOn("alice", "PHONE")
		h.loginOn("alice", "LAPTOP")
		act(h, LockUser, Name{User: "alice"})
		h.logoutAll(s.AccessToken).want(t, http.StatusOK, "")
		h.wantDevices("alice")
	})
}

// TestRefreshEndpoint is the wire of the refresh; the rule of generations is tested where it lives.
func TestRefreshEndpoint(t *testing.T) {
	t.Run("LEG-33 answers with a new pair", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		a := h.refresh(s.RefreshToken)
		wantWire(t, web.MatrixWire, a)
		fresh := h.signedIn(a)
		d := a.document(t)
		if len(d) != 3 || fresh.ExpiresInMS != 300_000 || fresh.AccessToken == s.AccessToken || fresh.RefreshToken == s.RefreshToken {
			t.Errorf("got %s", a.body)
		}
		h.wantActive(fresh.AccessToken, "PHONE")
	})
	t.Run("LEG-35 a chain, under every alias, whatever the Authorization", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "org.matrix.msc2918.refresh_token": true})
		stale := s.AccessToken
		for _, path := range endpointNamed("refresh").paths {
			h.clock.Move(10 * time.Minute)
			s = h.signedIn(h.do(call{method: "POST", path: path, bearer: stale, body: text(object{"refresh_token": s.RefreshToken})}))
			h.wantActive(s.AccessToken, "PHONE")
			h.wantInactive(stale)
		}
		h.wantSessions("alice", "PHONE")
	})
	t.Run("LEG-35 a lost answer is retried", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		var last signedIn
		for range 3 {
			h.wantActive(s.AccessToken, "PHONE")
			last = h.signedIn(h.refresh(s.RefreshToken))
		}
		h.wantActive(last.AccessToken, "PHONE")
		h.clock.Move(2 * time.Minute)
		a := h.refresh(s.RefreshToken)
		a.want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if _, soft := a.document(t)["soft_logout"]; soft {
			t.Errorf("a replay must not be told that the session lives: %s", a.body)
		}
		h.wantInactive(last.AccessToken)
		h.settle()
		h.wantDevices("alice")
	})
	t.Run("LEG-34 a sibling whose turn is over learns that the session lives", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		unused := h.signedIn(h.refresh(s.RefreshToken))
		used := h.signedIn(h.refresh(s.RefreshToken))
		used = h.signedIn(h.refresh(used.RefreshToken))
		h.wantActive(used.AccessToken, "PHONE")
		h.clock.Move(2 * time.Minute)
		a := h.refresh(unused.RefreshToken)
		a.want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a.document(t)["soft_logout"] != true {
			t.Errorf("got %s, want soft_logout", a.body)
		}
		h.wantActive(used.AccessToken, "PHONE")
	})
	t.Run("LEG-34 unknown and ended", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"refresh_token": true})
		act(h, EndSessions, SessionsToEnd{User: "alice"})
		for _, token := range []string{s.RefreshToken, s.AccessToken, "mcr_x"} {
			a := h.refresh(token)
			if a.status != http.StatusUnauthorized || a.body != badFresh {
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
	})
	t.Run("LEG-36 an access token harms no session", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		h.refresh(s.AccessToken).want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.wantActive(s.AccessToken, "PHONE")
		h.signedIn(h.refresh(s.RefreshToken))
	})
	t.Run("MOD-6 of a locked user", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		act(h, LockUser, Name{User: "alice"})
		for range 3 {
			a := h.refresh(s.RefreshToken)
			a.want(t, http.StatusUnauthorized, "M_USER_LOCKED")
			if a.document(t)["soft_logout"] != true {
				t.Errorf("got %s, want soft_logout", a.body)
			}
		}
		act(h, UnlockUser, Name{User: "alice"})
		h.wantActive(h.signedIn(h.refresh(s.RefreshToken)).AccessToken, "PHONE")
	})
	t.Run("while the homeserver is down", func(t *testing.T) {
		h := newHouse(t, unlimited)
		h.add("alice")
		s := h.login("alice", object{"device_id": "PHONE", "refresh_token": true})
		h.fake.Stop()
		h.wantActive(h.signedIn(h.refresh(s.RefreshToken)).AccessToken, "PHONE")
		h.fake.Resume()
	})
}
