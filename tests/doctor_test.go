package tests

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// finding is one result of "doctor --json".
type finding struct {
	ID, Check, What, Where, Change string
	OK                             bool
}

// examine runs the doctor and gives its findings by check; exit reports whether it found nothing.
func examine(t *testing.T, c *rig.Caddy, more ...string) (found map[string]finding, healthy bool) {
	t.Helper()
	return examineBy(t, c.Command, more...)
}

// examineBy is examine by a way to run commands.
func examineBy(t *testing.T, run func(stdin string, args ...string) (string, error), more ...string) (found map[string]finding, healthy bool) {
	t.Helper()
	if !slices.Contains(more, "--synapse-config") {
		more = append(more, "--synapse-config=") // not that of this machine, if it has one
	}
	out, err := run("", append([]string{"doctor", "--json"}, more...)...)
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found = map[string]finding{}
	for _, f := range all {
		if known, ok := found[f.Check]; !ok || known.OK {
			found[f.Check] = f
		}
	}
	return found, err == nil
}

// wellKnown serves the document of a server name over TLS and gives the name and a file of the
// authority to trust. Everything else on that host is for leaky to answer, if it is set.
func wellKnown(t *testing.T, base func() string, leaky *atomic.Pointer[httputil.ReverseProxy]) (name, authority string) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leak := leaky.Load(); leak != nil && r.URL.Path != wellKnownPath {
			leak.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"m.homeserver":{"base_url":%q}}`, base())
	}))
	t.Cleanup(s.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(s.URL, "https://"), authority
}

// TestDoctor breaks each thing and reads the finding.
func TestDoctor(t *testing.T) {
	var site string
	var leaky atomic.Pointer[httputil.ReverseProxy]
	name, authority := wellKnown(t, func() string { return site }, &leaky)
	const secret = "the-shared-secret"
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: name, Secret: secret})
	site = c.URL
	newSynapse := func(serverName, secret, endpoint string) *rig.Synapse {
		return rig.NewSynapse(t, rig.SynapseConfig{Version: rig.Newest, ServerName: serverName, Secret: secret, Endpoint: endpoint})
	}
	good := newSynapse(name, secret, c.Internal)
	c.CaddyConfig.Synapse = good.URL
	c.Write(c.Text(""))
	good.Start()
	c.Start()
	rig.Join(t, c, good).AddUser("alice")
	yaml := filepath.Join(good.Dir, "homeserver.yaml")

	t.Run("healthy", func(t *testing.T) {
		found, healthy := examine(t, c, "--ca-file", authority, "--synapse-config", yaml)
		if !healthy {
			t.Fatalf("it found %+v", found)
		}
	})
	// with points Caddy at another Synapse for one case.
	with := func(t *testing.T, s *rig.Synapse) map[string]finding {
		t.Helper()
		if s != nil {
			s.Start()
			defer s.Stop()
			c.CaddyConfig.Synapse = s.URL
			c.Write(c.Text(""))
			if err := c.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		found, healthy := examine(t, c, "--ca-file", authority)
		if healthy {
			t.Fatal("the doctor is content")
		}
		return found
	}
	want := func(t *testing.T, f finding, what, change string) {
		t.Helper()
		if f.OK || !strings.Contains(f.What, what) || !strings.Contains(f.Change, change) {
			t.Fatalf("got %+v", f)
		}
	}
	good.Stop()
	t.Run("synapse_is_down", func(t *testing.T) {
		want(t, with(t, nil)["synapse version"], "does not answer", "start Synapse")
	})
	t.Run("synapse_has_another_secret", func(t *testing.T) {
		found := with(t, newSynapse(name, "another-secret", c.Internal))
		want(t, found["our call to synapse"], "another secret", "synapse-config")
		want(t, found["synapse's call to us"], "another secret", "synapse-config")
	})
	t.Run("synapse_asks_at_a_wrong_address", func(t *testing.T) {
		found := with(t, newSynapse(name, secret, fmt.Sprintf("http://127.0.0.1:%d/", rig.FreePort(t))))
		want(t, found["synapse's call to us"], "did not reach us", c.Internal)
	})
	t.Run("synapse_does_not_delegate", func(t *testing.T) {
		s := rig.NewSynapse(t, rig.SynapseConfig{Version: rig.Newest, ServerName: name, Delegation: "# nothing"})
		found := with(t, s)
		want(t, found["our call to synapse"], "not delegated", "synapse-config")
		want(t, found["synapse's call to us"], "without asking us", c.Internal)
	})
	t.Run("synapse_has_another_server_name", func(t *testing.T) {
		s := newSynapse("other.test", secret, c.Internal)
		s.Start()
		defer s.Stop()
		if _, err := rig.Provision(s.URL, secret, "alice"); err != nil {
			t.Fatal(err)
		}
		c.CaddyConfig.Synapse = s.URL
		c.Write(c.Text(""))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		found, _ := examine(t, c, "--ca-file", authority)
		want(t, found["our call to synapse"], "other.test", "server_name")
	})

	c.CaddyConfig.Synapse = good.URL
	c.Write(c.Text(""))
	good.Start()
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	t.Run("a_proxy_answers_in_our_place", func(t *testing.T) {
		text := c.Text("")
		c.Write("{\n\torder matrix_auth last\n" + strings.TrimPrefix(text, "{\n"))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		found := with(t, nil)
		want(t, found["public routes"], "answered by somebody else", "before any reverse_proxy")
		want(t, found["guard"], "is open", "before any reverse_proxy")
		want(t, found["ways to synapse"], "anybody can guess at the shared secret", "matrix_auth")
		c.Write(text)
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a_password_stands_in_front_of_a_part", func(t *testing.T) {
		hash, err := c.Run("", "hash-password", "--plaintext", "letmein", "--algorithm", "bcrypt")
		if err != nil {
			t.Fatal(err)
		}
		c.Write(c.Text("basic_auth /_matrix/client/v1/* {\n\t\tbob " + strings.TrimSpace(hash) + "\n\t}"))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		found := with(t, nil)
		want(t, found["in front of us"], "meet basic_auth before matrix_auth", "@private not path /_matrix/*")
		want(t, found["public routes"], "asked for a password", "let clients pass")
		c.Write(c.Text(""))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the_server_name's_host_leads_past_us", func(t *testing.T) {
		target, err := url.Parse(good.URL)
		if err != nil {
			t.Fatal(err)
		}
		leaky.Store(httputil.NewSingleHostReverseProxy(target))
		defer leaky.Store(nil)
		want(t, with(t, nil)["other hosts"], "https://"+name+" leads to Synapse past matrix_auth", "bare matrix_auth")
	})
	t.Run("another_site_leads_past_us", func(t *testing.T) {
		port := rig.FreePort(t)
		beside := fmt.Sprintf("http://beside.test:%d {\n\treverse_proxy %s\n}\n", port, strings.Replace(good.URL, "127.0.0.1", "localhost", 1))
		c.Write(c.Text("") + beside)
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		want(t, with(t, nil)["other hosts"], fmt.Sprintf("http://beside.test:%d leads to Synapse past matrix_auth", port), "bare matrix_auth")
		c.Write(c.Text("") + strings.Replace(beside, "reverse_proxy", "matrix_auth\n\treverse_proxy", 1))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		if found, healthy := examine(t, c, "--ca-file", authority); !healthy {
			t.Errorf("with a bare matrix_auth it finds %+v", found)
		}
		c.Write(c.Text(""))
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("clients_can_invent_their_addresses", func(t *testing.T) {
		text := c.Text("")
		for _, test := range []struct {
			strict string
			ok     bool
		}{{"", false}, {"trusted_proxies_strict", true}} {
			c.Write("{\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t\t" + test.strict + "\n\t}\n" + strings.TrimPrefix(text, "{\n"))
			if err := c.Reload(); err != nil {
				t.Fatal(err)
			}
			if found, healthy := examine(t, c, "--ca-file", authority); healthy != test.ok || found["trusted proxies"].OK != test.ok {
				t.Errorf("strict %v: got %+v", test.ok, found["trusted proxies"])
			}
		}
		c.Write(text)
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the_well_known_document_leads_elsewhere", func(t *testing.T) {
		site = good.URL
		defer func() { site = c.URL }()
		want(t, with(t, nil)["well-known"], "where we do not answer", c.URL)
	})
	t.Run("the_certificate_is_not_trusted", func(t *testing.T) {
		found, healthy := examine(t, c)
		if healthy {
			t.Fatal("the doctor is content")
		}
		want(t, found["certificate"], "authority", "--ca-file")
	})
	for label, change := range map[string]struct{ old, new, what, change string }{
		"secret_file_in_place_of_secret_path": {"secret: \"" + secret + "\"", "secret_file: /x", "secret_file", "secret_path"},
		"a_setting_stops_synapse":             {"report_stats: false", "report_stats: false\nenable_registration: true", "enable_registration: Synapse", "enable_registration"},
		"another_secret_in_the_file":          {secret, "another-secret", "not ours", "secret"},
		"another_endpoint_in_the_file":        {c.Internal, "http://localhost:1/", "endpoint", c.Internal},
		"another_name_in_the_file":            {"server_name: \"" + name, "server_name: \"other" + name, "server_name", "matrix_auth other"},
	} {
		t.Run(label, func(t *testing.T) {
			text, err := os.ReadFile(yaml)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), change.old) {
				t.Fatalf("%q is not in\n%s", change.old, text)
			}
			broken := filepath.Join(t.TempDir(), "homeserver.yaml")
			if err := os.WriteFile(broken, []byte(strings.Replace(string(text), change.old, change.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			found, healthy := examine(t, c, "--ca-file", authority, "--synapse-config", broken)
			if healthy {
				t.Fatal("the doctor is content")
			}
			want(t, found["homeserver.yaml"], change.what, change.change)
			if !strings.HasPrefix(found["homeserver.yaml"].Where, broken+":") {
				t.Errorf("the place is %q", found["homeserver.yaml"].Where)
			}
		})
	}
	c.Stop()
	t.Run("no_server_runs", func(t *testing.T) {
		want(t, with(t, nil)["server"], "no server is running", "start Caddy")
	})
	t.Run("the_configuration_is_broken", func(t *testing.T) {
		c.Write(strings.Replace(c.Text(""), "endpoint", "endpiont", 1))
		want(t, with(t, nil)["configuration"], "endpiont", "mend")
	})
}
