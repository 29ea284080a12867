package compat_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// TestLogout: the session of the token ends, its tokens die, its device goes (LEG-37).
func TestLogout(t *testing.T) {
	t.Run("LEG-37 ends the session and deletes its device", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		phone, laptop := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true}), h.LoginOn("alice", "LAPTOP")
		bob := h.LoginOn("bob", "PHONE")
		a := h.Logout(phone.AccessToken)
		house.WantWire(t, web.MatrixWire, a)
		if a.Status != http.StatusOK || a.Body != `{}` {
			t.Fatalf("got %d %s, want 200 {}", a.Status, a.Body)
		}
		// A logout that was answered is complete, without any further step of the outbox.
		h.WantDevices("alice", "LAPTOP")
		h.WantInactive(phone.AccessToken)
		h.Refresh(phone.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.Logout(phone.AccessToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(laptop.AccessToken, "LAPTOP")
		h.WantActive(bob.AccessToken, "PHONE")
		h.WantSessions("alice", "LAPTOP")
		if h.Waiting() != 0 {
			t.Errorf("%d jobs wait", h.Waiting())
		}
	})
	t.Run("LEG-37 the body does not matter", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for _, body := range []string{"", "{}", "hello", "[1", "\x00\xff", `{"access_token":"other"}`} {
			s := h.LoginOn("alice", "PHONE")
			h.Do(house.Call{Method: "POST", Path: house.LogoutPath, Bearer: s.AccessToken, Body: body}).Want(t, http.StatusOK, "")
			h.WantInactive(s.AccessToken)
		}
	})
	t.Run("LEG-37 under every alias, by header and by query", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for _, path := range house.EndpointNamed("logout").Paths {
			s := h.LoginOn("alice", "PHONE")
			h.Do(house.Call{Method: "POST", Path: path, Bearer: s.AccessToken}).Want(t, http.StatusOK, "")
			s = h.LoginOn("alice", "PHONE")
			h.Do(house.Call{Method: "POST", Path: path + "?access_token=" + s.AccessToken}).Want(t, http.StatusOK, "")
			s = h.LoginOn("alice", "PHONE")
			h.Do(house.Call{Method: "POST", Path: path, Header: http.Header{"Authorization": {"bearer  " + s.AccessToken + " "}}}).Want(t, http.StatusOK, "")
			h.WantSessions("alice")
			h.WantDevices("alice")
		}
	})
	t.Run("a token that expired", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Clock.Move(5 * time.Minute)
		for _, a := range []house.Answer{h.Logout(s.AccessToken), h.LogoutAll(s.AccessToken)} {
			a.Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			if a.Document(t)["soft_logout"] != true { // SOFT-3: the session lives
				t.Errorf("got %s", a.Body)
			}
		}
		h.WantSessions("alice", "PHONE")
		s = h.SignedIn(h.Refresh(s.RefreshToken))
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.WantSessions("alice")
	})
	t.Run("a refresh token is no access token", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Logout(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.LogoutAll(s.RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(s.AccessToken, "PHONE")
	})
	t.Run("LEG-39 of a locked user", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.Logout(s.AccessToken).Want(t, http.StatusOK, "")
		h.WantDevices("alice")
		h.WantSessions("alice")
	})
}

// TestLogoutAll: every session of the user ends, the caller's too, and nobody else's (LEG-38).
func TestLogoutAll(t *testing.T) {
	t.Run("LEG-38 ends every session and deletes every device", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice", "bob")
		sessions := []house.SignedIn{
			h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true}), h.LoginOn("alice", "LAPTOP"), h.LoginOn("alice", "TABLET"),
		}
		bot := h.Issue("alice", "BOT")
		bob := h.LoginOn("bob", "PHONE")
		a := h.LogoutAll(sessions[1].AccessToken)
		house.WantWire(t, web.MatrixWire, a)
		if a.Status != http.StatusOK || a.Body != `{}` {
			t.Fatalf("got %d %s, want 200 {}", a.Status, a.Body)
		}
		h.WantDevices("alice")
		h.WantSessions("alice")
		for _, s := range sessions {
			h.WantInactive(s.AccessToken)
		}
		h.WantInactive(bot.Token)
		h.Refresh(sessions[0].RefreshToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.LogoutAll(sessions[1].AccessToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(bob.AccessToken, "PHONE")
		h.WantDevices("bob", "PHONE")
	})
	t.Run("LEG-38 under every alias", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		for _, path := range house.EndpointNamed("logout_all").Paths {
			h.LoginOn("alice", "LAPTOP")
			s := h.LoginOn("alice", "PHONE")
			h.Do(house.Call{Method: "POST", Path: path, Bearer: s.AccessToken, Body: "not looked at"}).Want(t, http.StatusOK, "")
			h.WantSessions("alice")
		}
	})
	t.Run("LEG-39 of a locked user", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.LoginOn("alice", "PHONE")
		h.LoginOn("alice", "LAPTOP")
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		h.LogoutAll(s.AccessToken).Want(t, http.StatusOK, "")
		h.WantDevices("alice")
	})
}

