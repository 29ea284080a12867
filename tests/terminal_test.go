package tests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestHostileNames has clients name their devices so that a terminal would obey, and looks at what an operator
// is shown; a new device whose id cannot be seen is refused, and Synapse is left without it (HTTP-9).
func TestHostileNames(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	password := h.AddUser("alice")
	login := h.Login("alice", password, map[string]any{
		"device_id": "PHONE", "initial_device_display_name": "\x1b[2Jphone\u202e\u009b31m\r  admin",
	}).Must(t, http.StatusOK)
	table, object := h.MustCommand("", "session", "list", "alice"), h.MustCommand("", "session", "list", "alice", "--json")
	for _, shown := range []string{table, object} {
		if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("a terminal is sent %q", shown[i:])
		}
	}
	if !strings.Contains(table, `"\x1b[2Jphone\u202e\u009b31m\r  admin"`) || strings.Count(table, "\n") != 2 {
		t.Errorf("the table is\n%s", table)
	}
	for _, id := range []string{"A\u202eB", "A\u009bB", "A\u200bB", "A\u2028B"} {
		h.Login("alice", password, map[string]any{"device_id": id}).Must(t, http.StatusBadRequest)
	}
	rig.Await(t, "the refused devices to be gone at Synapse", func() error {
		return onlyDevices(h.Devices(login.Text("access_token")), "PHONE")
	})
	// A device that Synapse has from before goes on, and so does its session.
	const old = "OLD\u202e"
	if err := rig.UpsertDevice(h.Synapse.URL, h.Secret, "alice", old); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again := h.Login("alice", password, map[string]any{"device_id": old}).Must(t, http.StatusOK)
		h.Call(http.MethodGet, "/v3/account/whoami", again.Text("access_token"), nil).Must(t, http.StatusOK)
	}
}

func onlyDevices(have map[string]bool, want ...string) error {
	for id := range have {
		if !slices.Contains(want, id) {
			return fmt.Errorf("Synapse has the device %q", id)
		}
	}
	return nil
}
