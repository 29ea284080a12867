package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// use is a command of the page as its user gives it. NAME stands for a user of the test, and HOME for the
// directory of whoever runs it.
type use struct {
	// documented is the command in the page's table.
	documented string
	script     string
	// want is in what it shows.
	want string
}

// uses are all commands of the page, in the order in which somebody might need them.
var uses = []use{
	{"user add NAME", "printf '%s\\n' '" + typed + "' | caddy matrix-auth user add NAME --email NAME@example.com --display-name Somebody", "@NAME:example.com"},
	{"user list", "caddy matrix-auth user list", "NAME@example.com"},
	{"user show NAME", "caddy matrix-auth user show @NAME:example.com", "NAME@example.com"},
	{"user add-email NAME ADDRESS", "caddy matrix-auth user add-email NAME other-NAME@example.com", "NAME"},
	{"user remove-email NAME ADDRESS", "caddy matrix-auth user remove-email NAME other-NAME@example.com", "NAME"},
	{"user set-display-name NAME TEXT", "caddy matrix-auth user set-display-name NAME 'Somebody else'", "NAME"},
	{"user set-password NAME", "printf 'another password\\n' | caddy matrix-auth user set-password NAME", "NAME"},
	{"user lock NAME", "caddy matrix-auth user lock NAME", "locked"},
	{"user unlock NAME", "caddy matrix-auth user unlock NAME", "NAME"},
	{"user allow-reset NAME", "caddy matrix-auth user allow-reset NAME", "NAME"},
	{"user promote NAME", "caddy matrix-auth user promote NAME", "NAME"},
	{"token issue NAME", "caddy matrix-auth token issue NAME --admin --device-id BOT --device-name bot", "mct_"},
	{"session list NAME", "caddy matrix-auth session list NAME && caddy matrix-auth session list --all", "BOT"},
	{"session end ID", `id=$(caddy matrix-auth session list NAME --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])') && caddy matrix-auth session end "$id" --yes`, ""},
	{"session lost", "caddy matrix-auth session lost --json && caddy matrix-auth session lost --end --before '2026-01-31 12:00:00' --dry-run && caddy matrix-auth session lost --end --yes", "ended"},
	{"client list", "caddy matrix-auth client list --json", "[]"},
	{"client show CLIENT", "! caddy matrix-auth client show none", "no client"},
	{"client remove CLIENT", "! caddy matrix-auth client remove none --yes", "no client"},
	{"outbox list", "caddy matrix-auth outbox list --json", "[]"},
	{"outbox retry JOB", "! caddy matrix-auth outbox retry 1000000", "no job"},
	{"outbox drop JOB", "! caddy matrix-auth outbox drop 1000000", "no job"},
	{"mail test ADDRESS", "! caddy matrix-auth mail test NAME@example.com", "no mail block"},
	{"key renew", "caddy matrix-auth key renew && caddy matrix-auth key renew --leaked --yes", "matrix_auth.key"},
	{"audit", "caddy matrix-auth audit --user NAME", "session.end"},
	{"consent list NAME", "caddy matrix-auth consent list NAME --json", "[]"},
	{"consent withdraw NAME CLIENT", "caddy matrix-auth consent withdraw NAME --all", ""},
	{"user recovery-link NAME", "caddy matrix-auth user recovery-link NAME --expires 30m", "/account/recover/"},
	{"registration-token create", "caddy matrix-auth registration-token create --token NAME-is-invited --uses 1 --expires 12h --name guest-of-NAME --email guest-of-NAME@example.com", "/account/register?token=NAME-is-invited"},
	{"registration-token list", "caddy matrix-auth registration-token list", "guest-of-NAME@example.com"},
	{"registration-token show INVITATION", "caddy matrix-auth registration-token show NAME-is-invited --json", "NAME-is-invited"},
	{"registration-token revoke INVITATION", "caddy matrix-auth registration-token revoke NAME-is-invited", "revoked"},
	{"registration list", "caddy matrix-auth registration list --json", "[]"},
	{"registration approve NAME", "! caddy matrix-auth registration approve nobody", "nobody"},
	{"registration reject NAME", "! caddy matrix-auth registration reject nobody", "nobody"},
	{"user demote NAME", "caddy matrix-auth user demote NAME", "NAME"},
	{"user deactivate NAME", "caddy matrix-auth user deactivate NAME --yes", "deactivated"},
	{"user reactivate NAME", "caddy matrix-auth user reactivate NAME", "NAME"},
	{"synapse-config", "caddy matrix-auth synapse-config", "matrix_authentication_service:"},
	{"doctor", "caddy matrix-auth doctor", "ok"},
	{"migrate synapse", "! caddy matrix-auth migrate synapse --synapse-config /nowhere.yaml", "nowhere.yaml"},
	{"migrate msc3861", "! caddy matrix-auth migrate msc3861", "migrated"},
	{"backup FILE", "rm -f HOME/copy.db; caddy matrix-auth backup HOME/copy.db && stat --format='%U %a' HOME/copy.db", "USER 600"},
	{"restore FILE", "! caddy matrix-auth restore HOME/copy.db", "stop it first"},
	{"forget", "! caddy matrix-auth forget --yes", "the server is open"},
	{"version", "caddy matrix-auth version", "SQLite"},
}

