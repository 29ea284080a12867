package tests

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// told runs a script as a user, and sees what its command says.
func (o owner) told(user, script string, want ...string) string {
	o.t.Helper()
	result := o.Run(user, script)
	if result.Err != nil {
		o.t.Fatal(result.Err)
	}
	for _, text := range want {
		if !strings.Contains(result.Out+result.Problems, text) {
			o.t.Errorf("%s, as %s, lacks %q:\n%s%s", script, user, text, result.Out, result.Problems)
		}
	}
	return result.Out
}

// refused runs a script that must fail in words.
func (o owner) refused(user, script string, want ...string) {
	o.t.Helper()
	result := o.Run(user, script)
	if result.Err == nil {
		o.t.Errorf("%s, as %s, was done:\n%s%s", script, user, result.Out, result.Problems)
		return
	}
	for _, text := range want {
		if !strings.Contains(result.Problems, text) {
			o.t.Errorf("%s, as %s, lacks %q:\n%s", script, user, text, result.Problems)
		}
	}
}

const (
	ofService     = "/var/lib/caddy/.local/share/caddy/matrix_auth/matrix_auth.db"
	secretOf      = "/var/lib/caddy/.local/share/caddy/matrix_auth/matrix_auth.secret"
	byServer      = " (by the running server)"
	withoutServer = " (no server is running"
)

// TestCommandsFindTheService runs every command without a flag as root and as the service's user, with the packaged
// unit and the one line in the Caddyfile: all find the database and the secret of the service, while it runs and
// while it does not (KEY-14).
func TestCommandsFindTheService(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	secret := strings.TrimSpace(o.Read(secretOf))
	if rights := o.Must("root", "stat -c '%U %a' "+secretOf); rights != "caddy 600\n" {
		t.Errorf("the secret, which root had made, has %s", rights)
	}
	if found := o.Must("root", "find /root -path '*matrix_auth*' ! -path '*before-matrix-auth*'"); found != "" {
		t.Errorf("root's own directory has %s", found)
	}
	o.login("bob", typed).Must(t, http.StatusOK)
	all := func(t *testing.T, database string) {
		o := owner{t, o.Machine}
		for _, user := range []string{"root", "caddy"} {
			o.told(user, "caddy matrix-auth user list", database, "alice", "bob")
			o.told(user, "caddy matrix-auth user show bob", database, "@bob:example.com")
			o.told(user, "caddy matrix-auth user lock bob && caddy matrix-auth user unlock bob", database, "locked", "active")
			o.told(user, "caddy matrix-auth session list bob", database, "compat")
			o.told(user, "caddy matrix-auth consent list bob", database, "CLIENT")
			o.told(user, "caddy matrix-auth token issue bob --device-id BOT", database, "mct_")
			o.told(user, "caddy matrix-auth backup - | head -c 15", database, "SQLite format 3")
			o.told(user, "rm -f ~/x.db; caddy matrix-auth backup ~/x.db && stat -c '%U %a' ~/x.db", database, user+" 600")
			o.told(user, "caddy matrix-auth synapse-config", `secret_path: "`+secretOf+`"`)
			if quiet := o.Run(user, "caddy matrix-auth user list"); strings.Contains(quiet.Problems, `"level"`) {
				t.Errorf("Caddy's own lines are there: %s", quiet.Problems)
			}
		}
		if foreign := o.Must("root", "find /var/lib/caddy ! -user caddy"); foreign != "" {
			t.Errorf("these are not the service's: %s", foreign)
		}
	}
	t.Run("a server runs", func(t *testing.T) { all(t, ofService+byServer) })
	t.Run("the doctor", func(t *testing.T) {
		for _, user := range []string{"root", "caddy"} {
			owner{t, o.Machine}.told(user, "caddy matrix-auth doctor", "a server runs on "+ofService)
		}
	})
	t.Run("a backup lies in the tmp of who made it", func(t *testing.T) { // the unit has PrivateTmp
		o.told("root", "caddy matrix-auth backup /tmp/x.db && stat -c '%U %a' /tmp/x.db", "root 600")
	})
	t.Run("another file", func(t *testing.T) { o.anotherFile(t) })
	t.Run("a backup is restored by the page", func(t *testing.T) { o.restored(t) })

	o.Must("root", "systemctl stop caddy")
	t.Run("no server runs", func(t *testing.T) { all(t, ofService+withoutServer) })
	t.Run("a stranger is told whom to ask", func(t *testing.T) {
		for _, command := range []string{"user list", "synapse-config", "backup -"} {
			owner{t, o.Machine}.refused("matrix-synapse", "caddy matrix-auth "+command, "run the command as the server's user or as root")
		}
	})
	t.Run("a migration without a server", func(t *testing.T) { o.migrated(t, "a-secret-of-before-1", false) })
	o.Must("root", "systemctl start caddy")
	t.Run("a migration beside the server", func(t *testing.T) { o.migrated(t, "a-secret-of-before-2", true) })
	if now := strings.TrimSpace(o.Read(secretOf)); now == secret {
		t.Error("the secret is the one of before")
	}
}

