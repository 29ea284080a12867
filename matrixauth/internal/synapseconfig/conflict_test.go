package synapseconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

const goodBlock = "matrix_authentication_service: {enabled: true, endpoint: \"http://127.0.0.1:8080/\", secret: shared}\n"

// conflictCases are settings below goodBlock. Each verdict is what Synapse 1.136.0 and 1.157.1 did with it.
var conflictCases = []struct {
	text string
	want string // key of the one finding, "" for none
}{
	{"password_config: {enabled: true}", "password_config.enabled"},
	{"password_config: {enabled: only_for_reauth}", "password_config.enabled"},
	{"password_config: {enabled: \"false\"}", "password_config.enabled"},
	{"password_config: {enabled: false}", ""},
	{"password_config: {enabled: off}", ""},
	{"password_config: {enabled: null}", ""},
	{"password_config: {enabled: 0}", ""},
	{"password_config: {localdb_enabled: false, pepper: x}", ""},
	{"password_config:", ""},
	{"enable_registration: true", "enable_registration"},
	{"enable_registration: \"yes\"", "enable_registration"},
	{"enable_registration: 1", "enable_registration"},
	{"enable_registration: false", ""},
	{"enable_registration: true\ndisable_registration: true", ""},
	{"disable_registration: false", "disable_registration"},
	{"user_consent: {version: 1, template_dir: /tmp}", "user_consent"},
	{"user_consent:", ""},
	{"oidc_providers: [{idp_id: a, idp_name: A, issuer: 'https://a/', client_id: x, client_secret: y}]", "oidc_providers"},
	{"oidc_providers: []", ""},
	{"oidc_config: {enabled: true, issuer: 'https://a/', client_id: x, client_secret: y}", "oidc_config"},
	{"oidc_config: {enabled: false}", ""},
	{"oidc_config: {issuer: 'https://a/', client_id: x}", ""},
	{"saml2_config: {sp_config: {a: 1}}", "saml2_config"},
	{"saml2_config: {enabled: false, sp_config: {a: 1}}", ""},
	{"saml2_config: {enabled: true}", ""},
	{"cas_config: {server_url: 'https://cas/'}", "cas_config"},
	{"cas_config: {enabled: false, server_url: 'https://cas/'}", ""},
	{"jwt_config: {enabled: true, secret: a, algorithm: HS256}", "jwt_config"},
	{"jwt_config: {secret: a, algorithm: HS256}", ""},
	{"password_providers: [{module: mymod.P, config: {}}]", "password_providers"},
	{"password_providers: []", ""},
	{"ldap_config: {enabled: true}", "ldap_config"},
	{"ldap_config: {enabled: false}", ""},
	{"modules: [{module: ldap_auth_provider.LdapAuthProviderModule, config: {}}]", "modules"},
	{"modules: [{module: json.JSONDecoder, config: {}}]", ""},
	{"enable_registration_captcha: true\nrecaptcha_public_key: a\nrecaptcha_private_key: b", "enable_registration_captcha"},
	{"recaptcha_public_key: a", ""},
	{"login_via_existing_session: {enabled: true}", "login_via_existing_session.enabled"},
	{"login_via_existing_session: {require_ui_auth: true}", ""},
	{"refresh_token_lifetime: 24h", "refresh_token_lifetime"},
	{"refresh_token_lifetime: 5", "refresh_token_lifetime"},
	{"refresh_token_lifetime: 0", ""},
	{"refresh_token_lifetime: 0s", ""},
	{"refresh_token_lifetime:", ""},
	{"refreshable_access_token_lifetime: 5m", ""},
	{"nonrefreshable_access_token_lifetime: 24h", "nonrefreshable_access_token_lifetime"},
	{"session_lifetime: 24h", "session_lifetime"},
	{"enable_3pid_changes: true", "enable_3pid_changes"},
	{"enable_3pid_changes: \"false\"", "enable_3pid_changes"},
	{"enable_3pid_changes: false", ""},
	{"enable_set_displayname: true", ""},
	{"registration_shared_secret: x", ""},
	{"allow_guest_access: true", ""},
	{"account_validity: {enabled: true, period: 6w}", ""},
	{"ui_auth: {session_timeout: 5m}", ""},
	{"experimental_features: {msc3861: {enabled: true, issuer: 'https://x/', client_id: a, client_auth_method: client_secret_basic, client_secret: b, admin_token: c}}", "experimental_features.msc3861"},
	{"experimental_features: {msc3861: {}}", ""},
	{"experimental_features: {msc4133_enabled: true}", ""},
	{"experimental_features:", ""},
}

