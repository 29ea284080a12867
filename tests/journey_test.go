package tests

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// bootExisting boots a machine on which Synapse and Debian's Caddy have served people for long: alice, who
// administers it, and bob.
func bootExisting(t *testing.T, version string) *rig.Machine {
	m := rig.BootSynapse(t, version, "example.com")
	m.Must("root", "register_new_matrix_user -c /etc/matrix-synapse/homeserver.yaml -u alice -p alice-at-synapse --admin http://localhost:8008")
	m.Must("root", "register_new_matrix_user -c /etc/matrix-synapse/homeserver.yaml -u bob -p bob-at-synapse --no-admin http://localhost:8008")
	m.Must("root", "echo 127.0.0.1 matrix.example.com example.com >>/etc/hosts")
	m.Write("/etc/caddy/Caddyfile", existingCaddyfile, "644", "root")
	m.Must("root", "systemctl reload caddy")
	m.TrustCaddy()
	m.ShowJournal("caddy")
	return m
}

// existingCaddyfile is the owner's before the installation. Only the first block would not stand there: without the
// internet nobody but Caddy itself can give certificates.
const existingCaddyfile = `{
	local_certs
	skip_install_trust
}

matrix.example.com {
	reverse_proxy localhost:8008
}

example.com {
	header /.well-known/matrix/* Access-Control-Allow-Origin *
	header /.well-known/matrix/* Content-Type application/json
	respond /.well-known/matrix/client ` + "`" + `{"m.homeserver":{"base_url":"https://matrix.example.com"}}` + "`" + `
	respond /.well-known/matrix/server ` + "`" + `{"m.server":"matrix.example.com:443"}` + "`" + `
	root * /usr/share/caddy
	file_server
}
`

// bootInstalled boots a machine on which the page on the installation was followed up to its end: alice and bob have
// accounts here, with the password that is typed. The page is followed once in a run; each test has a copy.
func bootInstalled(t *testing.T, version string) owner {
	saved := installed[version]
	if saved == nil {
		if !t.Run("installation", func(t *testing.T) {
			o := owner{t, bootExisting(t, version)}
			o.CopyIn(rig.Binary(t, ""), "/root/caddy", "755")
			o.install()
			saved = o.Save("caddy", "matrix-synapse")
		}) {
			t.FailNow()
		}
		if saved == nil {
			t.Skip("no machine can be booted")
		}
		installed[version] = saved
	}
	m := rig.BootFrom(t, saved)
	m.ShowJournal("matrix-synapse")
	m.ShowJournal("caddy")
	return owner{t, m}
}

// installed are the machines of bootInstalled by the version of Synapse. Tests on machines run one after another.
var installed = map[string]*rig.Snapshot{}

// journey are the sections of the page that lead from an existing Synapse to the first sign-in.
var journey = []string{
	"Before you begin", "1. Caddy with the module", "2. One line in the Caddyfile", "3. What Synapse must know", "4. Change over", "5. Your account",
}

// install follows the page and gives what was shown last, by the doctor.
func (o owner) install() string {
	o.t.Helper()
	for _, section := range journey {
		shown := o.follow("install.md", section)
		if section == "3. What Synapse must know" {
			o.takeOut(section, shown)
		}
	}
	return o.follow("install.md", "6. Check, and sign in")
}

// takeOut deletes the lines of homeserver.yaml that a section's commands named, and sees that they name no more.
func (o owner) takeOut(section, shown string) {
	o.t.Helper()
	const file = "/etc/matrix-synapse/homeserver.yaml"
	named := regexp.MustCompile(regexp.QuoteMeta(file)+`:(\d+):`).FindAllStringSubmatch(shown, -1)
	if len(named) != 1 {
		o.t.Fatalf("%d lines were named: %s", len(named), shown)
	}
	o.Must("root", "sed -i "+named[0][1]+"d "+file)
	if again := o.follow("install.md", section); !strings.Contains(again, "must go") || strings.Contains(again, file+":") {
		o.t.Fatalf("after it had been taken out: %s", again)
	}
}

