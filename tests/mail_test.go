package tests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// TestMail sends by every transport to a server that we did not write, and has it refuse in the ways of such servers;
// the command and the doctor tell what it said (MAIL-13).
func TestMail(t *testing.T) {
	mail := rig.StartMail(t)
	nowhere := fmt.Sprintf("http://127.0.0.1:%d", rig.FreePort(t))
	start := func(env []string) *rig.Caddy {
		c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Secret: "secret", Synapse: nowhere, Env: env, Options: mail.Option("")})
		c.Start()
		return c
	}
	c := start(mail.Env())
	others := func(more string) string { return "mail {\n\tfrom \"Example <" + mail.User + ">\"\n\t" + more + "\n}" }
	credentials := "\n\tuser " + mail.User + "\n\tpassword " + mail.Password
	for _, way := range []struct {
		transport, options string
		encrypted, proven  bool
	}{
		{"starttls", mail.Option("reply_to help@example.test"), true, true},
		{"tls", others("smtp " + mail.TLS + " tls" + credentials), true, true},
		{"plain", others("smtp " + mail.Plain + " plain"), false, false},
		{"sendmail", others("sendmail " + mail.Sendmail()), false, false},
	} {
		t.Run(way.transport, func(t *testing.T) {
			changeOptions(t, c, way.options)
			reader := "by-" + way.transport + "@example.org"
			said := c.MustCommand("", "mail", "test", reader)
			if !strings.Contains(said, "the mail was taken") || strings.Contains(said, "Kept") != (way.transport != "sendmail") {
				t.Errorf("the command says %q", said)
			}
			if found, _ := examine(t, c); !found["mail"].OK {
				t.Errorf("the doctor finds %+v", found["mail"])
			}
			got := mail.Await(reader, "", 0)
			if got.Transport != way.transport || got.Encrypted != way.encrypted || (got.User == mail.User) != way.proven {
				t.Errorf("it came by %s, encrypted %v, from %q", got.Transport, got.Encrypted, got.User)
			}
			if got.Subject == "" || strings.TrimSpace(got.Text) == "" || !strings.Contains(got.HTML, "<html") {
				t.Errorf("it lacks something: %+v", got)
			}
			for _, name := range []string{"From", "To", "Date", "Message-ID", "MIME-Version"} {
				if len(got.Headers[name]) != 1 {
					t.Errorf("%s: %q", name, got.Headers[name])
				}
			}
			if !slices.Equal(got.Headers["Auto-Submitted"], []string{"auto-generated"}) {
				t.Errorf("Auto-Submitted: %q", got.Headers["Auto-Submitted"])
			}
		})
	}
	// refused has the command fail with a reason, which the doctor finds by an id.
	refused := func(t *testing.T, c *rig.Caddy, reason, id string) {
		t.Helper()
		if found, _ := examine(t, c); found["mail"].ID != id || strings.Contains(fmt.Sprint(found), mail.Password) {
			t.Errorf("the doctor finds %+v, want %s", found["mail"], id)
		}
		out, said, err := c.CommandBoth("", "mail", "test", "somebody@example.org")
		if err == nil || !strings.Contains(said, reason) || strings.Contains(out+said, mail.Password) {
			t.Errorf("it ended with %v and does not say %q: %s%s", err, reason, out, said)
		}
		if sent := mail.Messages("somebody@example.org"); len(sent) != 0 {
			t.Errorf("it was sent all the same: %+v", sent)
		}
	}
	changeOptions(t, c, mail.Option(""))
	for how, reason := range map[string]string{"greylist": "451", "refuse": "550"} {
		t.Run(how, func(t *testing.T) {
			mail.Behave(how)
			defer mail.Behave("")
			refused(t, c, reason, "mail")
		})
	}
	t.Run("wrong_password", func(t *testing.T) {
		changeOptions(t, c, strings.Replace(mail.Option(""), mail.Password, "another-password", 1))
		refused(t, c, "535", "mail/refused")
	})
	t.Run("no_encryption_where_it_must_be", func(t *testing.T) {
		changeOptions(t, c, others("smtp "+mail.Plain+" starttls"))
		refused(t, c, "STARTTLS", "mail/insecure")
	})
	t.Run("unknown_authority", func(t *testing.T) { refused(t, start(nil), "certificate", "mail/insecure") })
	t.Run("no_command", func(t *testing.T) {
		changeOptions(t, c, others("sendmail "+mail.Dir+"/none"))
		refused(t, c, "none", "mail/no-command")
	})
	t.Run("server_down", func(t *testing.T) {
		changeOptions(t, c, mail.Option(""))
		mail.Stop()
		defer mail.Start()
		refused(t, c, "refused", "mail/unreachable")
	})
}
