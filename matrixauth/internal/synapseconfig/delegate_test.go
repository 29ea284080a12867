package synapseconfig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var delegateTo = DelegateOptions{Endpoint: testEndpoint, Secret: "shared-secret-value"}

// delegationBlock is the block as it stands at the end of a file.
const delegationBlock = "matrix_authentication_service:\n  enabled: true\n  endpoint: \"http://127.0.0.1:8090/\"\n  secret: \"shared-secret-value\"\n"

// TestDelegate: the block is put in, what Synapse does not start with then becomes comments, and no other byte changes
// (SYN-16).
func TestDelegate(t *testing.T) {
	for _, test := range []struct{ name, before, after string }{
		{"nothing in the way", "server_name: a\n", "server_name: a\n"},
		{"no line break at the end", "server_name: a", "server_name: a\n"},
		{"top level", "server_name: a\nenable_registration: true # open\nreport_stats: true\n", "server_name: a\n# enable_registration: true # open\nreport_stats: true\n"},
		{"off already", "server_name: a\nenable_registration: false\npassword_config: {enabled: false}\n", "server_name: a\nenable_registration: false\npassword_config: {enabled: false}\n"},
		{"below another", "server_name: a\npassword_config:\n   enabled: true\n   pepper: x\n", "server_name: a\npassword_config:\n#    enabled: true\n   pepper: x\n"},
		{"alone below another", "server_name: a\npassword_config:\n   enabled: true\nreport_stats: true\n", "server_name: a\n# password_config:\n#    enabled: true\nreport_stats: true\n"},
		{"in braces", "server_name: a\npassword_config: {enabled: yes, pepper: x}\n", "server_name: a\npassword_config: {enabled: false, pepper: x}\n"},
		{"a list of providers", "server_name: a\noidc_providers:\n- idp_id: x\n\n  # inside\n  key: |\n    one\n    # two\n# after\nreport_stats: true\n",
			"server_name: a\n# oidc_providers:\n# - idp_id: x\n\n  # inside\n#   key: |\n#     one\n    # two\n# after\nreport_stats: true\n"},
		{"one of two modules", "modules:\n  - module: a.B\n    config: {}\n  - module: ldap_auth_provider.X\n    config:\n      enabled: true\nserver_name: a\n",
			"modules:\n  - module: a.B\n    config: {}\n#   - module: ldap_auth_provider.X\n#     config:\n#       enabled: true\nserver_name: a\n"},
		{"the first of two modules", "modules:\n- module: ldap_auth_provider.X\n- module: a.B\nserver_name: a\n", "modules:\n# - module: ldap_auth_provider.X\n- module: a.B\nserver_name: a\n"},
		{"the only module", "modules: [{module: ldap_auth_provider.X}]\nserver_name: a\n", "# modules: [{module: ldap_auth_provider.X}]\nserver_name: a\n"},
		{"both switches of registration", "server_name: a\nenable_registration: true\ndisable_registration: false\n", "server_name: a\n# enable_registration: true\n# disable_registration: false\n"},
		{"lifetimes", "session_lifetime: 1d\nserver_name: a\nrefresh_token_lifetime: 1h\nnonrefreshable_access_token_lifetime: 1h\nrefreshable_access_token_lifetime: 5m\n",
			"# session_lifetime: 1d\nserver_name: a\n# refresh_token_lifetime: 1h\n# nonrefreshable_access_token_lifetime: 1h\nrefreshable_access_token_lifetime: 5m\n"},
		{"what is off of the experimental form", "server_name: a\nexperimental_features:\n  msc3861:\n    enabled: false\n    x: y\n  msc4108_enabled: true\n",
			"server_name: a\nexperimental_features:\n#   msc3861:\n#     enabled: false\n#     x: y\n  msc4108_enabled: true\n"},
		{"behind a text", "server_name: a\nmotd: |\n  text\nenable_3pid_changes: true\n", "server_name: a\nmotd: |\n  text\n# enable_3pid_changes: true\n"},
	} {
		for _, form := range []struct{ name, lineBreak, mark string }{{"LF", "\n", ""}, {"CRLF", "\r\n", ""}, {"byte order mark", "\n", "\ufeff"}} {
			t.Run(test.name+", "+form.name, func(t *testing.T) {
				lines := func(text string) string { return form.mark + strings.ReplaceAll(text, "\n", form.lineBreak) }
				all, err := parse(t, lines(test.before)).Delegate(delegateTo)
				if err != nil {
					t.Fatal(err)
				}
				want := lines(test.after + "\n" + delegationBlock)
				if strings.HasSuffix(test.before, "a") && form.lineBreak == "\r\n" {
					want = lines("server_name: a") + "\n\n" + delegationBlock // a file of one line has no line break to go by
				}
				if got := string(all[0].New); len(all) != 1 || got != want {
					t.Errorf("%q\nwant %q", got, want)
				}
				if strings.Contains(all[0].Diff+fmt.Sprintf("%v %#v", all[0], *all[0]), "shared-secret-value") {
					t.Error(all[0].Diff)
				}
			})
		}
	}
}