// anotherFile acts on a backup beside the running server.
func (o owner) anotherFile(t *testing.T) {
	o.t = t
	o.Must("root", "rm -f /root/copy.db; caddy matrix-auth backup /root/copy.db")
	const named = " --database /root/copy.db"
	o.told("root", "caddy matrix-auth user lock bob"+named, "/root/copy.db (no server has it; Synapse is told nothing)", "locked")
	o.told("root", "caddy matrix-auth user show bob"+named, "locked")
	o.told("root", "caddy matrix-auth user show bob", ofService+byServer, "active")
	o.refused("root", "echo 'correct horse battery' | caddy matrix-auth user add carol"+named, "what needs Synapse is not done on it")
	o.refused("root", "caddy matrix-auth token issue alice"+named, "what needs Synapse is not done on it")
	o.refused("root", "caddy matrix-auth user allow-reset alice"+named, "what needs Synapse is not done on it")
	// The device of a session that is ended in the copy stays at Synapse, and its owner signed in.
	token := o.login("bob", typed).Must(t, http.StatusOK).Text("access_token")
	o.Must("root", "rm -f /root/copy.db; caddy matrix-auth backup /root/copy.db")
	o.told("root", "caddy matrix-auth session end --user bob --yes"+named, "ended")
	o.refused("root", "caddy matrix-auth token issue bob"+named) // which would do the jobs of bob's lane first
	o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
	// The file of the service is the service's, by whatever name.
	o.told("root", "cd /var/lib/caddy && caddy matrix-auth user list --database .local/share/caddy/matrix_auth/matrix_auth.db", ofService+byServer)
	// What cannot be copied leaves no half of it behind, also where the command is root no more.
	o.Must("root", "install -d -o caddy /srv/broken && head -c 9000 /dev/urandom | install -o caddy -m 600 /dev/stdin /srv/broken/x.db")
	o.refused("root", "caddy matrix-auth backup /root/broken.db --database /srv/broken/x.db", "/root/broken.db is left behind, empty")
	o.Must("root", "test ! -s /root/broken.db")
	o.refused("root", "caddy matrix-auth user list --database /root/none.db", "there is no database at /root/none.db")
}

// restored follows the page after something was lost.
func (o owner) restored(t *testing.T) {
	o.t = t
	kept := o.login("bob", typed).Must(t, http.StatusOK).Text("access_token")
	o.Must("root", "rm -f /var/backups/matrix_auth-*")
	o.follow("commands.md", "Backup")
	o.Must("root", "caddy matrix-auth user lock bob")
	lost := o.login("alice", typed).Must(t, http.StatusOK).Text("access_token")
	o.follow("commands.md", "Restore")
	o.told("root", "caddy matrix-auth user show bob", byServer, "locked") // as before: what restricts is done again
	o.told("root", "caddy matrix-auth user unlock bob", byServer)
	o.call(http.MethodGet, "/v3/account/whoami", kept, nil).Must(t, http.StatusOK)
	o.call(http.MethodGet, "/v3/account/whoami", lost, nil).Must(t, http.StatusServiceUnavailable) // it keeps its keys, and waits
	o.login("alice", typed).Must(t, http.StatusOK)
	if foreign := o.Must("root", "find /var/lib/caddy ! -user caddy"); foreign != "" {
		t.Errorf("these are not the service's: %s", foreign)
	}
	o.told("root", "caddy matrix-auth doctor || true", "the database and what lies beside it are the server's and closed to others")
}

