package synapseconfig

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moveCodes returns every code that a finding can have.
func moveCodes() (codes []string) {
	for _, kind := range MoveKinds() {
		codes = append(codes, kind.Code)
	}
	return codes
}

// moveOf reads the settings of one file and returns its findings as "weight code line".
func moveOf(t *testing.T, text string) (*MoveSettings, []string) {
	t.Helper()
	s := parse(t, text).Move(MoveOptions{Dir: "/srv/synapse"})
	var found []string
	for _, f := range s.Findings("example.com") {
		found = append(found, fmt.Sprintf("%s %s %d", f.Weight, f.Code, f.Line))
		if f.What == "" || f.Change == "" || strings.Contains(f.What+f.Change, "%") || strings.HasSuffix(f.What+f.Change, ".") || !slices.Contains(moveCodes(), f.Code) {
			t.Errorf("the finding is not whole: %+v", f)
		}
	}
	return s, found
}

const ordinary = "server_name: example.com\ndatabase: {name: sqlite3, args: {database: /data/homeserver.db}}\n"

// TestMoveDatabase: the database is found where Synapse finds it, with the arguments that psycopg2 hands to libpq.
func TestMoveDatabase(t *testing.T) {
	for _, test := range []struct{ name, text, want, password, findings string }{
		{"sqlite", "database: {name: sqlite3, args: {database: /data/homeserver.db}}", "SQLite, /data/homeserver.db", "", ""},
		{"sqlite_is_the_default", "database: {args: {database: /data/homeserver.db}}", "SQLite, /data/homeserver.db", "", ""},
		{"relative", "database: {name: sqlite3, args: {database: homeserver.db}}", "SQLite, /srv/synapse/homeserver.db", "", "note database_relative 2"},
		{"old_setting", "database_path: /data/homeserver.db", "SQLite, /data/homeserver.db", "", ""},
		{"old_setting_is_nothing_to_postgresql", "database_path: /x\ndatabase: {name: psycopg2, args: {user: synapse}}", `PostgreSQL, database "synapse" of user "synapse" at ""`, "", ""},
		{"in_memory", "database: {name: sqlite3, args: {database: ':memory:'}}", "no database", "", "error database_in_memory 2"},
		{"no_file", "database: {name: sqlite3}", "no database", "", "error database_in_memory 2"},
		{"uri", "database: {name: sqlite3, args: {database: 'file:x?mode=rw', uri: true}}", "no database", "", "error database_uri 2"},
		{"other", "database: {name: mysql}", "no database", "", "error database_unknown 2"},
		{"none", "database:", "no database", "", "error database_missing 2"},
		{"two", "database: {name: psycopg2}\ndatabases: {a: {name: psycopg2}}", "no database", "", "error database_ambiguous 3"},
		{"postgresql", "database:\n  name: psycopg2\n  args: {user: synapse, password: 0123, dbname: matrix, host: /run/postgresql, cp_min: 5, keepalives_idle: 10}",
			`PostgreSQL, database "matrix" of user "synapse" at "/run/postgresql"`, "83", ""},
		{"argument", "database:\n  name: psycopg2\n  args: {user: synapse, password: secret, service: x}",
			`PostgreSQL, database "synapse" of user "synapse" at ""`, "secret", "note database_argument 4"},
		{"null_is_not_set", "database:\n  name: psycopg2\n  args: {user: synapse, password: null, host: null}", `PostgreSQL, database "synapse" of user "synapse" at ""`, "", ""},
		{"main_of_several", "databases:\n  s: {name: psycopg2, data_stores: [state], args: {user: a}}\n  m: {name: psycopg2, data_stores: [main], args: {user: b, password: p}}",
			`PostgreSQL, database "b" of user "b" at ""`, "p", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, found := moveOf(t, "server_name: example.com\n"+test.text+"\n")
			if got := s.Database.String(); got != test.want || s.Database.Password() != test.password || strings.Join(found, ", ") != test.findings {
				t.Errorf("%s, password %q, %q", got, s.Database.Password(), found)
			}
		})
	}
}

