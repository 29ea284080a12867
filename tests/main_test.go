package tests

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := rig.CleanUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

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

// TestForceHTTP2 has Synapse ask over HTTP/2 without TLS, as its force_http2 setting does.
func TestForceHTTP2(t *testing.T) {
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Secret: "shared"})
	s := rig.NewSynapse(t, rig.SynapseConfig{
		Version: rig.Newest, ServerName: rig.ServerName,
		Delegation: fmt.Sprintf("matrix_authentication_service: {enabled: true, endpoint: %q, secret: shared, force_http2: true}", c.Internal),
	})
	c.CaddyConfig.Synapse = s.URL
	c.Write(c.Text(""))
	s.Start()
	c.Start()
	h := rig.Join(t, c, s)
	token := h.Login("alice", h.AddUser("alice"), nil).Must(t, http.StatusOK).Text("access_token")
	h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
}
