package tests

import (
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestImpatience has somebody in a real browser click twice, reload, go back and forth and lose answers, near
// and far away: the app gets its tokens, and a sign-in that is done says so (AUTHZ-20, HTTP-13).
func TestImpatience(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions})
	runChecks(t, "clicks.mjs", h.URL, h.AddUser("alice"))
}
