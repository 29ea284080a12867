package tests

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestMigrateMSC3861 moves a Synapse 1.136.0 that delegates by the experimental section, which starts as
// it is, to our block by the command; with it both versions start, and people sign in. The secret stays.
func TestMigrateMSC3861(t *testing.T) {
	const secret = "the-admin-token-of-before"
	port := rig.FreePort(t)
	before := rig.NewSynapse(t, rig.SynapseConfig{
		Version: rig.Oldest, ServerName: rig.ServerName,
		Delegation: fmt.Sprintf(`experimental_features:
  # what the old service needed
  msc3861:
    enabled: true
    issuer: http://127.0.0.1:%d/
    client_id: 0000000000000000000SYNAPSE
    client_auth_method: client_secret_basic
    client_secret: old-client-secret
    admin_token: %s
    account_management_url: http://127.0.0.1:%d/account
# the end
`, port, secret, port),
	})
	before.Start()
	before.Stop()

	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: before.URL})
	c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1)) // our own secret file
	yaml := filepath.Join(before.Dir, "homeserver.yaml")
	original := read(t, yaml)

	shown := c.MustCommand("", "migrate", "msc3861", "--synapse-config", yaml)
	if read(t, yaml) != original {
		t.Fatal("the file was changed without --write")
	}
	for _, line := range []string{"-  msc3861:", "+matrix_authentication_service:", "+  enabled: true"} {
		if !strings.Contains(shown, line) {
			t.Errorf("the diff lacks %q:\n%s", line, shown)
		}
	}
	if strings.Contains(shown, secret) {
		t.Error("the diff shows the secret")
	}
	written := c.MustCommand("", "migrate", "msc3861", "--synapse-config", yaml, "--write")
	backup := written[strings.LastIndex(strings.TrimSpace(written), " ")+1:]
	if read(t, strings.TrimSpace(backup)) != original {
		t.Error("the backup is not the file as it was")
	}
	after := read(t, yaml)
	if strings.Contains(after, "msc3861") || strings.Contains(after, "experimental_features") || !strings.Contains(after, "# the end") || !strings.Contains(after, secret) {
		t.Fatalf("the migrated file is\n%s", after)
	}
	if _, err := c.Command("", "migrate", "msc3861", "--synapse-config", yaml); err == nil || !strings.Contains(err.Error(), "migrated") {
		t.Errorf("a second migration gave %v", err)
	}

	c.Start()
	for _, version := range rig.Versions {
		t.Run("after_on_"+version, func(t *testing.T) {
			before.Version = version
			before.Start()
			defer before.Stop()
			h := rig.Join(t, c, before)
			name := "u" + strings.ReplaceAll(version, ".", "-")
			token := h.Login(name, h.AddUser(name), nil).Must(t, http.StatusOK).Text("access_token")
			h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSynapseConfig starts a Synapse with the very block that the command prints, secret file included.
func TestSynapseConfig(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: "http://synapse.invalid"})
			plain := func(synapse string) string {
				return strings.ReplaceAll(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1), "http://synapse.invalid", synapse)
			}
			c.Write(plain("http://synapse.invalid"))
			c.Start()
			s := rig.NewSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: c.MustCommand("", "synapse-config")})
			s.Start()
			c.Write(plain(s.URL))
			if err := c.Reload(); err != nil {
				t.Fatal(err)
			}
			h := rig.Join(t, c, s)
			token := h.Login("alice", h.AddUser("alice"), nil).Must(t, http.StatusOK).Text("access_token")
			h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
		})
	}
}
