package tests

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// examine runs the doctor on the machine as a user, with nothing but what an owner types, and gives its findings
// by their ids.
func (o owner) examine(user string) (found map[string]finding, healthy bool) {
	o.t.Helper()
	result := o.Run(user, "caddy matrix-auth doctor --json")
	var all []finding
	if err := json.Unmarshal([]byte(result.Out), &all); err != nil {
		o.t.Fatalf("%v\n%s\n%s", err, result.Out, result.Problems)
	}
	found = map[string]finding{}
	for _, f := range all {
		found[f.ID] = f
	}
	return found, result.Err == nil
}

// TestDoctorOnAMachine has the doctor look at a machine as its owner has it, with Caddy and Synapse as different
// users of systemd's units.
func TestDoctorOnAMachine(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	if shown := o.Must("root", "caddy matrix-auth doctor"); !strings.HasSuffix(shown, "\nall is well\n") {
		t.Fatalf("after the installation it says\n%s", shown)
	}
	well := func(t *testing.T) {
		t.Helper()
		found, healthy := o.examine("root")
		if f := found["secret-file"]; !healthy || !strings.Contains(f.What, "matrix-synapse, as whom Synapse runs, may read ") {
			t.Errorf("healthy: %v: %+v", healthy, found)
		}
	}
	well(t)

	t.Run("the_secret_is_closed", func(t *testing.T) {
		o.Must("root", "chown root /etc/matrix-synapse/matrix_auth.secret")
		found, healthy := o.examine("root")
		f := found["secret-file/closed"]
		if healthy || f.Where != "/etc/matrix-synapse/matrix_auth.secret" {
			t.Fatalf("it found %+v", found)
		}
		command, _, _ := strings.Cut(f.Change, "\nor ")
		o.Must("root", command)
		well(t)
		o.Must("root", "systemctl restart matrix-synapse") // it reads it
	})
	t.Run("the_secret_lies_where_Caddy_keeps_it", func(t *testing.T) {
		const generated = "/var/lib/caddy/.local/share/caddy/matrix_auth/matrix_auth.secret"
		o.Must("root", "sed -i 's#secret_path: .*#secret_path: "+generated+"#' /etc/matrix-synapse/conf.d/matrix_auth.yaml")
		o.Must("root", "systemctl stop matrix-synapse") // now only the unit tells of its user
		found, healthy := o.examine("root")
		f := found["secret-file/closed"]
		if healthy || !strings.Contains(f.What, "matrix-synapse.service") || !strings.Contains(f.Change, generated) {
			t.Fatalf("it found %+v", found)
		}
		if r := o.Run("root", "systemctl start matrix-synapse"); r.Err == nil {
			t.Error("Synapse starts without its secret")
		}
		command, _, _ := strings.Cut(f.Change, "\nor ")
		o.Must("root", command)
		o.Must("root", "systemctl reset-failed matrix-synapse; systemctl start matrix-synapse")
		well(t)
	})
	t.Run("as_Caddy's_user", func(t *testing.T) {
		found, _ := o.examine("caddy")
		if f := found["secret-file"]; f.Check == "" {
			t.Errorf("it says nothing of the secret: %+v", found)
		}
	})
	t.Run("the_well_known_has_a_second_header", func(t *testing.T) {
		o.Must("root", `sed -i '/header .*Access-Control-Allow-Origin/a header /.well-known/matrix/* +Access-Control-Allow-Origin *' /etc/caddy/Caddyfile && systemctl reload caddy`)
		if found, healthy := o.examine("root"); healthy || found["well-known/cors-doubled"].OK || found["well-known/cors-doubled"].ID == "" {
			t.Errorf("it found %+v", found)
		}
		o.Must("root", `sed -i '/+Access-Control-Allow-Origin/d' /etc/caddy/Caddyfile && systemctl reload caddy`)
		well(t)
	})
}