// migrated moves a configuration of Synapse's whose secret is to be ours.
func (o owner) migrated(t *testing.T, secret string, running bool) {
	o.t = t
	o.Write("/root/"+secret+"/homeserver.yaml", "server_name: example.com\nexperimental_features:\n  msc3861:\n    enabled: true\n    issuer: https://auth.example.com/\n"+
		"    client_id: 0000000000000000000SYNAPSE\n    client_auth_method: client_secret_basic\n    client_secret: x\n    admin_token: "+secret+"\n", "600", "root")
	reload := "reload Caddy"
	if !running {
		reload = secretOf
	}
	o.told("root", "caddy matrix-auth migrate msc3861 --synapse-config /root/"+secret+"/homeserver.yaml --write", "our secret is now Synapse's, in "+secretOf, reload)
	if rights := o.Must("root", "stat -c '%U %a' "+secretOf); rights != "caddy 600\n" {
		t.Errorf("the secret has %s", rights)
	}
	if now := strings.TrimSpace(o.Read(secretOf)); now != secret {
		t.Errorf("the secret is %q", now)
	}
	if running {
		o.Must("root", "systemctl reload caddy")
	}
	if found := o.Must("root", "find / -xdev -name 'matrix_auth.secret' ! -path '/var/lib/caddy/*' ! -path '/etc/matrix-synapse/*' 2>/dev/null || true"); found != "" {
		t.Errorf("a secret was written where nobody reads it: %s", found)
	}
}

