package tests

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// contractYAML delegates to where the test listens.
const contractYAML = `matrix_authentication_service: {enabled: true, endpoint: "http://127.0.0.1:%d/", secret: %q}`

// reactivates reports whether reactivate_user works. Synapse 1.157.1 and later answer 500 as long as an index is
// missing that it builds in the background in a new database.
func reactivates(base, secret string) error {
	for _, op := range []string{"provision_user", "reactivate_user"} {
		request, err := http.NewRequest(http.MethodPost, base+"/_synapse/mas/"+op, strings.NewReader(`{"localpart":"indexed"}`))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("%s: %s", op, response.Status)
		}
	}
	return nil
}

// TestHomeserverContract has real Synapses pass the cases that the fake of the unit tests passes, so
// that the fake cannot drift from them (SYN-11 to SYN-13, SYN-24).
func TestHomeserverContract(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			secret, port := rand.Text(), rig.FreePort(t)
			s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: fmt.Sprintf(contractYAML, port, secret), Keys: true})
			rig.Await(t, "the indexes of a new database", func() error { return reactivates(s.URL, secret) })
			// The client is internal to the module above, so its own test is run against this Synapse.
			const test = "TestContractSynapse"
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^"+test+"$", "./matrixauth/internal/homeserver")
			cmd.Dir = filepath.Dir(rig.Tests())
			cmd.Env = append(os.Environ(),
				"MATRIX_AUTH_CONTRACT_ENDPOINT="+s.URL, "MATRIX_AUTH_CONTRACT_SECRET="+secret, "MATRIX_AUTH_CONTRACT_VERSION="+version,
				"MATRIX_AUTH_CONTRACT_SERVER_NAME="+rig.ServerName, "MATRIX_AUTH_CONTRACT_EXCLUSIVE=bridge_x",
				fmt.Sprintf("MATRIX_AUTH_CONTRACT_INTROSPECTOR=127.0.0.1:%d", port))
			out, err := cmd.CombinedOutput()
			// Without the line, nothing was run, or it was skipped.
			if err != nil || !bytes.Contains(out, []byte("\n--- PASS: "+test+" (")) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
		t.Run(version+" without delegation has no API", func(t *testing.T) {
			s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: "enable_registration: false"})
			response, err := http.Post(s.URL+"/_synapse/mas/upsert_device", "application/json", strings.NewReader("{}"))
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
