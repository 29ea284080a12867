package tests

import (
	"os"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestPages has a browser go through our pages by keyboard, without script, and with axe-core looking on.
// The directory that SCREENSHOTS names is filled with pictures of them.
func TestPages(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions})
	alice, bob := h.AddUser("alice"), h.AddUser("bob")
	for _, device := range []string{"Laptop", "Phone"} {
		h.Login("alice", alice, map[string]any{"initial_device_display_name": device})
	}
	runChecks(t, "pages.mjs", h.URL, alice, bob, os.Getenv("SCREENSHOTS"))
}
