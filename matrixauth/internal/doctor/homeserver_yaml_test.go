package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// examineYAML writes Synapse's files, of which the block is one, and examines them.
func examineYAML(t *testing.T, block string, change func(*SynapseExamination)) []Finding {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"homeserver.yaml":    "report_stats: false\n",
		"conf.d/a.yaml":      "server_name: example.com\n",
		"conf.d/block.yaml":  block,
		"secrets/ours":       "the-secret\n",
		"secrets/another":    "another-secret\n",
		"secrets/unreadable": "the-secret",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "$SECRETS", filepath.Join(folder, "secrets"))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := SynapseExamination{
		Paths: []string{filepath.Join(folder, "homeserver.yaml"), filepath.Join(folder, "conf.d")},
		Want:  Delegation{Endpoint: "http://localhost:8080/", Secret: "the-secret", SecretPath: filepath.Join(folder, "secrets", "ours")},
		Near:  true, ServerName: "example.com", Issuer: "https://matrix.example.com", Homeserver: "http://localhost:8008", Version: "1.163.2",
	}
	if change != nil {
		change(&e)
	}
	return ExamineSynapse(e)
}

// TestExamineSynapse judges blocks as people have them, beside other machines and containers. What only they
// could tell is never called wrong.
func TestExamineSynapse(t *testing.T) {
	block := func(endpoint, secret string) string {
		return fmt.Sprintf("# first\nmatrix_authentication_service:\n  enabled: true\n  endpoint: %s\n  %s\n", endpoint, secret)
	}
	const ours = "secret_path: $SECRETS/ours"
	container := func(e *SynapseExamination) { e.Homeserver, e.Near = "http://synapse:8008", false }
	reached := func(e *SynapseExamination) { e.Reached = true }
	both := func(e *SynapseExamination) { container(e); reached(e) }
	exact := func(e *SynapseExamination) { container(e); e.Want.Endpoint, e.Exact = "http://caddy:8080/", true }
	for _, tc := range []struct {
		name, block string
		change      func(*SynapseExamination)
		id, where   string // of the one fault, empty if there is none
		note        string // in what is not wrong
	}{
		{name: "as_printed", block: block("http://localhost:8080/", ours), note: "logins are delegated to us"},
		{name: "without_a_slash", block: block("http://localhost:8080", ours), note: "logins are delegated to us"},
		{name: "loopback_by_address", block: block("http://127.0.0.1:8080/", ours), note: "logins are delegated to us"},
		{name: "at_the_issuer", block: block("https://Matrix.Example.com:443/", ours), note: "logins are delegated to us"},
		{name: "missing", block: "x: 1\n", id: "not-delegated"},
		{name: "another_port", block: block("http://localhost:8081/", ours), id: "other-endpoint", where: "block.yaml:4"},
		{name: "another_port_though_reached", block: block("http://localhost:8081/", ours), change: reached, id: "other-endpoint", where: "block.yaml:4"},
		{name: "https_in_place_of_http", block: block("https://localhost:8080/", ours), id: "other-endpoint", where: "block.yaml:4"},
		{name: "another_path", block: block("http://localhost:8080/auth/", ours), id: "other-endpoint", where: "block.yaml:4"},
		{name: "a_name_while_we_are_on_loopback", block: block("http://caddy:8080/", ours), id: "other-endpoint", where: "block.yaml:4"},
		{name: "a_name_that_works", block: block("http://caddy:8080/", ours), change: reached, note: "Synapse reaches us"},
		{name: "container", block: block("http://caddy:8080/", ours), change: container, note: "is not seen from here"},
		{name: "container_another_port", block: block("http://caddy:8081/", ours), change: container, id: "other-endpoint", where: "block.yaml:4"},
		{name: "container_mapped_port_that_works", block: block("http://host.docker.internal:18080/", ours), change: both, note: "Synapse reaches us"},
		{name: "container_loopback_port_that_works", block: block("http://127.0.0.1:8080/", ours), change: both, note: "logins are delegated"},
		{name: "as_said", block: block("http://caddy:8080/", ours), change: exact, note: "logins are delegated"},
		{name: "other_than_said", block: block("http://caddi:8080/", ours), change: exact, id: "other-endpoint", where: "block.yaml:4"},
		{name: "localhost_other_than_said", block: block("http://localhost:8080/", ours), change: exact, id: "other-endpoint", where: "block.yaml:4"},
		{name: "secret_file_missing", block: block("http://localhost:8080/", "secret_path: /no/such"), id: "matrix_authentication_service.secret_path", where: "block.yaml:5"},
		{name: "container_secret_file", block: block("http://caddy:8080/", "secret_path: /no/such"), change: container, note: "no such file or directory: not seen from here"},
		{name: "container_by_endpoint", block: block("http://caddy:8080/", "secret_path: /no/such"), change: func(e *SynapseExamination) { e.Near = false }, note: "no such file or directory: not seen from here"},
		{name: "secret_file_missing_that_works", block: block("http://localhost:8080/", "secret_path: /no/such"), change: reached, note: "not seen from here"},
		{name: "another_secret_in_a_file", block: block("http://localhost:8080/", "secret_path: $SECRETS/another"), id: "other-secret", where: "block.yaml:5"},
		{name: "container_another_secret_in_a_file", block: block("http://caddy:8080/", "secret_path: $SECRETS/another"), change: container, id: "other-secret", where: "block.yaml:5"},
		{name: "container_another_secret_in_a_file_that_works", block: block("http://caddy:8080/", "secret_path: $SECRETS/another"), change: both, note: "as it is here, has another"},
		{name: "another_secret", block: block("http://caddy:8080/", "secret: another-secret"), change: both, id: "other-secret", where: "block.yaml:5"},
		{name: "other_name", block: block("http://localhost:8080/", ours) + "server_name: example.org\n", id: "other-server-name", where: "block.yaml:6"},
		{name: "old_empty_key_new_synapse", block: block("http://localhost:8080/", ours) + "  secret:\n", note: "logins are delegated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var faults []Finding
			notes := ""
			for _, f := range examineYAML(t, tc.block, tc.change) {
				if strings.Contains(fmt.Sprint(f), "another-secret") || strings.Contains(fmt.Sprint(f), "the-secret") {
					t.Errorf("shows a secret: %+v", f)
				}
				if f.OK {
					notes += f.What + "\n"
				} else {
					faults = append(faults, f)
				}
			}
			if tc.id == "" {
				if len(faults) > 0 || !strings.Contains(notes, tc.note) {
					t.Errorf("got %+v\n%s\nwant %q", faults, notes, tc.note)
				}
				return
			}
			if len(faults) != 1 || faults[0].ID != "homeserver.yaml/"+tc.id || !strings.HasSuffix(faults[0].Where, tc.where) || faults[0].Change == "" {
				t.Errorf("got %+v, want %s at %s", faults, tc.id, tc.where)
			}
		})
	}
}

// TestExamineSynapseAlone names the folder that is left out where something is missing.
func TestExamineSynapseAlone(t *testing.T) {
	found := examineYAML(t, "", func(e *SynapseExamination) { e.Paths = e.Paths[:1] })
	for _, id := range []string{"homeserver.yaml/not-delegated", "homeserver.yaml/no-server-name"} {
		missing := true
		for _, f := range found {
			if f.ID == id && strings.Contains(f.Change, "--synapse-config ") && strings.Contains(f.Change, "conf.d, which Debian's service reads too") {
				missing = false
			}
		}
		if missing {
			t.Errorf("%s is not in %+v", id, found)
		}
	}
}

// TestExamineSynapseUnreadable tells files that were named from those that were found.
func TestExamineSynapseUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	for _, found := range []bool{false, true} {
		findings := examineYAML(t, "", func(e *SynapseExamination) {
			e.Found = found
			if err := os.Chmod(e.Paths[0], 0); err != nil {
				t.Fatal(err)
			}
		})
		if len(findings) != 1 || findings[0].OK != found {
			t.Errorf("found %v: %+v", found, findings)
		}
	}
}