// TestDelegateRefuses: what cannot be changed for sure is an error with its place, and nothing is planned.
func TestDelegateRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"matrix_authentication_service: {enabled: true, secret: x}\n", "homeserver.yaml:1: this Synapse delegates its logins already"},
		{"matrix_authentication_service: {enabled: false}\n", "homeserver.yaml:1: matrix_authentication_service is here and not on"},
		{"experimental_features: {msc3861: {enabled: true}}\n", "homeserver.yaml:1: this Synapse delegates its logins already, by msc3861"},
		{"{server_name: a}\n", "homeserver.yaml:1: the whole file is one {...}"},
		{"a: &x {enabled: true}\npassword_config: *x\n", "homeserver.yaml:1: password_config.enabled stands here in a form"},
		{"password_config: &x {enabled: true}\nother: *x\n", "homeserver.yaml:1: password_config.enabled stands here in a form"},
		{"password_config: {enabled: 'true', pepper: x}\n", "homeserver.yaml:1: password_config.enabled stands here in a form"},
		{"enable_registration: true\nenable_registration: true\n", "homeserver.yaml:2: the key enable_registration is here and on line 1"},
		{"<<: {enable_registration: true}\na: b\n", "homeserver.yaml:1: a merge key"},
		{"modules: [{module: ldap_auth_provider.X}, {module: a.B}]\n", "homeserver.yaml:1: modules stands here in a form"},
	} {
		all, err := parse(t, test.text).Delegate(delegateTo)
		if err == nil || all != nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %v, %v", test.text, all, err)
		}
	}
	if _, err := parse(t, "matrix_authentication_service: {enabled: true, secret: x}\n").Delegate(delegateTo); !errors.Is(err, ErrAlreadyMigrated) {
		t.Error(err)
	}
	if _, err := parse(t, "server_name: a\n").Delegate(DelegateOptions{Endpoint: "nowhere", Secret: "x"}); err == nil {
		t.Error("an endpoint that is none was taken")
	}
}

// severalFiles are files of a configuration of which each has something in the way, one nothing else.
var severalFiles = map[string]string{
	"homeserver.yaml":         "server_name: a\npassword_config:\n  enabled: true\n  pepper: the-pepper-value\n",
	"conf.d/10.yaml":          "enable_registration: true\n",
	"conf.d/20.yaml":          "report_stats: true\noidc_providers:\n- client_secret: the-client-secret\n  client_secret_jwt_key:\n    key: |\n      -----BEGIN-----\n      the-private-part\n",
	"conf.d/30.yaml":          "auto_join_rooms: []\n",
	"conf.d/15-override.yaml": "password_config: {enabled: true}\nenable_registration: true\n",
}

func readSeveral(t *testing.T) (folder string, c *Config) {
	t.Helper()
	folder = writeFiles(t, severalFiles)
	c, err := Read(filepath.Join(folder, "homeserver.yaml"), filepath.Join(folder, "conf.d"))
	if err != nil {
		t.Fatal(err)
	}
	return folder, c
}