// blockCases are whole matrix_authentication_service blocks.
var blockCases = []struct {
	text string
	want string // key of the one finding without its first part, "" for none
}{
	{"{enabled: true, secret: shared}", ""},
	{"{enabled: yes, secret: shared}", ""},
	{"{enabled: false, secret: shared}", "enabled"},
	{"{secret: shared}", "enabled"},
	{"{enabled: 'true', secret: shared}", "enabled"},
	{"{enabled: 1, secret: shared}", "enabled"},
	{"{enabled: true}", "secret"},
	{"{enabled: true, secret: ''}", "secret"},
	{"{enabled: true, secret: 12345}", "secret"},
	{"{enabled: true, secret: null}", "secret"},
	{"{enabled: true, secret: 'two words'}", "secret"},
	{"{enabled: true, secret: shared, force_http2: 1}", "force_http2"},
	{"{enabled: true, secret: shared, force_http2: true}", ""},
	{"{enabled: true, secret: shared, endpoint: 127.0.0.1:8080}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: localhost:8080}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: 'ftp://a/'}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: 'http://'}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: ''}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: null}", "endpoint"},
	{"{enabled: true, secret: shared, endpoint: 'https://a/b/'}", ""},
	{"{enabled: true, secret: shared, secret_file: /x}", "secret_file"},
	{"{enabled: true, secret_file: /x}", "secret_file"},
	{"{enabled: true, secret_path: admin_token}", ""},
	{"{enabled: true, secret_path: no-such-file}", "secret_path"},
	{"{enabled: true, secret_path: migrate}", "secret_path"},
	{"{enabled: true, secret_path: empty}", "secret_path"},
	{"{enabled: true, secret_path: two_words}", "secret_path"},
	{"{enabled: true, secret_path: '', secret: shared}", "secret_path"},
	{"{enabled: true, secret_path: admin_token, secret: shared}", "secret_path"},
	{`{enabled: true, secret: shared, endpoint: "HTTP://a/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http:/a/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: " http://a/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a/ "}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a b/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a:99999/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a:port/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://[::1]:8080/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://[::1/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://u:p@a/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://a/?q"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://ä/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://a_b/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://1.2.3/"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "http://256.1.1.1/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http:\\a"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://%61/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a:/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://:8080/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http:///a"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a#b"}`, ""},
	{`{enabled: true, secret: shared, endpoint: "//a/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://-a-/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a..b/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a:8080:8080/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "http://a\tb/"}`, "endpoint"},
	{`{enabled: true, secret: shared, endpoint: "unix:///run/x"}`, "endpoint"},
	{"{enabled: true, secret: shared, 1: x}", "-"},
	{"{enabled: true, secret: shared, Endpoint: x}", ""},
	{"{enabled: true, secret: 2026-01-01}", "secret"},
	{"{enabled: true, secret: [shared]}", "secret"},
	{"{enabled: true, secret: {}}", "secret"},
	{"{enabled: true, secret: false, secret_path: admin_token}", "secret"},
	{"{enabled: true, secret: shared, secret_path: false}", "secret_path"},
	{"{enabled: true, secret: shared, secret_path: 7}", "secret_path"},
	{"{enabled: true, secret: !!str 12345}", ""},
	{"{enabled: true, secret: shared, endpoint: 8080}", "endpoint"},
	{"false", "-"},
	{"[]", "-"},
	{"true", "-"},
	{"", "-"},
}

