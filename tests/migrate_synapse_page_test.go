package tests

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

const migrationPage = "migrate-synapse.md"

// TestMigrateSynapsePage moves a Synapse with the accounts of its people by copy and paste of the page's own blocks, at a
// terminal of root, and goes back by them.
func TestMigrateSynapsePage(t *testing.T) {
	o := owner{t, bootExisting(t, rig.Newest)}
	o.CopyIn(rig.Binary(t, ""), "/root/caddy", "755")
	phone := o.login("bob", "bob-at-synapse").Must(t, http.StatusOK).Text("access_token")
	goesOn := func(tokens ...string) {
		t.Helper()
		for _, token := range tokens {
			o.call(http.MethodGet, "/v3/account/whoami", token, nil).Must(t, http.StatusOK)
		}
		o.login("bob", "bob-at-synapse").Must(t, http.StatusOK)
	}

	o.follow("install.md", "1. Caddy with the module")
	o.follow(migrationPage, "Before you begin")
	o.follow(migrationPage, "1. A Caddyfile for later")
	o.look()
	o.accepting("3. A rehearsal")
	goesOn(phone)
	o.accepting("4. The first run")
	goesOn(phone)
	tablet := o.login("bob", "bob-at-synapse").Must(t, http.StatusOK).Text("access_token")
	gone := o.login("bob", "bob-at-synapse").Must(t, http.StatusOK).Text("access_token")
	o.call(http.MethodPost, "/v3/logout", gone, struct{}{}).Must(t, http.StatusOK)
	o.accepting("5. Change over")
	if shown := o.follow(migrationPage, "6. Check"); !strings.Contains(shown, "all is well") {
		t.Errorf("the doctor says %s", shown)
	}
	goesOn(phone, tablet)
	o.call(http.MethodGet, "/v3/account/whoami", gone, nil).Must(t, http.StatusUnauthorized)

	o.follow(migrationPage, "The way back")
	goesOn(phone, tablet)
}

// look follows the section by which people see what is in the way: here it is the warning of a setting that ends sessions.
func (o owner) look() {
	o.t.Helper()
	for _, b := range blocksIn(o.t, migrationPage, "2. Look") {
		if r := o.try(b); r.Err == nil || !strings.Contains(r.Out, strings.Join(accepted, " ")) {
			o.t.Fatalf("%s: %v: %s", b, r.Err, r.Out)
		}
	}
	o.accepting("2. Look")
}

// accepting follows a section as the page has people do who accept a warning.
func (o owner) accepting(section string) {
	o.t.Helper()
	for _, b := range blocksIn(o.t, migrationPage, section) {
		lines := strings.SplitAfter(b.text, "\n")
		for i, line := range lines {
			if command, ok := strings.CutSuffix(line, "\n"); ok && strings.Contains(command, "migrate synapse") {
				lines[i] = command + " " + strings.Join(accepted, " ") + "\n"
			}
		}
		b.text = strings.Join(lines, "")
		o.paste(b)
	}
}