// TestCommandsKnowTheUnit runs commands of root without a flag on a machine whose service has variables in drop-ins:
// systemd and Caddy, which start by the same files, are the judges of where the database lies and what the variables say.
func TestCommandsKnowTheUnit(t *testing.T) {
	o := owner{t, rig.Boot(t, rig.MachineConfig{})}
	o.ShowJournal("caddy")
	o.Must("root", "systemctl stop caddy && mv /usr/bin/caddy /usr/bin/caddy.default")
	o.CopyIn(rig.Binary(t, ""), "/usr/bin/caddy", "755")
	const site = `{
	auto_https off
	admin off
}
http://{$SITE}:8001 {
	matrix_auth {$SERVER_NAME} http://{$SITE}:8001 {
		matrix {
			secret {env.SHARED}
		}
	}
}
http://{$OTHER}:8002 {
	respond {env.OTHER_TEXT}
}
`
	const generated = "\t\tmatrix {\n\t\t\tsecret {env.SHARED}\n\t\t}\n"
	configure := func(text string) { o.Write("/etc/caddy/Caddyfile", text, "644", "root") }
	restart := func() {
		o.t.Helper()
		o.Must("root", "systemctl daemon-reload && systemctl restart caddy && for i in $(seq 100); do curl -fs -o /dev/null http://localhost:8001/_matrix/client/v3/login && exit; sleep 0.1; done; exit 1")
	}
	const secret = `a-"secret"-of-the-unit's-$file`
	// Too long for the address of a socket, and the unit has a /tmp to itself.
	const data = "/var/lib/caddy/the data, which lies so deep that no address of a socket could be as long as its path"
	const database = data + "/caddy/matrix_auth/matrix_auth.db"
	o.Write("/etc/systemd/system/caddy.service.d/override.conf", "[Service]\nEnvironment=\"XDG_DATA_HOME="+data+"\" SITE=localhost \\\n  SERVER_NAME=example.com\nEnvironment='OTHER=localhost'\nEnvironmentFile=-/etc/default/none\nEnvironmentFile=/etc/default/caddy\n", "644", "root")
	o.Write("/etc/default/caddy", "# the secret\nSHARED="+secret+" \n", "600", "root")

	o.Must("root", "install -d -o caddy '"+data+"'")
	o.Write("/etc/systemd/system/caddy.service.d/secret.conf", "[Service]\nEnvironment=OTHER_TEXT=text\n", "600", "root") // Caddy's user may not read it
	// What root made once when they started Caddy by hand is not the service's.
	o.Write("/root/.local/share/caddy/matrix_auth/matrix_auth.secret", "roots-own\n", "600", "root")
	o.Write("/root/.local/share/caddy/matrix_auth/matrix_auth.db", "", "600", "root")
	configure(strings.Replace(site, generated, "", 1))
	t.Run("before the first start", func(t *testing.T) {
		o := owner{t, o.Machine}
		o.refused("root", "caddy matrix-auth user list", "there is no database at "+database, "there is one at /root/.local/share/caddy", "--database")
		o.Must("root", "rm /root/.local/share/caddy/matrix_auth/matrix_auth.db")
		o.refused("root", "caddy matrix-auth user list", "there is no database at "+database, "start the server once")
		o.refused("root", "caddy matrix-auth doctor")
		o.Must("root", "test ! -e '"+data+"/caddy'")
		o.told("root", "caddy matrix-auth synapse-config", `secret_path: "`+data+`/caddy/matrix_auth/matrix_auth.secret"`, "the secret was generated")
		if owners := o.Must("root", "find '"+data+"' -printf '%u %m %y\\n' | sort -u"); owners != "caddy 600 f\ncaddy 700 d\ncaddy 755 d\n" {
			t.Errorf("what was made has %s", owners)
		}
		before := o.Read(data + "/caddy/matrix_auth/matrix_auth.secret")
		restart()
		o.told("root", "caddy matrix-auth synapse-config", `secret_path: "`+data+`/caddy/matrix_auth/matrix_auth.secret"`)
		if after := o.Read(data + "/caddy/matrix_auth/matrix_auth.secret"); after != before {
			t.Error("the service made another secret")
		}
	})
	configure(site)
	restart()
	all := func(t *testing.T, how string, users ...string) {
		o := owner{t, o.Machine}
		for _, user := range users {
			o.told(user, "caddy matrix-auth user list", database+how)
			o.told(user, "caddy matrix-auth backup - | wc -c", database+how)
			o.told(user, "caddy matrix-auth synapse-config", `secret: "a-\"secret\"-of-the-unit's-$file"`)
		}
	}
	t.Run("while the service runs", func(t *testing.T) { all(t, byServer, "root", "caddy") })
	t.Run("the doctor takes what only the service has for no fault", func(t *testing.T) {
		o := owner{t, o.Machine}
		o.told("root", "caddy matrix-auth doctor || true", "ok    configuration", "a server runs on "+database)
		o.told("caddy", "caddy matrix-auth doctor || true", "ok    configuration: the running server has variables that this command lacks", "a server runs on "+database)
	})
	o.Must("root", "systemctl stop caddy")
	t.Run("while it does not", func(t *testing.T) {
		all(t, withoutServer, "root")
		// Who may not read the unit's file of variables is told to name one.
		owner{t, o.Machine}.refused("caddy", "caddy matrix-auth user list", "{env.SHARED}", "--envfile", "/etc/default/caddy: permission denied")
	})
	t.Run("variables that no unit names", func(t *testing.T) {
		o := owner{t, o.Machine}
		o.Write("/usr/local/bin/start-caddy", "#!/bin/sh\nSHARED=known-to-nobody SITE=localhost SERVER_NAME=example.com OTHER=localhost exec /usr/bin/caddy run --config /etc/caddy/Caddyfile\n", "755", "root")
		o.Write("/etc/systemd/system/caddy.service.d/override.conf", "[Service]\nEnvironment=\"XDG_DATA_HOME="+data+"\"\nExecStart=\nExecStart=/usr/local/bin/start-caddy\n", "644", "root")
		restart()
		o.told("root", "caddy matrix-auth user list", database+byServer)
		o.told("root", "caddy matrix-auth synapse-config", `secret: "known-to-nobody"`, `endpoint: "http://localhost:8080/"`)
		o.told("root", "caddy matrix-auth doctor || true", "ok    configuration: the running server has variables that this command lacks", "a server runs on "+database)
		o.Must("root", "systemctl stop caddy")
		o.refused("root", "caddy matrix-auth user list", "{$SITE}", "--envfile")
		o.Write("/root/variables", "SHARED=known-to-nobody\nSITE=localhost\nSERVER_NAME=example.com\nOTHER=localhost\n", "600", "root")
		o.told("root", "caddy matrix-auth user list --envfile /root/variables", database+withoutServer)
		o.told("root", "caddy matrix-auth synapse-config --envfile /root/variables", `secret: "known-to-nobody"`)
	})
	t.Run("as systemd reads them", func(t *testing.T) { o.readAsSystemd(t) })
	t.Run("a machine without the unit", func(t *testing.T) {
		o := owner{t, o.Machine}
		o.Must("root", "rm -r /etc/systemd/system/caddy.service.d /lib/systemd/system/caddy.service && systemctl daemon-reload")
		configure("http://localhost:8001 {\n\tmatrix_auth example.com http://localhost:8001\n}\n")
		o.told("root", "caddy matrix-auth synapse-config", `secret_path: "`+secretOf+`"`)
		o.Must("root", "rm -r /var/lib/caddy/.local /root/.local/share/caddy && userdel caddy")
		o.refused("root", "caddy matrix-auth synapse-config", "it cannot be told as which user Caddy will run", "--service-user")
		o.Must("root", "useradd --system --create-home --home-dir /srv/web web && test ! -e /root/.local/share/caddy/matrix_auth")
		o.told("root", "caddy matrix-auth synapse-config --service-user web", `secret_path: "/srv/web/.local/share/caddy/matrix_auth/matrix_auth.secret"`)
		o.told("root", "find /srv/web/.local ! -user web | wc -l", "0")
		o.told("root", "caddy matrix-auth synapse-config --service-user root", `secret_path: "/root/.local/share/caddy/matrix_auth/matrix_auth.secret"`)
	})
}

