package tests

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestSynapseConfigIsReadAsSynapseReadsIt puts what we take Synapse's configuration for to real Synapses: texts
// and their values, files and folders that are merged, and settings that keep it from starting (SYN-16, SYN-22).
func TestSynapseConfigIsReadAsSynapseReadsIt(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			// The reader is internal to the module above, so its own tests are run with this Synapse.
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestSynapse(ReadsAsWe|MergesAsWe|Agrees)$", "./matrixauth/internal/synapseconfig")
			cmd.Dir = filepath.Dir(rig.Tests())
			cmd.Env = append(os.Environ(), "SYNAPSE_PYTHON="+rig.Python(t, version))
			out, err := cmd.CombinedOutput()
			// Without the lines, something was not run, or was skipped.
			if err != nil || strings.Count(string(out), "\n--- PASS: TestSynapse") != 3 {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// oldBlock delegates by the experimental section of Synapse before 1.157.
const oldBlock = `# what the old service needed
experimental_features:
  msc3861: {enabled: true, issuer: "http://127.0.0.1:%[1]d/", client_id: "0000000000000000000SYNAPSE", client_auth_method: client_secret_basic,
    client_secret: old-client-secret, admin_token: the-admin-token-of-before, account_management_url: "http://127.0.0.1:%[1]d/account"}
# the end
`

// folder makes the folder of a Synapse that Debian's service reads after homeserver.yaml.
func folder(t *testing.T, s *rig.Synapse, files map[string]string) (path string) {
	t.Helper()
	path = filepath.Join(s.Dir, "conf.d")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.ConfigPaths = []string{path}
	return path
}

// signsIn proves that Synapse and we work together.
func signsIn(t *testing.T, c *rig.Caddy, s *rig.Synapse, name string) {
	t.Helper()
	h := rig.Join(t, c, s)
	token := h.Login(name, h.AddUser(name), nil).Must(t, http.StatusOK).Text("access_token")
	h.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
}

// TestSynapseConfigBesideOthers writes what the command prints to a file of the folder that Debian's Synapse reads, and
// takes out what it names. With less Synapse does not start.
func TestSynapseConfigBesideOthers(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: "http://127.0.0.1:1"})
			s := rig.NewSynapse(t, rig.SynapseConfig{Version: version, ServerName: rig.ServerName, Delegation: "enable_registration: false\nenable_3pid_changes: false"})
			c.CaddyConfig.Synapse = s.URL
			c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1))
			c.Start()
			main, conf := filepath.Join(s.Dir, "homeserver.yaml"), folder(t, s, map[string]string{
				"a.yaml":     "# of the owner\nenable_3pid_changes: true\n",
				"z.yaml":     "password_config:\n  localdb_enabled: true\n  enabled: true\n",
				"empty.yaml": "# nothing\n",
			})
			block, said, err := c.CommandBoth("", "synapse-config", "--synapse-config", main, "--synapse-config", conf)
			if err != nil {
				t.Fatal(err, said)
			}
			for _, place := range []string{filepath.Join(conf, "a.yaml") + ":2: enable_3pid_changes", filepath.Join(conf, "z.yaml") + ":3: password_config.enabled"} {
				if !strings.Contains(said, place) {
					t.Errorf("%q is not named in\n%s", place, said)
				}
			}
			if strings.Contains(said, "enable_registration") {
				t.Errorf("it names what is well:\n%s", said)
			}
			write := func(name, text string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("matrix_auth.yaml", block)
			if err := s.TryStart(); err == nil {
				t.Fatal("Synapse starts with what should go")
			}
			s.Stop()
			write("a.yaml", "# of the owner\n")
			write("z.yaml", "password_config:\n  localdb_enabled: true\n  enabled: false\n")
			s.Start()
			signsIn(t, c, s, "alice")
			found, _ := examine(t, c, "--synapse-config", main, "--synapse-config", conf)
			if f := found["homeserver.yaml"]; !f.OK {
				t.Errorf("the doctor found %+v", f)
			}
			// A file that counts more takes it back, and is named.
			write("zz.yaml", "enable_3pid_changes: true\nmatrix_authentication_service:\n  enabled: true\n  secret_path: /no/such/file\n")
			found, _ = examine(t, c, "--synapse-config", main, "--synapse-config", conf)
			if f := found["homeserver.yaml"]; f.OK || f.Where != filepath.Join(conf, "zz.yaml")+":1" {
				t.Errorf("the doctor found %+v", f)
			}
		})
	}
}