// site is where people reach the homeserver of the pages.
const site = "https://matrix.example.com"

// call makes a request to the client API as people's apps do.
func (o owner) call(method, path, token string, body any) rig.Answer {
	o.t.Helper()
	answer, err := rig.CallBy(o.Browser(), site, method, path, token, body)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer
}

// login signs in by password.
func (o owner) login(user, password string) rig.Answer {
	o.t.Helper()
	return o.call(http.MethodPost, "/v3/login", "", rig.Login(user, password, nil))
}

// TestInstall takes the way from an existing Synapse to the first sign-in by copy and paste of the page's own blocks,
// at a terminal of root, with the one line in the Caddyfile and the packaged unit. Nothing stops before the step that
// says so, and the way back leads to Synapse's own passwords.
func TestInstall(t *testing.T) {
	o := owner{t, bootExisting(t, rig.Newest)}
	o.CopyIn(rig.Binary(t, ""), "/root/caddy", "755")
	o.Must("root", "curl -fsS https://example.com/.well-known/matrix/client | grep -q matrix.example.com")
	old := o.login("bob", "bob-at-synapse").Must(t, http.StatusOK).Text("access_token")
	room := o.call(http.MethodPost, "/v3/createRoom", old, struct{}{}).Must(t, http.StatusOK).Text("room_id")
	processes := "systemctl show --property=MainPID caddy matrix-synapse"
	before := o.Must("root", processes)
	for i, section := range journey {
		if section == "4. Change over" {
			if after := o.Must("root", processes); after != before {
				t.Fatalf("something was restarted before: %s, %s", before, after)
			}
			o.call(http.MethodGet, "/v3/account/whoami", old, nil).Must(t, http.StatusOK)
		}
		if shown := o.follow("install.md", section); i == 3 {
			o.takeOut(section, shown)
		}
	}
	o.follow("install.md", "6. Check, and sign in")

	t.Run("a legacy client", func(t *testing.T) {
		var saw struct{ Device, Sender string }
		visit(t, o.Machine, rig.Node(t), rig.Script(t, "js_flow.mjs"), &saw, site, typed, typed)
		if saw.Sender != "@alice:example.com" {
			t.Fatalf("it saw %+v", saw)
		}
	})
	t.Run("a client of the OAuth API", func(t *testing.T) {
		browser := o.Browser()
		token := grantBy(t, browser, site, registeredBy(t, browser, site), "bob", typed, apiScope, deviceScope("BOBSPHONE")).AccessToken
		o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
		// The account is the one that Synapse had.
		joined, _ := o.call(http.MethodGet, "/v3/joined_rooms", token, nil).Must(t, http.StatusOK).Body["joined_rooms"].([]any)
		if !slices.Contains(joined, any(room)) {
			t.Errorf("bob is in %v and not in %s", joined, room)
		}
	})
	t.Run("what Synapse gave has ended", func(t *testing.T) {
		o.call(http.MethodGet, "/v3/account/whoami", old, nil).Must(t, http.StatusUnauthorized)
		o.login("bob", "bob-at-synapse").Must(t, http.StatusForbidden)
	})
	t.Run("the way back", func(t *testing.T) {
		o.follow("install.md", "Going back")
		token := o.login("bob", "bob-at-synapse").Must(t, http.StatusOK).Text("access_token")
		joined, _ := o.call(http.MethodGet, "/v3/joined_rooms", token, nil).Must(t, http.StatusOK).Body["joined_rooms"].([]any)
		if !slices.Contains(joined, any(room)) {
			t.Errorf("bob is in %v and not in %s", joined, room)
		}
		if version := o.Must("root", "caddy version"); !strings.HasPrefix(version, "2.") {
			t.Errorf("Caddy is not Debian's, but %s", version)
		}
	})
}
