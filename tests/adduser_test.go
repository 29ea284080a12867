package tests

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestAddUser has accounts added by what real Synapses say of their names, and by nobody's word where they say
// nothing (CREATE-5).
func TestAddUser(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			refused := func(says string, args ...string) {
				t.Helper()
				// There is no password to be read: what stands against the account is said before.
				_, err := h.Command("", append([]string{"user", "add"}, args...)...)
				if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "holds no password") {
					t.Errorf("%v: %v, want %q", args, err, says)
				}
			}
			for _, name := range []string{"bob", "gone"} {
				if _, err := rig.Provision(h.Synapse.URL, h.Secret, name); err != nil {
					t.Fatal(err)
				}
			}
			if err := rig.Deactivate(h.Synapse.URL, h.Secret, "gone"); err != nil {
				t.Fatal(err)
			}
			refused("has an account @bob:example.test already; --existing takes it over", "bob", "--force")
			refused("has an account @gone:example.test already", "gone")
			refused("has no account @bobb:example.test", "bobb", "--existing", "--force")
			refused("application service", "bridge_x", "--force")
			refused("has deactivated the account @gone:example.test", "gone", "--existing")

			password := h.AddUser("@bob:example.test", "--existing")
			h.Login("bob", password, nil).Must(t, http.StatusOK)
			refused("@bob:example.test is here already (active)", "bob", "--existing")
			password = h.AddUser("gone", "--existing", "--force")
			h.MustCommand("", "user", "reactivate", "GONE")
			rig.Await(t, "the account to be usable again", func() error {
				// A Synapse with a new database builds the index for it for some moments.
				if answer := h.Login("gone", password, nil); answer.Status != http.StatusOK {
					return fmt.Errorf("%d %v", answer.Status, answer.Body)
				}
				return nil
			})

			t.Run("another server name", func(t *testing.T) {
				other := rig.NewCaddy(t, rig.CaddyConfig{ServerName: "other.test", Secret: h.Secret, Synapse: h.Synapse.URL})
				other.Start()
				_, err := other.Command("", "user", "add", "bob", "--existing", "--force")
				if err == nil || !strings.Contains(err.Error(), `it is "example.test", the configuration says "other.test"`) {
					t.Errorf("it says %v", err)
				}
				// Nobody has an account there, so that the mistake can be mended.
				other.Stop()
				other.ServerName = rig.ServerName
				other.Write(other.Text(""))
				other.Start()
				other.MustCommand("a long password\n", "user", "add", "bob", "--existing")
				other.Stop()
				other.ServerName = "other.test"
				other.Write(other.Text(""))
				if out, err := other.Run("", "validate", "--config", other.File()); err == nil || !strings.Contains(err.Error(), "holds the accounts of example.test") {
					t.Errorf("validate: %v\n%s", err, out)
				}
				if out, err := other.Command("", "user", "list"); err == nil || !strings.Contains(err.Error(), "holds the accounts of example.test") {
					t.Errorf("a command: %v\n%s", err, out)
				}
			})
			t.Run("another server name, before there is anybody", func(t *testing.T) {
				s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Endpoint: h.Internal, Secret: h.Secret, Keys: true})
				other := rig.NewCaddy(t, rig.CaddyConfig{ServerName: "exmaple.test", Secret: h.Secret, Synapse: s.URL})
				other.Start()
				_, err := other.Command("", "user", "add", "alice", "--force")
				if err == nil || !strings.Contains(err.Error(), `it is "example.test", the configuration says "exmaple.test"`) {
					t.Errorf("it says %v", err)
				}
				rig.Await(t, "a warning in the log", func() error {
					log, err := os.ReadFile(other.LogFile())
					if err == nil && !strings.Contains(string(log), "the homeserver is another one than the configured") {
						err = fmt.Errorf("the log is %s", log)
					}
					return err
				})
			})
			t.Run("another secret", func(t *testing.T) {
				other := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Secret: "another-secret", Synapse: h.Synapse.URL})
				other.Start()
				wantUnasked(t, other, "refuses our secret (status 403)")
			})
			t.Run("down", func(t *testing.T) {
				h.Synapse.Stop()
				wantUnasked(t, h.Caddy, "cannot be asked")
			})
		})
		t.Run(version+" that does not delegate yet", func(t *testing.T) {
			s := rig.StartSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: "enable_registration: false"})
			c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Secret: "shared", Synapse: s.URL})
			c.Start()
			wantUnasked(t, c, "Synapse "+version+" at "+s.URL+" does not delegate its logins to us yet")
		})
	}
}

// wantUnasked sees that accounts are refused by a sentence while Synapse says nothing, and are added by force.
func wantUnasked(t *testing.T, c *rig.Caddy, says string) {
	t.Helper()
	for _, args := range [][]string{{"user", "add", "carol"}, {"user", "add", "dave", "--existing"}} {
		_, err := c.Command("", args...)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%v: %v, want %q", args, err, says)
		}
		c.MustCommand("a long password\n", append(args, "--force")...)
	}
	log, err := os.ReadFile(c.LogFile())
	if err != nil || !strings.Contains(string(log), `"code":"temporarily_unavailable"`) || strings.Contains(string(log), `"level":"error"`) {
		t.Errorf("%v; the log is\n%s", err, log)
	}
}