// TestEveryCommand runs every command of the page as root and as Caddy's user, with no flags but those that the
// command itself has, on a machine whose Caddyfile has one line, and on one whose secret is in the environment of the
// service alone.
func TestEveryCommand(t *testing.T) {
	o := bootInstalled(t, rig.Newest)
	documented := documentedCommands(t)
	var used []string
	for _, u := range uses {
		used = append(used, u.documented)
	}
	slices.Sort(used)
	if !slices.Equal(used, documented) {
		t.Fatalf("the page has %q, and the test runs %q", documented, used)
	}
	t.Run("one line as root", func(t *testing.T) { o.in(t).useAll("root", "/root", "carol") })
	t.Run("one line as Caddy's user", func(t *testing.T) { o.in(t).useAll("caddy", "/var/lib/caddy", "dave") })
	t.Run("the examples", func(t *testing.T) { o.in(t).tryExamples("commands.md") })
	t.Run("what the page on proxies names", func(t *testing.T) { o.in(t).tryNamed("proxies.md") })
	t.Run("what is no command", func(t *testing.T) {
		for _, wrong := range []string{"usr list", "user lst", "doctorr", "session kil 1", "migrate msc3862", "user add"} {
			if r := o.Run("root", "caddy matrix-auth "+wrong); r.Err == nil {
				t.Errorf("%q exits with 0: %s", wrong, r.Out)
			}
		}
	})
	t.Run("a stranger", func(t *testing.T) {
		for _, command := range []string{"user list", "user add mallory", "backup /tmp/copy.db", "synapse-config"} {
			if r := o.RunWith("nobody", "caddy matrix-auth "+command, "password of a stranger\n"); r.Err == nil || strings.Contains(r.Err.Error(), "panic") {
				t.Errorf("%q gave %+v", command, r)
			}
		}
	})
	t.Run("without a server", func(t *testing.T) { o.in(t).withoutServer() })

	o.moveSecret()
	t.Run("a secret of the environment as root", func(t *testing.T) { o.in(t).useAll("root", "/root", "erin") })
	t.Run("a secret of the environment as Caddy's user", func(t *testing.T) { o.in(t).useAll("caddy", "/var/lib/caddy", "frank") })
}

// documentedCommands lists the commands in the tables of the page.
func documentedCommands(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Tests(), "..", "docs", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][^`]*)` \\|").FindAllStringSubmatch(string(text), -1) {
		all = append(all, row[1])
	}
	slices.Sort(all)
	return all
}

func (o owner) useAll(user, home, name string) {
	for _, u := range uses {
		fill := strings.NewReplacer("NAME", name, "HOME", home, "USER", user)
		result := o.Run(user, fill.Replace(u.script))
		if result.Err != nil {
			o.t.Errorf("%s: %v", u.documented, result.Err)
			continue
		}
		if shown := result.Out + result.Problems; !strings.Contains(shown, fill.Replace(u.want)) {
			o.t.Errorf("%s showed %q, which lacks %q", u.documented, shown, fill.Replace(u.want))
		}
	}
}

// tryExamples runs what a page shows behind a dollar sign, for somebody new, and holds what it shows below.
func (o owner) tryExamples(page string) {
	found := false
	for _, b := range blocksOf(o.t, page) {
		command, shown, ok := strings.Cut(b.text, "\n")
		command, is := strings.CutPrefix(command, "$ ")
		if !ok || !is {
			continue
		}
		found = true
		newcomer := strings.NewReplacer("alice", "grace")
		result := o.Run("root", "PASSWORD='"+typed+"'; "+newcomer.Replace(command))
		if result.Err != nil || result.Out != newcomer.Replace(shown) {
			o.t.Errorf("%s: showed %q, %v; the page shows %q", b, result.Out, result.Err, newcomer.Replace(shown))
		}
	}
	if !found {
		o.t.Errorf("%s has no examples", page)
	}
}

// tryNamed runs the commands that stand in the sentences of a page.
func (o owner) tryNamed(page string) {
	text, err := os.ReadFile(filepath.Join(rig.Tests(), "..", "docs", page))
	if err != nil {
		o.t.Fatal(err)
	}
	named := regexp.MustCompile("`(caddy matrix-auth [^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) == 0 {
		o.t.Errorf("%s names no commands", page)
	}
	for _, command := range named {
		if r := o.Run("root", command[1]); r.Err != nil {
			o.t.Errorf("%s: %v", page, r.Err)
		}
	}
}

// withoutServer stops Caddy: what needs no server works on the database itself, and leaves the files the service's.
func (o owner) withoutServer() {
	o.Must("root", "systemctl stop caddy")
	for _, user := range []string{"root", "caddy"} {
		for _, command := range []string{"user list", "user show alice", "user lock bob", "user unlock bob", "session list alice", "consent list alice", "synapse-config", "version"} {
			if r := o.Run(user, "caddy matrix-auth "+command); r.Err != nil {
				o.t.Errorf("without a server: %v", r.Err)
			}
		}
	}
	if others := o.Must("root", "find "+dataOf+" ! -user caddy"); others != "" {
		o.t.Errorf("these are not Caddy's user's: %s", others)
	}
	o.Must("root", "systemctl start caddy")
	o.awaitSites()
}

// moveSecret has the service get the secret that it has by a variable that only its unit sets, as the page on the
// configuration says.
func (o owner) moveSecret() {
	o.Must("root", `install -d /etc/systemd/system/caddy.service.d
printf '[Service]\nEnvironment=MATRIX_SECRET=%s\n' "$(cat `+dataOf+`/matrix_auth.secret)" >/etc/systemd/system/caddy.service.d/secret.conf
chmod 0600 /etc/systemd/system/caddy.service.d/secret.conf
sed -i 's|matrix_auth example.com https://matrix.example.com|& {\n\t\tmatrix {\n\t\t\tsecret {env.MATRIX_SECRET}\n\t\t}\n\t}|' /etc/caddy/Caddyfile
rm `+dataOf+`/matrix_auth.secret
systemctl daemon-reload && systemctl restart caddy`)
	o.awaitSites()
}
