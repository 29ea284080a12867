package tests

import (
	"net/http"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// bootExisting boots a machine on which Synapse and Debian's Caddy have served people for long: alice, who
// administers it, and bob.
func bootExisting(t *testing.T, version string) *rig.Machine {
	m := rig.BootSynapse(t, version, "example.com")
	m.Must("root", "register_new_matrix_user -c /etc/matrix-synapse/homeserver.yaml -u alice -p alice-at-synapse --admin http://localhost:8008")
	m.Must("root", "register_new_matrix_user -c /etc/matrix-synapse/homeserver.yaml -u bob -p bob-at-synapse --no-admin http://localhost:8008")
	m.Must("root", "echo 127.0.0.1 matrix.example.com example.com >>/etc/hosts")
	m.Write("/etc/caddy/Caddyfile", existingCaddyfile, "644", "root")
	m.Must("root", "systemctl reload caddy")
	m.TrustCaddy()
	m.ShowJournal("caddy")
	return m
}

// existingCaddyfile is the owner's before the installation. Only the first block would not stand there: without the
// internet nobody but Caddy itself can give certificates.
const existingCaddyfile = `{
	local_certs
	skip_install_trust
}

matrix.example.com {
	reverse_proxy localhost:8008
}

example.com {
	header /.well-known/matrix/* Access-Control-Allow-Origin *
	header /.well-known/matrix/* Content-Type application/json
	respond /.well-known/matrix/client ` + "`" + `{"m.homeserver":{"base_url":"https://matrix.example.com"}}` + "`" + `
	respond /.well-known/matrix/server ` + "`" + `{"m.server":"matrix.example.com:443"}` + "`" + `
	root * /usr/share/caddy
	file_server
}
`

// TestExistingHomeserver holds that the machine on which the installation begins is in order: people sign in at
// Synapse by their passwords, through Caddy.
func TestExistingHomeserver(t *testing.T) {
	m := bootExisting(t, rig.Newest)
	answer, err := rig.CallBy(m.Browser(), "https://matrix.example.com", http.MethodPost, "/v3/login", "", rig.Login("bob", "bob-at-synapse", nil))
	if err != nil {
		t.Fatal(err)
	}
	if id := answer.Must(t, http.StatusOK).Text("user_id"); id != "@bob:example.com" {
		t.Errorf("%s is signed in", id)
	}
	m.Must("root", "curl -fsS https://example.com/.well-known/matrix/client | grep -q matrix.example.com")
}
