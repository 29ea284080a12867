package tests

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestLockedUser locks a user who is signed in, and unlocks them: the client is told to wait and keeps
// its keys, and everything goes on with the tokens that it has (MOD-1..6, S6).
func TestLockedUser(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			password := h.AddUser("alice")
			login := h.Login("alice", password, map[string]any{"refresh_token": true}).Must(t, http.StatusOK)
			token, refresh := login.Text("access_token"), login.Text("refresh_token")
			bob := h.Login("bob", h.AddUser("bob"), nil).Must(t, http.StatusOK).Text("access_token")
			room := h.Call(http.MethodPost, "/v3/createRoom", token, struct{}{}).Must(t, http.StatusOK).Text("room_id")

			h.MustCommand("", "user", "lock", "alice")
			wantLocked := func(answer rig.Answer) {
				t.Helper()
				answer.Must(t, http.StatusUnauthorized)
				if answer.Text("errcode") != "M_USER_LOCKED" || answer.Body["soft_logout"] != true {
					t.Fatalf("got %v", answer.Body)
				}
			}
			wantLocked(h.Call(http.MethodGet, "/v3/sync", token, nil))
			wantLocked(h.Call(http.MethodGet, "/v3/account/whoami", token, nil))
			wantLocked(h.Call(http.MethodGet, "/v1/media/config", token, nil))
			wantLocked(h.Call(http.MethodPut, "/v3/rooms/"+room+"/send/m.room.message/1", token, map[string]string{"msgtype": "m.text", "body": "x"}))
			wantLocked(h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh}))
			wantLocked(h.Login("alice", password, nil))
			h.Login("alice", "wrong", nil).Must(t, http.StatusForbidden)
			h.Call(http.MethodGet, "/v3/account/whoami", bob, nil).Must(t, http.StatusOK)

			h.MustCommand("", "user", "unlock", "alice")
			h.Call(http.MethodGet, "/v3/sync", token, nil).Must(t, http.StatusOK)
			if !h.Devices(token)[login.Text("device_id")] {
				t.Fatal("the device is gone")
			}
			again := h.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh}).Must(t, http.StatusOK)
			h.Call(http.MethodGet, "/v3/account/whoami", again.Text("access_token"), nil).Must(t, http.StatusOK)

			h.MustCommand("", "user", "lock", "alice")
			h.Call(http.MethodPost, "/v3/logout", again.Text("access_token"), nil).Must(t, http.StatusOK)
		})
	}
}

// TestDeactivatedUser deactivates a user who is signed in (MOD-11).
func TestDeactivatedUser(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			password := h.AddUser("alice")
			token := h.Login("alice", password, nil).Must(t, http.StatusOK).Text("access_token")
			h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
			h.MustCommand("", "user", "deactivate", "alice", "--yes")

			rig.Await(t, "the token's end", func() error {
				answer := h.Call(http.MethodGet, "/v3/account/whoami", token, nil)
				if answer.Status != http.StatusUnauthorized || answer.Text("errcode") != "M_UNKNOWN_TOKEN" {
					return fmt.Errorf("status %d: %v", answer.Status, answer.Body)
				}
				return nil
			})
			if code := h.Login("alice", password, nil).Must(t, http.StatusForbidden).Text("errcode"); code != "M_USER_DEACTIVATED" {
				t.Errorf("with the right password: %s", code)
			}
			if code := h.Login("alice", "wrong", nil).Must(t, http.StatusForbidden).Text("errcode"); code != "M_FORBIDDEN" {
				t.Errorf("with a wrong password: %s", code)
			}
			h.MustCommand("", "user", "reactivate", "alice")
			var again rig.Answer
			rig.Await(t, "the reactivated user's login", func() error {
				if again = h.Login("alice", password, nil); again.Status != http.StatusOK {
					return errors.New(again.Text("errcode"))
				}
				return nil
			})
			h.Call(http.MethodGet, "/v3/account/whoami", again.Text("access_token"), nil).Must(t, http.StatusOK)
		})
	}
}

// TestAdminToken has a bot's token administer Synapse, until the right is taken away.
func TestAdminToken(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	h.AddUser("root1", "--admin")
	h.AddUser("plain")
	token := h.MustCommand("", "token", "issue", "root1", "--admin")
	token = token[:len(token)-1]
	admin := func(token string) int {
		request, err := http.NewRequest(http.MethodGet, h.Synapse.URL+"/_synapse/admin/v1/rooms?limit=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	if status := admin(token); status != http.StatusOK {
		t.Fatalf("the admin's token got %d", status)
	}
	plain := h.MustCommand("", "token", "issue", "plain")
	if status := admin(plain[:len(plain)-1]); status != http.StatusForbidden {
		t.Fatalf("a plain token got %d", status)
	}
	if _, err := h.Command("", "token", "issue", "plain", "--admin"); err == nil {
		t.Fatal("a plain user got an admin's token")
	}
	h.MustCommand("", "user", "demote", "root1")
	rig.Await(t, "the end of the right", func() error {
		if status := admin(token); status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
}

// TestAppservice has a bridge register a user and make and delete a device through Caddy, undisturbed
// (ASV-1, ASV-4, ASV-5, S14), and be told that it cannot log in (ASV-2).
func TestAppservice(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			h.Call(http.MethodPost, "/v3/register", rig.BridgeToken, map[string]any{
				"type": "m.login.application_service", "username": "bridge_one", "inhibit_login": true,
			}).Must(t, http.StatusOK)
			as := "?user_id=@bridge_one:" + rig.ServerName
			if status := h.Call(http.MethodPut, "/v3/devices/BRIDGE"+as, rig.BridgeToken, map[string]string{"display_name": "b"}).Status; status != http.StatusCreated && status != http.StatusOK {
				t.Fatalf("making a device: status %d", status)
			}
			h.Call(http.MethodDelete, "/v3/devices/BRIDGE"+as, rig.BridgeToken, nil).Must(t, http.StatusOK)
			answer := h.Call(http.MethodPost, "/v3/login", rig.BridgeToken, map[string]any{"type": "m.login.application_service"}).Must(t, http.StatusBadRequest)
			if answer.Text("errcode") != "M_APPSERVICE_LOGIN_UNSUPPORTED" {
				t.Fatalf("got %v", answer.Body)
			}
			h.Login("bridge_one", "guess", nil).Must(t, http.StatusForbidden)
		})
	}
}
