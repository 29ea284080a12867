package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// clientTime bounds the run of a client.
const clientTime = 3 * time.Minute

// runClient runs a client's script, whose last line is one JSON document; a library may talk before it.
func runClient(t *testing.T, program, script string, into any, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	readClient(t, exec.CommandContext(ctx, program, append([]string{script}, args...)...), script, into)
}

// visit is runClient for a client that sees the network of a machine.
func visit(t *testing.T, m *rig.Machine, program, script string, into any, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	readClient(t, m.Visit(ctx, program, append([]string{script}, args...)...), script, into)
}

func readClient(t *testing.T, cmd *exec.Cmd, script string, into any) {
	t.Helper()
	out, err := cmd.Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	out = bytes.TrimSpace(out)
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], into); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestClients has clients that we did not write do the main job: password login, the list of devices,
// a message between two people, refresh, logout; then the device is gone from Synapse (LEG-37).
func TestClients(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			alice, bob := h.AddUser("alice"), h.AddUser("bob")
			watcher := h.MustCommand("", "token", "issue", "alice")
			watcher = watcher[:len(watcher)-1]
			gone := func(t *testing.T, device string) {
				if h.Devices(watcher)[device] {
					t.Errorf("the device %s is still at Synapse after the logout", device)
				}
			}
			t.Run("blanks_around_the_name", func(t *testing.T) { // LEG-16
				h.Login(" alice\u00a0", alice, nil).Must(t, http.StatusOK)
				h.Login("alice", " "+alice, nil).Must(t, http.StatusForbidden)
			})
			t.Run("matrix_nio", func(t *testing.T) {
				var saw struct {
					Device, Token, Sender string
					Devices               []string
				}
				runClient(t, rig.Cache(t, "nio", "bin", "python"), filepath.Join(rig.Tests(), "clients", "nio_flow.py"), &saw, h.URL, rig.ServerName, alice, bob)
				if saw.Sender != "@alice:"+rig.ServerName || !slices.Contains(saw.Devices, saw.Device) {
					t.Fatalf("it saw %+v", saw)
				}
				gone(t, saw.Device)
				h.Call(http.MethodGet, "/v3/account/whoami", saw.Token, nil).Must(t, http.StatusUnauthorized)
			})
			t.Run("matrix_js_sdk", func(t *testing.T) {
				var saw struct {
					Device, Who, Sender, After, Late string
					Devices, Flows                   []string
					Expires                          int
				}
				runClient(t, rig.Node(t), rig.Script(t, "js_flow.mjs"), &saw, h.URL, alice, bob)
				if saw.Sender != "@alice:"+rig.ServerName || saw.Who != saw.Device || !slices.Contains(saw.Devices, saw.Device) || saw.Expires != 300_000 ||
					!slices.Equal(saw.Flows, []string{"m.login.password"}) || saw.After != "M_UNKNOWN_TOKEN" || saw.Late != "M_UNKNOWN_TOKEN" {
					t.Fatalf("it saw %+v", saw)
				}
				gone(t, saw.Device)
			})
		})
	}
}
