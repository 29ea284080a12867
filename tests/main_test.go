package tests

import (
	"net/http"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestFirstMessage is the main job in short: a login through Caddy, a message through Synapse.
func TestFirstMessage(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			password := h.AddUser("alice")
			login := h.Login("alice", password, nil).Must(t, http.StatusOK)
			token := login.Text("access_token")
			room := h.Call(http.MethodPost, "/v3/createRoom", token, struct{}{}).Must(t, http.StatusOK).Text("room_id")
			h.Call(http.MethodPut, "/v3/rooms/"+room+"/send/m.room.message/1", token, map[string]string{"msgtype": "m.text", "body": "hello"}).Must(t, http.StatusOK)
			if !h.Devices(token)[login.Text("device_id")] {
				t.Fatal("the device is not at Synapse")
			}
			h.Call(http.MethodPost, "/v3/logout", token, nil).Must(t, http.StatusOK)
			h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusUnauthorized)
		})
	}
}