// TestMigrateMSC3861OfSeveralFiles moves a Synapse whose section stands in a file of its own, to which a link leads. The
// link stays, nothing else is touched, and both versions start with the result.
func TestMigrateMSC3861OfSeveralFiles(t *testing.T) {
	s := rig.NewSynapse(t, rig.SynapseConfig{Version: rig.Oldest, ServerName: rig.ServerName, Delegation: "# in conf.d"})
	main, conf := filepath.Join(s.Dir, "homeserver.yaml"), folder(t, s, map[string]string{"a.yaml": "enable_registration: false\n"})
	target, link := filepath.Join(t.TempDir(), "delegation"), filepath.Join(conf, "old.yaml")
	original := fmt.Sprintf(oldBlock, rig.FreePort(t))
	if err := errors.Join(os.WriteFile(target, []byte(original), 0o640), os.Chmod(target, 0o640), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.Stop()
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: s.URL})
	c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1))
	before := read(t, main)

	written := c.MustCommand("", "migrate", "msc3861", "--synapse-config", main, "--synapse-config", conf, "--write")
	backup := strings.TrimSpace(written[strings.LastIndex(strings.TrimSpace(written), " ")+1:])
	if read(t, backup) != original || filepath.Dir(backup) != filepath.Dir(target) || !strings.Contains(written, target+" is written") {
		t.Errorf("the backup is %s, and it said %s", backup, written)
	}
	if read(t, main) != before {
		t.Error("homeserver.yaml was changed")
	}
	if to, err := os.Readlink(link); err != nil || to != target {
		t.Errorf("the link leads to %s, %v", to, err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if after := read(t, target); strings.Contains(after, "msc3861") || !strings.HasPrefix(after, "# what the old service needed\nmatrix_authentication_service:\n") || !strings.HasSuffix(after, "# the end\n") {
		t.Errorf("the file is\n%s", after)
	}
	c.Start()
	for i, version := range rig.Versions {
		s.Version = version
		s.Start()
		signsIn(t, c, s, fmt.Sprint("alice", i))
		s.Stop()
	}
}

// TestSynapseByAnotherName has Synapse reach us by a name of its own, as in containers, on a machine with the packaged
// services: the block is printed for that name, and the doctor finds by itself what Synapse reads and takes no name for
// wrong that works.
func TestSynapseByAnotherName(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	o.Must("root", "echo 127.0.0.1 caddy >>/etc/hosts")
	o.Must("root", "caddy matrix-auth synapse-config --endpoint http://caddy:8080/ --secret-path /etc/matrix-synapse/matrix_auth.secret >/etc/matrix-synapse/conf.d/matrix_auth.yaml")
	if block := o.Read("/etc/matrix-synapse/conf.d/matrix_auth.yaml"); !strings.Contains(block, `endpoint: "http://caddy:8080/"`) || strings.Contains(block, "#") {
		t.Fatalf("the file is\n%s", block)
	}
	o.Must("root", "systemctl restart matrix-synapse")
	o.login("alice", typed).Must(t, http.StatusOK)
	shown := o.Must("root", "caddy matrix-auth doctor")
	if !strings.Contains(shown, "conf.d/matrix_auth.yaml:3: its endpoint is http://caddy:8080/: Synapse reaches us; where caddy:8080 leads is not seen from here") {
		t.Errorf("the doctor says\n%s", shown)
	}
	// A port that is not ours is wrong by any name, once Synapse is started with it.
	o.Must("root", "sed -i s/:8080/:8081/ /etc/matrix-synapse/conf.d/matrix_auth.yaml && systemctl restart matrix-synapse")
	shown = o.Run("root", "caddy matrix-auth doctor").Out
	if !strings.Contains(shown, "WRONG homeserver.yaml: its endpoint is http://caddy:8081/") || !strings.Contains(shown, "conf.d/matrix_auth.yaml:3\n") {
		t.Errorf("the doctor says\n%s", shown)
	}
}