// TestRefreshEndpoint is the wire of the refresh; the rule of generations is tested where it lives.
func TestRefreshEndpoint(t *testing.T) {
	t.Run("LEG-33 answers with a new pair", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		a := h.Refresh(s.RefreshToken)
		house.WantWire(t, web.MatrixWire, a)
		fresh := h.SignedIn(a)
		d := a.Document(t)
		if len(d) != 3 || fresh.ExpiresInMS != 300_000 || fresh.AccessToken == s.AccessToken || fresh.RefreshToken == s.RefreshToken {
			t.Errorf("got %s", a.Body)
		}
		h.WantActive(fresh.AccessToken, "PHONE")
	})
	t.Run("LEG-35 a chain, under every alias, whatever the Authorization", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "org.matrix.msc2918.refresh_token": true})
		stale := s.AccessToken
		for _, path := range house.EndpointNamed("refresh").Paths {
			h.Clock.Move(10 * time.Minute)
			s = h.SignedIn(h.Do(house.Call{Method: "POST", Path: path, Bearer: stale, Body: house.JSON(house.Object{"refresh_token": s.RefreshToken})}))
			h.WantActive(s.AccessToken, "PHONE")
			h.WantInactive(stale)
		}
		h.WantSessions("alice", "PHONE")
	})
	t.Run("LEG-35 a lost answer is retried", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		var last house.SignedIn
		for range 3 {
			h.WantActive(s.AccessToken, "PHONE")
			last = h.SignedIn(h.Refresh(s.RefreshToken))
		}
		h.WantActive(last.AccessToken, "PHONE")
		h.Clock.Move(2 * time.Minute)
		a := h.Refresh(s.RefreshToken)
		a.Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		if a.Document(t)["soft_logout"] != true {
			t.Errorf("a theft must not cost the owner's keys: %s", a.Body)
		}
		h.WantInactive(last.AccessToken)
		h.Settle()
		h.WantDevices("alice", "PHONE")
	})
	t.Run("LEG-34 a second window goes on, and where it comes from is what tells it from a thief", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		unused := h.SignedIn(h.Refresh(s.RefreshToken))
		used := h.SignedIn(h.Refresh(s.RefreshToken))
		used = h.SignedIn(h.Refresh(used.RefreshToken))
		h.WantActive(used.AccessToken, "PHONE")
		h.Clock.Move(2 * time.Minute)
		second := h.SignedIn(h.Refresh(unused.RefreshToken))
		h.WantActive(second.AccessToken, "PHONE")
		h.WantActive(used.AccessToken, "PHONE")
	})
	t.Run("LEG-34 unknown and ended", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"refresh_token": true})
		house.Act(h, matrixauth.EndSessions, matrixauth.SessionsToEnd{User: "alice"})
		for _, token := range []string{s.RefreshToken, s.AccessToken, "mcr_x"} {
			a := h.Refresh(token)
			if a.Status != http.StatusUnauthorized || a.Body != house.BadFresh {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("LEG-36 an access token harms no session", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Refresh(s.AccessToken).Want(t, http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		h.WantActive(s.AccessToken, "PHONE")
		h.SignedIn(h.Refresh(s.RefreshToken))
	})
	t.Run("MOD-6 of a locked user", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "alice"})
		for range 3 {
			a := h.Refresh(s.RefreshToken)
			a.Want(t, http.StatusUnauthorized, "M_USER_LOCKED")
			if a.Document(t)["soft_logout"] != true {
				t.Errorf("got %s, want soft_logout", a.Body)
			}
		}
		house.Act(h, matrixauth.UnlockUser, matrixauth.Name{User: "alice"})
		h.WantActive(h.SignedIn(h.Refresh(s.RefreshToken)).AccessToken, "PHONE")
	})
	t.Run("while the homeserver is down", func(t *testing.T) {
		h := house.New(t, house.Unlimited)
		h.Add("alice")
		s := h.Login("alice", house.Object{"device_id": "PHONE", "refresh_token": true})
		h.Fake.Stop()
		h.WantActive(h.SignedIn(h.Refresh(s.RefreshToken)).AccessToken, "PHONE")
		h.Fake.Resume()
	})
}