// TestMoveFindings: each setting that matters to a move is found at its place, and the ordinary ones are not.
func TestMoveFindings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"server_name: other.example\n", "error server_name_differs 3"},
		{"server_name:\n", "error server_name_missing 3"},
		{"matrix_authentication_service: {enabled: true, secret: x}\n", "note already_delegated 3"},
		{"experimental_features: {msc3861: {enabled: true}}\n", "note delegated_by_msc3861 3"},
		{"allow_guest_access: yes\n", "warning guest_access 3"},
		{"allow_guest_access: off\n", ""},
		{"password_config: {enabled: false}\n", "warning passwords_off 3"},
		{"password_config: {enabled: only_for_reauth}\n", "warning passwords_off 3"},
		{"password_config: {localdb_enabled: 0}\n", "warning localdb_off 3"},
		{"password_config: {pepper: 123}\n", "error pepper_not_text 3"},
		{"password_config: {policy: {enabled: true, require_digit: true}}\n", "note password_policy 3"},
		{"password_config: {policy: {enabled: false, require_digit: true}}\n", ""},
		{"enable_registration: 'true'\n", "note registration_open 3"},
		{"enable_registration: true\ndisable_registration: 'yes'\n", ""},
		{"enable_registration_captcha: true\n", "warning captcha 3"},
		{"user_consent: {version: 1.0}\n", "note user_consent 3"},
		{"registration_shared_secret: x\n", "note shared_secret 3"},
		{"session_lifetime: 24h\nrefresh_token_lifetime: 0\n", "warning lifetime 3"},
		{"oidc_providers: [{idp_id: github, idp_name: GitHub}]\n", "warning oidc_provider 3"},
		{"cas_config: {server_url: x}\n", "warning cas 3"},
		{"cas_config: {enabled: false}\n", ""},
		{"saml2_config: {sp_config: {x: y}}\n", "warning saml 3"},
		{"jwt_config: {enabled: true}\n", "warning jwt 3"},
		{"password_providers: [{module: a.B}]\n", "warning password_module 3"},
		{"modules: [{module: ldap_auth_provider.LdapAuthProviderModule}, {module: other.Module}]\n", "warning password_module 3, note module 3"},
		{"login_via_existing_session: {enabled: true}\n", "note login_via_existing_session 3"},
		{"enable_3pid_changes: true\n", "note threepid_changes 3"},
		{"app_service_config_files: [nowhere.yaml]\n", "warning appservice_file 3"},
	} {
		if _, found := moveOf(t, ordinary+test.text); strings.Join(found, ", ") != test.want {
			t.Errorf("%s: %q", test.text, found)
		}
	}
}

// TestMoveCodesDiffer: no two kinds share a code.
func TestMoveCodesDiffer(t *testing.T) {
	codes := moveCodes()
	slices.Sort(codes)
	if len(slices.Compact(slices.Clone(codes))) != len(codes) {
		t.Error(codes)
	}
}

// TestMoveSettings: values are read by Python's truth, and the defaults are Synapse's.
func TestMoveSettings(t *testing.T) {
	s, _ := moveOf(t, ordinary)
	if !s.PasswordsEnabled || !s.LocalDB || s.BcryptRounds != 12 || s.HasPepper || s.NoRefresh || s.RefreshableLifetime != 5*time.Minute || s.SessionLifetime != 0 {
		t.Errorf("defaults: %#v", *s)
	}
	s, _ = moveOf(t, ordinary+"bcrypt_rounds: 010\npassword_config: {pepper: the pepper, enabled: 'no'}\nsession_lifetime: 2w\nrefresh_token_lifetime: 90000\nrefreshable_access_token_lifetime:\n"+
		"enable_registration: 1\nregistrations_require_3pid: [email, msisdn]\nregistration_requires_token: 'false'\n")
	r := s.Registration
	if s.BcryptRounds != 8 || s.Pepper() != "the pepper" || !s.PasswordsEnabled || s.SessionLifetime != 14*24*time.Hour || s.RefreshTokenLifetime != 90*time.Second || !s.NoRefresh ||
		!r.Open || !r.Email || !r.Phone || !r.Token {
		t.Errorf("%d %q %v %v %v %+v", s.BcryptRounds, s.Pepper(), s.SessionLifetime, s.RefreshTokenLifetime, s.NoRefresh, r)
	}
}

