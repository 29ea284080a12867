package tests

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestPages has a browser go through our pages by keyboard, without script, and with axe-core looking on. People can
// register and recover, so that the pages show the ways there; nobody reads the mails.
// The directory that SCREENSHOTS names is filled with pictures of them.
func TestPages(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions + `
		branding {
			terms https://chat.example.com/terms
			privacy https://chat.example.com/privacy
			imprint https://chat.example.com/imprint
			help mailto:help@example.com
		}
		mail {
			from matrix@example.com
			sendmail /bin/true
		}
		registration open`})
	alice, bob, carol, dave, locked := h.AddUser("alice"), h.AddUser("bob"), h.AddUser("carol"), h.AddUser("dave"), h.AddUser("locked")
	h.MustCommand("", "user", "lock", "locked")
	for _, device := range []string{"Laptop", "Phone"} {
		h.Login("alice", alice, map[string]any{"initial_device_display_name": device})
	}
	for _, device := range []string{"Laptop", "Phone"} {
		h.Login("dave", dave, map[string]any{"initial_device_display_name": device})
	}
	tablet := h.Login("dave", dave, map[string]any{"device_id": "TABLET", "initial_device_display_name": "Tablet"}).Must(t, http.StatusOK).Text("access_token")
	runChecks(t, "pages.mjs", h.URL, alice, bob, carol, dave, locked, os.Getenv("SCREENSHOTS"))
	// The name that Dave gave it is at Synapse soon after, where others see it.
	for end := time.Now().Add(rig.Deadline); ; time.Sleep(50 * time.Millisecond) {
		name := h.Call(http.MethodGet, "/v3/devices/TABLET", tablet, nil).Must(t, http.StatusOK).Text("display_name")
		if name == "Kitchen tablet" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Synapse calls the device %q", name)
		}
	}
}
