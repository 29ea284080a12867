package tests

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestCrossSigningReset has Rust crypto in matrix-js-sdk replace its cross-signing keys: Synapse sends the
// person to our page, and takes the keys once it was gone through in a browser (XS-1 to XS-6). Legacy
// sessions and those of OAuth are sent to the same page.
func TestCrossSigningReset(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{Options: oauthOptions})
			for name, way := range map[string]string{"alice": "legacy", "bob": "oauth"} {
				password := h.AddUser(name)
				t.Run(way, func(t *testing.T) { runChecks(t, "reset_flow.mjs", h.URL, name, password, way) })
			}
			t.Run("operator", func(t *testing.T) {
				password := h.AddUser("carol")
				runChecks(t, "reset_flow.mjs", h.URL, "carol", password, "operator-before")
				if said := h.MustCommand("", "user", "allow-reset", "carol"); !strings.HasPrefix(said, "@carol:"+rig.ServerName+": may reset the cross-signing keys until ") {
					t.Errorf("the command says %q", said)
				}
				runChecks(t, "reset_flow.mjs", h.URL, "carol", password, "operator-after")
			})
		})
	}
}