// TestMoveKeepsSecrets: no printed form of the settings, of the database or of a finding shows a secret.
func TestMoveKeepsSecrets(t *testing.T) {
	s := parse(t, "server_name: example.com\npassword_config: {pepper: the-secret}\nregistration_shared_secret: the-secret\noidc_providers: [{client_secret: the-secret}]\n"+
		"email: {notif_from: a@example.com, smtp_pass: the-secret}\ndatabase: {name: psycopg2, args: {user: u, password: the-secret, dsn: 'password=the-secret'}}\n").Move(MoveOptions{})
	encoded, err := json.Marshal(s.Findings(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v", s, s, s), fmt.Sprintf("%v %+v %#v", *s, *s, *s), fmt.Sprintf("%v %+v %#v", s.Database, s.Database, s.Database),
		string(encoded), strings.Join(s.CaddyfileLines(), "\n")} {
		if strings.Contains(printed, "the-secret") {
			t.Error(printed)
		}
	}
	if s.Pepper() != "the-secret" || s.Database.Password() != "the-secret" {
		t.Error("the secrets were not read")
	}
}

// TestMoveAppservices: of the file of an application service what names its users is read, and one that is not there is
// told of.
func TestMoveAppservices(t *testing.T) {
	folder := writeFiles(t, map[string]string{
		"homeserver.yaml": ordinary + "app_service_config_files:\n- bridge.yaml\n- gone.yaml\n- broken.yaml\n",
		"bridge.yaml":     "id: bridge\nas_token: the-secret\nsender_localpart: bot\nnamespaces: {users: [{regex: '@b_.*:example\\.com', exclusive: true}]}\n",
		"broken.yaml":     "id: [\n",
	})
	c, err := Read(filepath.Join(folder, "homeserver.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Move(MoveOptions{Dir: folder})
	want := []Appservice{{Path: filepath.Join(folder, "bridge.yaml"), ID: "bridge", SenderLocalpart: "bot", Users: []Namespace{{`@b_.*:example\.com`, true}}}}
	if diff := cmp.Diff(want, s.Appservices); diff != "" {
		t.Error(diff)
	}
	var lines []int
	for _, f := range s.Findings("example.com") {
		lines = append(lines, f.Line)
	}
	if !slices.Equal(lines, []int{5, 6}) {
		t.Errorf("lines of what cannot be read: %v", lines)
	}
}

// TestCaddyfileLines: what Synapse's settings say goes on, and what has no counterpart is a comment.
func TestCaddyfileLines(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", []string{"registration off"}},
		{"matrix_authentication_service: {enabled: true, secret: x}\n", nil},
		{"enable_registration: true\nregistration_requires_token: true\n", []string{"registration token"}},
		{"enable_registration: true\nregistrations_require_3pid: [email]\n", []string{"registration open", "# Synapse asks for a mail address, which needs a block mail here; then write: email required"}},
		{"enable_registration: true\nregistrations_require_3pid: [email]\nexperimental_features: {msc3866: {enabled: true, require_approval_for_new_accounts: true}}\n" +
			"password_config: {policy: {enabled: true, minimum_length: 12}}\nemail: {smtp_host: mail.example.com, smtp_port: 587, smtp_user: u, smtp_pass: x, require_transport_security: true, notif_from: '%(app)s <a@example.com>'}\n",
			[]string{"registration open {", "\temail required", "\tapproval", "}", "passwords {", "\tmin_length 12", "}",
				"mail {", "\tfrom \"Matrix <a@example.com>\"", "\tsmtp mail.example.com:587 starttls", "\tuser \"u\"", "\tpassword {env.MAIL_PASSWORD}", "}",
				"# The password is smtp_pass of homeserver.yaml, as a variable of the service or in a password_file."}},
		{"email: {notif_from: a@example.com}\n", []string{"registration off", "mail {", "\tfrom \"a@example.com\"", "\tsmtp localhost:25 plain", "}"}},
		{"email: {notif_from: 'a@example.com {env.SECRET}'}\n", []string{"registration off"}},
		{"password_config: {policy: {enabled: true, minimum_length: 6}}\n", []string{"registration off"}},
	} {
		s, _ := moveOf(t, ordinary+test.text)
		if diff := cmp.Diff(test.want, s.CaddyfileLines()); diff != "" {
			t.Errorf("%s%s", test.text, diff)
		}
	}
}

// FuzzMove: whatever the file says, reading it ends, and no finding is without its code.
func FuzzMove(f *testing.F) {
	f.Add(ordinary + "a: &a {<<: *a}\ndatabases: *a\nmodules: *a\n")
	f.Add("databases: [1]\napp_service_config_files: {}\npassword_config: []\nemail: x\n")
	f.Add("database: &d {<<: {name: psycopg2}, args: *d}\nsession_lifetime: -9223372036854775808\nrefresh_token_lifetime: 99999999999999999y\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("homeserver.yaml", []byte(text))
		if err != nil || strings.Contains(text, "app_service") {
			return
		}
		s := Merge(file).Move(MoveOptions{})
		for _, found := range s.Findings("example.com") {
			if !slices.Contains(moveCodes(), found.Code) {
				t.Fatal(found)
			}
		}
		s.CaddyfileLines()
		if s.SessionLifetime < 0 || s.RefreshTokenLifetime < 0 {
			t.Fatal(s.SessionLifetime, s.RefreshTokenLifetime)
		}
	})
}
