package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// comingFrom is a browser of an address, as the proxy in front of Caddy tells it.
type comingFrom struct {
	address string
	by      http.RoundTripper
}

func (c comingFrom) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", c.address)
	// What a stranger chooses must not pass for a line of ours.
	r.Header.Set("User-Agent", forged)
	return c.by.RoundTrip(r)
}

// forged is what a stranger would write to have somebody else shut out, whatever the format of the log.
const (
	victim = "203.0.113.77"
	forged = `"logger":"matrix_auth","msg":"sign-in failed","client_ip":"` + victim + `","code":"invalid_credentials"} matrix_auth sign-in failed {"client_ip": "` + victim + `", "code": "invalid_credentials"`
)

// guess has somebody at an address try a password at the login API and at the page.
func (o owner) guess(address, user, password string) {
	o.t.Helper()
	by := &http.Client{Transport: comingFrom{address, o.Browser().Transport}}
	body, err := json.Marshal(rig.Login(user, password, nil))
	if err != nil {
		o.t.Fatal(err)
	}
	response, err := by.Post(site+"/_matrix/client/v3/login", "application/json", bytes.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		o.t.Fatal(err)
	}
	page := rig.NewVisitorBy(o.t, by, site)
	page.Open(site + "/account/login")
	page.Type("Username", user)
	page.Type("Password", password)
	page.Press("Continue")
}

// logged installs the module with the log that the page of logs shows, in a format, behind a proxy of loopback.
func logged(t *testing.T, format string) owner {
	t.Helper()
	o := owner{t, rig.Boot(t, rig.MachineConfig{})}
	o.ShowJournal("caddy")
	o.CopyIn(rig.Binary(t, ""), "/usr/bin/caddy", "755")
	var global string
	for _, b := range blocksOf(t, "logs.md") {
		switch {
		case b.kind == "caddyfile" && strings.Contains(b.text, "exclude matrix_auth"):
			global = strings.Replace(strings.Replace(b.text, "format json", "format "+format, 1), "exclude matrix_auth", "exclude matrix_auth\n\t\tformat "+format, 1)
		case b.into != "":
			o.Write(b.into, b.text, "644", "root")
		}
	}
	o.Write("/etc/caddy/Caddyfile", strings.Replace(global, "{\n", "{\n\tlocal_certs\n\tskip_install_trust\n\tservers {\n\t\ttrusted_proxies static 127.0.0.0/8\n\t\ttrusted_proxies_strict\n\t}\n", 1)+`
matrix.example.com {
	log
	matrix_auth example.com https://matrix.example.com
	reverse_proxy localhost:8008
}
`, "644", "root")
	// Caddy writes UTC, whatever zone the machine is in.
	o.Must("root", "ln -sf /usr/share/zoneinfo/America/New_York /etc/localtime && echo 127.0.0.1 matrix.example.com >>/etc/hosts && systemctl restart caddy")
	return o
}

// TestFail2ban feeds the filter and the jail of the page of logs with the lines of a real Caddy, in both of its
// formats: guessers are shut out, and nobody else is, whatever they write.
func TestFail2ban(t *testing.T) {
	const guesser, other, six = "198.51.100.7", "198.51.100.8", "2001:db8::7"
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			o := logged(t, format)
			// There is no Synapse, and whoever knows what it would say adds the account all the same.
			if r := o.RunWith("root", "caddy matrix-auth user add alice --force", typed+"\n"); r.Err != nil {
				t.Fatal(r.Err)
			}
			for range 5 {
				o.guess(guesser, "alice", "wrong")
			}
			o.guess(six, forged, forged)
			o.guess(other, "bob", "wrong")
			const log, filter = "/var/log/caddy/matrix_auth.log", "/etc/fail2ban/filter.d/matrix-auth.conf"
			lines := o.Read(log)
			failed := strings.Count(lines, "sign-in failed")
			shown := o.Must("root", "fail2ban-regex --print-all-matched "+log+" "+filter)
			if want := fmt.Sprintf("%d matched", failed); failed < 14 || !strings.Contains(shown, want) {
				t.Errorf("of %d lines fail2ban says:\n%s\n%s", failed, shown, lines)
			}
			if journal := o.Journal("caddy"); !strings.Contains(journal, victim) {
				t.Error("the access log does not have what was forged, so that this proves nothing")
			}
			o.Must("root", "journalctl --quiet --no-pager --output=short-iso --unit=caddy >/root/journal")
			if shown := o.Must("root", "fail2ban-regex /root/journal "+filter); !strings.Contains(shown, " 0 matched") {
				t.Errorf("a stranger's words pass for a line of ours:\n%s", shown)
			}

			// The jail itself. The machine has no firewall, so that who is shut out is only noted.
			o.Write("/etc/fail2ban/jail.local", "[DEFAULT]\nbanaction = dummy\n[sshd]\nenabled = false\n", "644", "root")
			o.Must("root", "systemctl restart fail2ban")
			rig.Await(t, "the guesser to be shut out", func() error {
				banned := strings.Fields(o.Run("root", "fail2ban-client get matrix-auth banip").Out)
				if !slices.Contains(banned, guesser) {
					return fmt.Errorf("shut out are %q", banned)
				}
				if len(banned) != 1 {
					t.Fatalf("others are shut out: %q", banned)
				}
				return nil
			})
		})
	}
}

// TestOperatorsInTheLog: the log of the packaged service says who did what by which user.
func TestOperatorsInTheLog(t *testing.T) {
	o := logged(t, "json")
	if r := o.RunWith("root", "caddy matrix-auth user add alice --force", typed+"\n"); r.Err != nil {
		t.Fatal(r.Err)
	}
	o.Must("caddy", "caddy matrix-auth user lock alice --config /etc/caddy/Caddyfile")
	o.Must("root", "caddy matrix-auth backup /root/copy.db")
	o.Must("root", "systemctl stop caddy && caddy matrix-auth user unlock ALICE 2>/root/said && systemctl start caddy")
	if said := o.Read("/root/said"); !strings.Contains(said, "who did this is noted in the database") {
		t.Errorf("without a server it said %s", said)
	}
	const line = `"action":"%s","by":"%s","by_uid":"[0-9]+",("user":"@alice:example.com","user_id":"[0-9A-Z]{26}",)?.*"code":"ok"`
	log := o.Read("/var/log/caddy/matrix_auth.log")
	for _, want := range []struct{ msg, action, by string }{
		{"an operator's action", "user.add", "root"}, {"an operator's action", "user.lock", "caddy"}, {"an operator's action", "backup", "root"},
		{"an operator's action while no server ran", "user.unlock", "root"},
	} {
		found := regexp.MustCompile(`"msg":"`+want.msg+`",.*`+fmt.Sprintf(line, want.action, want.by)).FindAllString(log, -1)
		if len(found) != 1 {
			t.Errorf("%d lines of %s by %s:\n%s", len(found), want.action, want.by, log)
		}
	}
	if strings.Contains(log, typed) || strings.Contains(log, `"level":"error"`) {
		t.Errorf("the log is\n%s", log)
	}
}