// readAsSystemd has systemd start a process by the unit, and compares what that got with what a command read.
func (o owner) readAsSystemd(t *testing.T) {
	o.t = t
	o.Write("/etc/caddy/Caddyfile", "http://localhost:8001 {\n\tmatrix_auth example.com http://localhost:8001 {\n\t\tmatrix {\n\t\t\tsecret {env.SHARED}\n\t\t}\n\t}\n}\n", "644", "root")
	o.Write("/usr/local/bin/tell", "#!/bin/sh\nprintf %s \"$SHARED\" >/var/lib/caddy/told\n", "755", "root")
	judge := func(lines, file string) {
		t.Helper()
		o.Write("/etc/default/caddy", file, "600", "root")
		o.Write("/etc/systemd/system/caddy.service.d/override.conf", "[Service]\nType=oneshot\nExecStart=\nExecStart=/usr/local/bin/tell\nExecReload=\n"+lines, "644", "root")
		o.Must("root", "systemctl daemon-reload && systemctl restart caddy")
		want := o.Read("/var/lib/caddy/told")
		_, shown, _ := strings.Cut(o.told("root", "caddy matrix-auth synapse-config"), "secret: ")
		got := ""
		if err := json.Unmarshal([]byte(strings.TrimSpace(shown)), &got); err != nil || got != want {
			t.Errorf("%s%s: systemd reads %q, and the command %q, %v", lines, file, want, got, err)
		}
	}
	for _, file := range []string{
		"SHARED=a  b \n", "SHARED='a' \"b\" c's\n", "SHARED=it's \"so\"\n", "SHARED=a\\\nb\\c\n", "SHARED=\"\\$x \\\"q\\\" \\n\"\n", "#SHARED=x\n;SHARED=y\n SHARED = z\n",
		"SHARED=a\r\nOTHER='b\nSHARED=c'\n", "nonsense\nSHARED=a#b ;c\n", "SHARED='a'b' c'\n", "OTHER=x\nSHARED=a=b\n",
	} {
		judge("EnvironmentFile=/etc/default/caddy\n", file)
	}
	for _, lines := range []string{
		"Environment=SHARED=a b\n", "Environment=\"SHARED=a b\" OTHER=c\n", "Environment='SHARED=a \"b\"'\n", "Environment=\"SHARED=a\\sb\\\"c\"\n", "Environment=SHARED=a%%b%S\n", "Environment=A=1 \\\n# no\n SHARED=c\n",
		"Environment=SHARED=a\nEnvironment=\nEnvironment=SHARED=b\n", "Environment=SHARED=a\nEnvironmentFile=-/none\n", " Environment = SHARED=a \n", "Environment=SHARED=it\\'s\n", "Environment=SHARED=a\\x41b\\103\\u0044\n", "Environment=\"SHARED=a'b\"\n",
	} {
		judge(lines, "")
	}
	o.Must("root", "rm /etc/default/caddy /var/lib/caddy/told")
}