// TestConflicts covers SYN-16: what makes Synapse refuse to start is found, and nothing else.
func TestConflicts(t *testing.T) {
	for _, tc := range conflictCases {
		t.Run(tc.text, func(t *testing.T) {
			checkFinding(t, parse(t, "server_name: a\n"+goodBlock+tc.text+"\n"), tc.want, 3)
		})
	}
}

// TestConflictsInBlock covers SYN-22 and the block's own mistakes.
func TestConflictsInBlock(t *testing.T) {
	for _, tc := range blockCases {
		t.Run(tc.text, func(t *testing.T) {
			want := tc.want
			if want == "-" {
				want = keyMAS
			} else if want != "" {
				want = keyMAS + "." + want
			}
			checkFinding(t, parse(t, "server_name: a\n\n"+keyMAS+": "+tc.text+"\n"), want, 3)
		})
	}
}

func checkFinding(t *testing.T, f *Config, want string, line int) {
	t.Helper()
	findings := f.Conflicts()
	if want == "" {
		if len(findings) != 0 {
			t.Errorf("got %+v, want none", findings)
		}
		return
	}
	if len(findings) != 1 || findings[0].Key != want || findings[0].Line != line || findings[0].Before != "" {
		t.Fatalf("got %+v, want %s at line %d", findings, want, line)
	}
	if findings[0].What == "" || findings[0].Change == "" {
		t.Errorf("a part is missing: %+v", findings[0])
	}
	if strings.Contains(fmt.Sprint(findings), "shared") || strings.Contains(fmt.Sprint(findings), "two words") {
		t.Errorf("shows the secret: %+v", findings)
	}
}

// versionCases are findings that newer Synapses do not mind.
var versionCases = []struct{ text, key, before string }{
	{goodBlock + "experimental_features: {msc4108_enabled: true}\n", "experimental_features.msc4108_enabled", "1.137"},
	{goodBlock + "experimental_features: {msc4108_delegation_endpoint: 'https://a/'}\n", "experimental_features.msc4108_delegation_endpoint", "1.137"},
	{keyMAS + ": {enabled: true, secret_path: null, secret: shared}\n", keyMAS + ".secret_path", "1.142"},
	{keyMAS + ": {enabled: true, secret_path: admin_token, secret: ''}\n", keyMAS + ".secret", "1.142"},
	{keyMAS + ": {enabled: true, secret_path: admin_token, secret: null}\n", keyMAS + ".secret", "1.142"},
}

func TestConflictsByVersion(t *testing.T) {
	for _, tc := range versionCases {
		findings := parse(t, tc.text).Conflicts()
		if len(findings) != 1 || findings[0].Before != tc.before || findings[0].Key != tc.key {
			t.Errorf("%s: %+v", tc.text, findings)
		}
	}
}

func TestConflictsInOrderOfTheFile(t *testing.T) {
	findings := parse(t, "server_name: a\nsession_lifetime: 1h\npassword_config:\n  # comment\n  enabled: true\nmodules:\n  - config: {}\n    module: ldap_auth_provider.LdapAuthProviderModule\n").Conflicts()
	var got []string
	for _, finding := range findings {
		got = append(got, fmt.Sprint(finding.Line, " ", finding.Key))
	}
	want := "0 matrix_authentication_service, 2 session_lifetime, 5 password_config.enabled, 8 modules"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
}

func TestBlock(t *testing.T) {
	for _, tc := range []struct{ name, endpoint, secret, path string }{
		{"secret", "http://127.0.0.1:8080/", "shared", ""},
		{"secret of odd characters", "https://a/b/", "a\"b\\c#d: {e}%@`!é\u2028\U0001f511", ""},
		{"file", "http://127.0.0.1:8080/", "", "/run/secrets/x y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mas := parse(t, Block(tc.endpoint, tc.secret, tc.path)).MAS()
			if mas == nil || !mas.Enabled || mas.Endpoint != tc.endpoint || mas.secret != tc.secret || mas.SecretPath != tc.path || mas.UsesSecretFile {
				t.Errorf("%s read as %#v", Block(tc.endpoint, tc.secret, tc.path), mas)
			}
		})
	}
}