// reread reads a configuration again.
func reread(t *testing.T, folder string) *Config {
	t.Helper()
	c, err := Read(filepath.Join(folder, "homeserver.yaml"), filepath.Join(folder, "conf.d"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDelegateFiles: what counts only once a later file gives way is found too, each file is written once after a copy, no
// secret is shown, and the way back brings every byte.
func TestDelegateFiles(t *testing.T) {
	folder, c := readSeveral(t)
	all, err := c.Delegate(delegateTo)
	if err != nil {
		t.Fatal(err)
	}
	written, err := Write(all, testTime)
	if err != nil || len(written) != 4 {
		t.Fatal(written, err)
	}
	after := reread(t, folder)
	if found := after.Conflicts(); len(found) > 0 || after.MAS() == nil {
		t.Errorf("in the way still: %v", found)
	}
	back, err := after.Back()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(all, back...) {
		for _, secret := range []string{"the-pepper-value", "the-client-secret", "the-private-part", "shared-secret-value"} {
			if strings.Contains(m.Diff, secret) {
				t.Errorf("a diff shows %s: %s", secret, m.Diff)
			}
		}
	}
	if _, err := Write(back, testTime.Add(1e9)); err != nil {
		t.Fatal(err)
	}
	for name, text := range severalFiles {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != text {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if _, err := reread(t, folder).Back(); !errors.Is(err, ErrNothingToMigrate) {
		t.Error(err)
	}
}

// TestBackKeepsWhatChanged: lines that were changed by hand since stay and are told; where the delegation had changed the
// same lines nothing is planned.
func TestBackKeepsWhatChanged(t *testing.T) {
	folder, c := readSeveral(t)
	if _, err := c.Back(); !errors.Is(err, ErrNothingToMigrate) {
		t.Error(err)
	}
	all, err := c.Delegate(delegateTo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(all, testTime); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "homeserver.yaml")
	change := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change("server_name: a\n", "server_name: a\nmax_upload_size: 1M\n")
	back, err := reread(t, folder).Back()
	if err != nil {
		t.Fatal(err)
	}
	want := "server_name: a\nmax_upload_size: 1M\npassword_config:\n  enabled: true\n  pepper: the-pepper-value\n"
	if string(back[0].New) != want || !strings.Contains(strings.Join(back[0].Notes, ""), "changed by hand since, at line 2") {
		t.Errorf("%q, %q", back[0].New, back[0].Notes)
	}
	change("#   enabled: true", "# password checks are off")
	if back, err := reread(t, folder).Back(); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%v, %v", back, err)
	}
}

// TestBackFromAnothersCopy: a copy that is a link, or somebody else's, is not put in place.
func TestBackFromAnothersCopy(t *testing.T) {
	folder, c := readSeveral(t)
	all, err := c.Delegate(delegateTo)
	if err != nil {
		t.Fatal(err)
	}
	written, err := Write(all, testTime)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(folder, "elsewhere")
	if err := errors.Join(os.Rename(written[0].Backup, elsewhere), os.Symlink(elsewhere, written[0].Backup)); err != nil {
		t.Fatal(err)
	}
	if back, err := reread(t, folder).Back(); err == nil || !strings.Contains(err.Error(), "no file of the owner") {
		t.Errorf("%v, %v", back, err)
	}
}

// TestWriteAllOrNone: if one of several files cannot be written the others are as they were, and no copy is left.
func TestWriteAllOrNone(t *testing.T) {
	folder, c := readSeveral(t)
	all, err := c.Delegate(delegateTo)
	if err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(folder, "conf.d", "20.yaml")
	if err := os.WriteFile(last, []byte("report_stats: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if written, err := Write(all, testTime); !errors.Is(err, ErrChanged) || written != nil {
		t.Fatal(written, err)
	}
	for name, text := range severalFiles {
		if got, err := os.ReadFile(filepath.Join(folder, name)); name != "conf.d/20.yaml" && (err != nil || string(got) != text) {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(folder, "*.bak")); len(names) > 0 {
		t.Errorf("copies are left: %q", names)
	}
	staged := make([]*stagedFile, 2)
	_, c = readSeveral(t)
	if all, err = c.Delegate(delegateTo); err != nil {
		t.Fatal(err)
	}
	for i := range staged {
		if staged[i], err = all[i].stage(testTime); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(staged[0].commit(), undo(staged)); err != nil {
		t.Fatal(err)
	}
	for _, s := range staged {
		if got, err := os.ReadFile(s.target); err != nil || string(got) != string(s.old) {
			t.Errorf("%s is %q, %v", s.target, got, err)
		}
		if _, err := os.Stat(s.backup); err == nil {
			t.Error("a copy is left")
		}
	}
}

// TestDelegateWithoutSecret: as long as there is no secret the change can be looked at, and not be written.
func TestDelegateWithoutSecret(t *testing.T) {
	folder, c := readSeveral(t)
	all, err := c.Delegate(DelegateOptions{Endpoint: testEndpoint})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(all, testTime); err == nil || !strings.Contains(err.Error(), "no secret yet") {
		t.Error(err)
	}
	if all, err = c.Delegate(DelegateOptions{Endpoint: testEndpoint, SecretPath: "/nowhere/secret"}); err != nil || !strings.Contains(strings.Join(all[0].Notes, ""), "/nowhere/secret does not exist") {
		t.Error(all, err)
	}
	held := filepath.Join(folder, "secret")
	if err := os.WriteFile(held, []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delegate(DelegateOptions{Endpoint: testEndpoint, Secret: "x", SecretPath: held}); err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Error(err)
	}
}

var inTheWay = [][]string{
	{"enable_registration: true"}, {"password_config:", "  # comment", "  enabled: true", "  policy:", "    enabled: true"}, {"login_via_existing_session: {enabled: on}"},
	{"user_consent:", "  version: 1", "", "  text: >", "   a", "   # b"}, {"session_lifetime: 24h # long"}, {"saml2_config:", "- a"}, {"cas_config:", "  server_url: \"a", "    b\""},
	{"modules:", "- module: x.Y", "- module: shared_secret_authenticator.Z", "  config:", "    key: a"},
}

// TestDelegateRandom: of a random file the result delegates, Synapse starts with it, the other lines are what they were, and
// the lines that became comments are what they were behind the #.
func TestDelegateRandom(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		var lines []string
		used := map[string]bool{}
		for range 1 + r.IntN(8) {
			chunk := topChunks[r.IntN(len(topChunks))]
			if r.IntN(2) == 0 {
				chunk = inTheWay[r.IntN(len(inTheWay))]
			}
			if !used[chunk[0]] {
				used[chunk[0]] = true
				lines = append(lines, chunk...)
			}
		}
		text := strings.Join(append([]string{"server_name: a"}, lines...), "\n") + "\n"
		c, err := Parse("homeserver.yaml", []byte(text))
		if err != nil {
			continue
		}
		all, err := Merge(c).Delegate(delegateTo)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		after := parse(t, string(all[0].New))
		if len(after.Conflicts()) > 0 || !after.MAS().Enabled {
			t.Fatalf("%s\n%v", all[0].New, after.Conflicts())
		}
		now := strings.Split(string(all[0].New), "\n")
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if now[i] != line && now[i] != "# "+line && !strings.Contains(line, "{enabled") {
				t.Fatalf("line %d was %q and is %q", i+1, line, now[i])
			}
		}
	}
}

// FuzzDelegate: whatever the file says, a plan is one with which Synapse starts, or there is none.
func FuzzDelegate(f *testing.F) {
	for _, text := range severalFiles {
		f.Add(text)
	}
	f.Add("a: &x {enabled: true}\npassword_config: *x\n")
	f.Add("password_config: {enabled: on, a: 'b'}\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("homeserver.yaml", []byte(text))
		if err != nil {
			return
		}
		all, err := Merge(file).Delegate(delegateTo)
		if err != nil {
			return
		}
		after, err := Parse("homeserver.yaml", all[0].New)
		if err != nil {
			t.Fatalf("%q: %v", all[0].New, err)
		}
		for _, found := range Merge(after).Conflicts() {
			if found.Before == "" {
				t.Fatalf("%q: %+v", all[0].New, found)
			}
		}
	})
}
