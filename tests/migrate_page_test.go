package tests

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// experimental is what an older authentication service had people write.
const experimental = `
experimental_features:
  # for the authentication service
  msc3861:
    enabled: true
    issuer: https://auth.example.com/
    client_id: 0000000000000000000SYNAPSE
    client_auth_method: client_secret_basic
    client_secret: the-client-secret
    admin_token: the-admin-token-of-before
`

// TestMigrationPage takes a Synapse that delegates by the experimental section to us by the blocks of the page, before
// Caddy has run with the module at all, and signs in.
func TestMigrationPage(t *testing.T) {
	o := owner{t, bootExisting(t, rig.Oldest)}
	o.CopyIn(rig.Binary(t, ""), "/root/caddy", "755")
	const file = "/etc/matrix-synapse/homeserver.yaml"
	o.Must("root", "sed -i /session_lifetime/d "+file)
	if r := o.RunWith("root", "cat >>"+file+" && systemctl restart matrix-synapse", experimental); r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, section := range journey[:3] {
		o.follow("install.md", section)
	}
	before := o.Read(file)
	blocks := blocksIn(t, "migrate-msc3861.md", "Migration from msc3861")
	doctor := blocks[len(blocks)-1]
	for i, b := range blocks[:len(blocks)-1] {
		shown := o.paste(b)
		if strings.Contains(shown, "the-admin-token-of-before") {
			t.Errorf("%s shows the secret: %s", b, shown)
		}
		if changed := o.Read(file) != before; changed != (i > 0) {
			t.Errorf("%s: the file has changed: %t", b, changed)
		}
	}
	// This Synapse is older than what the doctor wants, and nothing else is wrong.
	if r := o.try(doctor); strings.Count(r.Out, "WRONG") != 1 || !strings.Contains(r.Out, "WRONG synapse version") {
		t.Errorf("%s: %s", doctor, r.Out)
	}
	token := o.login("alice", typed).Must(t, http.StatusOK).Text("access_token")
	o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
}