// TestKeysToRemove holds the printed list to the checks: each key in it, set wrongly, is found.
func TestKeysToRemove(t *testing.T) {
	found := map[string]bool{}
	for _, tc := range conflictCases {
		found[tc.want] = true
	}
	for _, removal := range KeysToRemove() {
		if !found[removal.Key] || removal.Why == "" {
			t.Errorf("%+v is in the list but no case shows that it is refused", removal)
		}
		delete(found, removal.Key)
	}
	delete(found, "")
	if len(found) != 0 {
		t.Errorf("refused but not in the list: %v", found)
	}
}

func TestAccessors(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(" shared \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := parse(t, `
server_name: "example.test"
defaults: &defaults {force_http2: on}
matrix_authentication_service:
  <<: *defaults
  enabled: yes
  endpoint: http://127.0.0.1:8080/auth/
  secret_path: `+secret+`
`)
	if name, path, line := f.ServerName(); name != "example.test" || path != "homeserver.yaml" || line != 2 {
		t.Errorf("%q %s:%d", name, path, line)
	}
	mas := f.MAS()
	if !mas.Enabled || mas.Endpoint != "http://127.0.0.1:8080/auth/" || mas.EndpointLine != 7 || mas.SecretPath != secret || mas.SecretLine != 8 || !mas.ForceHTTP2 || mas.HasSecret {
		t.Errorf("%#v", *mas)
	}
	if value, err := mas.Secret(); value != "shared" || err != nil {
		t.Errorf("%q %v", value, err)
	}
	if mas := parse(t, keyMAS+": {enabled: true, secret: x}\n").MAS(); mas.Endpoint != "http://localhost:8080/" {
		t.Errorf("default endpoint %q", mas.Endpoint)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "homeserver.yaml: holds no settings"},
		{"comments only", "# nothing\n", "homeserver.yaml: holds no settings"},
		{"list", "- a\n", "homeserver.yaml:1: is not a mapping"},
		{"text", "\nhello\n", "homeserver.yaml:2: is not a mapping"},
		{"two documents", "a: 1\n---\nb: 2\n", "homeserver.yaml:2: a second YAML document"},
		{"tab", "a:\n\tb: 1\n", "homeserver.yaml:2: is not valid YAML"},
		{"unclosed", "a: 1\nb: [1, 2\nc: 3\n", "is not valid YAML"},
		{"indentation", "a: 1\n b: 2\n", "homeserver.yaml:2: is not valid YAML"},
		{"not UTF-8", "a: 1\nb: \xff\n", "homeserver.yaml:2: is not UTF-8"},
		{"secret that begins with a star", "a: 1\nsecret: *hunter2\n", "homeserver.yaml:2: a value begins with *"},
		{"too large", "a: " + strings.Repeat("x", bound.SynapseFile), "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("homeserver.yaml", []byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestMergesAreBounded would not end if each merge was followed anew.
func TestMergesAreBounded(t *testing.T) {
	text := "m0: &m0 {x: 1}\n"
	for i := 1; i <= 60; i++ {
		text += fmt.Sprintf("m%d: &m%d {<<: [*m%d, *m%d]}\n", i, i, i-1, i-1)
	}
	f := parse(t, text+"matrix_authentication_service:\n  <<: [*m60, {enabled: true, secret: shared}]\n")
	if mas := f.MAS(); !mas.Enabled || !mas.HasSecret {
		t.Errorf("%#v", *mas)
	}
}

func TestRead(t *testing.T) {
	if _, err := Read("testdata/no-such-file"); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Read("testdata"); !errors.Is(err, ErrNoSettings) {
		t.Errorf("directory without a file: %v", err)
	}
	f, err := Read("testdata/migrate/alone.yaml")
	if err != nil || f.MSC3861().ClientID != "0000000000000000000SYNAPSE" {
		t.Errorf("%v %v", f, err)
	}
}
