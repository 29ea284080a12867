package tests

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestHomeserverContract has real Synapses pass the cases that the fake of the unit tests passes, so
// that the fake cannot drift from them (SYN-11 to SYN-13, SYN-24).
func TestHomeserverContract(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			// Nobody introspects here, so nothing needs to listen at the endpoint.
			s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Endpoint: "http://127.0.0.1:9/", Secret: rand.Text()})
			// The client is internal to the module above, so its own test is run against this Synapse.
			const test = "TestContractSynapse"
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^"+test+"$", "./matrixauth/internal/homeserver")
			cmd.Dir = filepath.Dir(rig.Tests())
			cmd.Env = append(os.Environ(),
				"MATRIX_AUTH_CONTRACT_ENDPOINT="+s.URL, "MATRIX_AUTH_CONTRACT_SECRET="+s.Secret, "MATRIX_AUTH_CONTRACT_VERSION="+version,
				"MATRIX_AUTH_CONTRACT_SERVER_NAME="+rig.ServerName, "MATRIX_AUTH_CONTRACT_EXCLUSIVE=bridge_x")
			out, err := cmd.CombinedOutput()
			// Without the line, nothing was run, or it was skipped.
			if err != nil || !bytes.Contains(out, []byte("\n--- PASS: "+test+" (")) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
		t.Run(version+" without delegation has no API", func(t *testing.T) {
			s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: "enable_registration: false"})
			response, err := http.Post(s.URL+"/_synapse/mas/upsert_device", "application/json", bytes.NewReader([]byte("{}")))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var body struct{ Errcode string }
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != http.StatusNotFound || body.Errcode != "M_UNRECOGNIZED" {
				t.Errorf("%d %s; want 404 M_UNRECOGNIZED", response.StatusCode, body.Errcode)
			}
		})
	}
}
