package tests

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestStrangersKeepNobodyOut has six addresses guess at a password at the default limits, while its owner
// signs in in Chromium and by the login API where they are known (PW-12). Caddy believes a proxy on loopback,
// as which the script says who comes from where.
func TestStrangersKeepNobodyOut(t *testing.T) {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{})
	h.Caddy.Stop()
	const global = "auto_https off\n"
	h.Write(strings.Replace(h.Text(""), global, global+"\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\ttrusted_proxies_strict\n\t}\n", 1))
	h.Caddy.Start()
	runChecks(t, "places_flow.mjs", h.URL, h.AddUser("alice"), h.AddUser("bob"))
}
