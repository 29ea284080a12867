package tests

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// others are people on the moving Synapse beside those who chat, with what each is signed in with.
type others struct {
	// root administers Synapse, by a token of a session and by one without a device, as older Synapses made them.
	root, rootBare string
	// dave has lost the answer to his last refresh.
	daveLost rig.Answer
	// erin logs out on one device and in on another, while her third stays; gina changes her password; frank is
	// deactivated; henry comes late; ivan is locked.
	erinGone, erinNew, erinStays, gina, frank, henry, ivan rig.Answer
	// ghost's room is one in which a user of the bridge talks.
	ghostRoom string
	// before holds the passwords that were changed.
	before map[string]string
}

const bareToken = "MDAxN2xvY2F0aW9uIGV4YW1wbGUudGVzdAowMDEzaWRlbnRpZmllciBrZXkKMDAxMGNpZCBnZW4gPSAxCg"

func (m *moving) comeTogether() *others {
	t := m.t
	t.Helper()
	m.add("root", "dave", "erin", "frank", "gina", "ivan")
	o := &others{before: map[string]string{}}
	o.root, o.rootBare = m.signIn("root", "ROOTDESK", false).Text("access_token"), bareToken
	m.sql("INSERT INTO access_tokens (id, user_id, device_id, token) VALUES (1000001, '@root:" + rig.ServerName + "', NULL, '" + bareToken + "')")
	m.Synapse.Admin(http.MethodPut, "/v2/users/@alice:"+rig.ServerName, o.root, map[string]any{
		"threepids": []any{map[string]string{"medium": "email", "address": "alice@example.test"}},
	}).Must(t, http.StatusOK)

	o.daveLost = m.signIn("dave", "DAVEPHONE", true)
	m.exchange(o.daveLost.Text("refresh_token")).Must(t, http.StatusOK)
	o.erinGone, o.erinStays = m.signIn("erin", "ERINGONE", false), m.signIn("erin", "ERINSTAYS", true)
	o.frank, o.gina, o.ivan = m.signIn("frank", "FRANKPHONE", true), m.signIn("gina", "GINAPHONE", false), m.signIn("ivan", "IVANPHONE", false)
	m.Synapse.Admin(http.MethodPut, "/v2/users/@ivan:"+rig.ServerName, o.root, map[string]any{"locked": true}).Must(t, http.StatusOK)

	m.Call(http.MethodPost, "/v3/register", rig.BridgeToken, map[string]any{
		"type": "m.login.application_service", "username": "bridge_ghost", "inhibit_login": true,
	}).Must(t, http.StatusOK)
	o.ghostRoom = m.asGhost(http.MethodPost, "/v3/createRoom", struct{}{}).Text("room_id")
	m.ghostTalks(o)
	return o
}

// asGhost makes a request as a user of the bridge.
func (m *moving) asGhost(method, path string, body any) rig.Answer {
	m.t.Helper()
	return m.Call(method, path+"?user_id=@bridge_ghost:"+rig.ServerName, rig.BridgeToken, body).Must(m.t, http.StatusOK)
}

func (m *moving) ghostTalks(o *others) {
	m.t.Helper()
	m.asGhost(http.MethodPost, "/v3/rooms/"+o.ghostRoom+"/send/m.room.message", map[string]string{"msgtype": "m.text", "body": "boo"})
}

// change is what happens at Synapse between two runs.
func (m *moving) change(o *others) {
	t := m.t
	t.Helper()
	m.Call(http.MethodPost, "/v3/logout", o.erinGone.Text("access_token"), struct{}{}).Must(t, http.StatusOK)
	o.erinNew = m.signIn("erin", "ERINNEW", true)
	o.before["gina"], m.password["gina"] = m.password["gina"], "what gina has chosen since"
	m.Call(http.MethodPost, "/v3/account/password", o.gina.Text("access_token"), map[string]any{
		"new_password": m.password["gina"], "logout_devices": false,
		"auth": rig.Login("gina", o.before["gina"], nil),
	}).Must(t, http.StatusOK)
	m.Synapse.Admin(http.MethodPost, "/v1/deactivate/@frank:"+rig.ServerName, o.root, map[string]any{"erase": false}).Must(t, http.StatusOK)
	m.add("henry")
	o.henry = m.signIn("henry", "HENRYPHONE", true)
	m.refreshAll()
}

// wantOthers holds that the others go on with what they had, and that what ended at Synapse has ended.
func (m *moving) wantOthers(o *others) {
	t := m.t
	t.Helper()
	m.is(o.root, "root", http.StatusOK)
	m.is(o.rootBare, "root", http.StatusOK)
	for _, token := range []string{o.root, o.rootBare} {
		m.Synapse.Admin(http.MethodGet, "/v2/users/@alice:"+rig.ServerName, token, nil).Must(t, http.StatusOK)
	}
	m.is(o.erinGone.Text("access_token"), "erin", http.StatusUnauthorized)
	m.is(o.erinStays.Text("access_token"), "erin", http.StatusOK)
	m.is(o.erinNew.Text("access_token"), "erin", http.StatusOK)
	m.is(o.frank.Text("access_token"), "frank", http.StatusUnauthorized)
	m.is(o.gina.Text("access_token"), "gina", http.StatusOK)
	m.is(o.henry.Text("access_token"), "henry", http.StatusOK)

	again := m.exchange(o.daveLost.Text("refresh_token")).Must(t, http.StatusOK)
	m.is(again.Text("access_token"), "dave", http.StatusOK)
	m.exchange(again.Text("refresh_token")).Must(t, http.StatusOK)
	m.exchange(o.frank.Text("refresh_token")).Must(t, http.StatusUnauthorized)

	m.Login("gina", m.password["gina"], nil).Must(t, http.StatusOK)
	m.Login("gina", o.before["gina"], nil).Must(t, http.StatusForbidden)
	m.Login("henry", m.password["henry"], nil).Must(t, http.StatusOK)
	m.Login("frank", m.password["frank"], nil).Must(t, http.StatusForbidden)
	for what, refused := range map[string]rig.Answer{
		"the login": m.Login("ivan", m.password["ivan"], nil),
		"whoami":    m.Call(http.MethodGet, "/v3/account/whoami", o.ivan.Text("access_token"), nil),
	} {
		if refused.Status == http.StatusOK {
			t.Errorf("%s of somebody locked is answered %v", what, refused.Body)
		}
	}
	m.ghostTalks(o)
	if shown := m.MustCommand("", "user", "show", "alice"); !strings.Contains(shown, "alice@example.test") {
		t.Errorf("the mail address did not come: %s", shown)
	}
}

// TestMigrateSynapse moves people on clients that we did not write from a Synapse that has its accounts itself: they chat
// during the first run, things change at Synapse until the last, and then all go on with the tokens that they have.
func TestMigrateSynapse(t *testing.T) {
	for _, on := range []struct {
		name, version string
		postgres      bool
	}{
		{"1.163.2_on_SQLite", rig.Newest, false},
		{"1.163.2_on_PostgreSQL", rig.Newest, true},
		{"1.136.0_on_SQLite", rig.Oldest, false},
	} {
		t.Run(on.name, func(t *testing.T) {
			var postgres *rig.Postgres
			if on.postgres {
				postgres = rig.StartPostgres(t)
			}
			m := settle(t, on.version, postgres)
			m.gather()
			o := m.comeTogether()
			original := read(t, m.Synapse.Config())

			if out, err := m.migrate("--write"); err == nil || !strings.Contains(err.Error(), strings.Join(accepted, " ")) {
				t.Fatalf("a warning stopped nothing: %s %v", out, err)
			}
			m.take()
			if postgres != nil {
				m.checkBySocket()
			}
			m.writeWhileTheyTalk()
			m.change(o)
			m.talk("between the runs")
			m.moveOver(original)
			m.goOn("after the move")
			m.wantOthers(o)
			m.leave(o)
			m.goBack(o, original)
		})
	}
}

// checkBySocket reads PostgreSQL's database by way of its socket, as most Synapses beside it do.
func (m *moving) checkBySocket() {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "homeserver.yaml")
	text := strings.Replace(read(m.t, m.Synapse.Config()), m.postgres.YAML(), m.postgres.SocketYAML(), 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.MustCommand("", append([]string{"migrate", "synapse", "--synapse-config", file}, accepted...)...)
}

// writeWhileTheyTalk is the first run.
func (m *moving) writeWhileTheyTalk() {
	t := m.t
	t.Helper()
	ended := make(chan error)
	go func() {
		_, err := m.migrate(append(accepted, "--write")...)
		ended <- err
	}()
	for m.talk("during the first run"); ; m.talk("still during the first run") {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// moveOver is the last run, with Synapse stopped, and the start of both under our logins.
func (m *moving) moveOver(original string) {
	t := m.t
	t.Helper()
	m.Synapse.Stop()
	m.take("--write")
	if read(t, m.Synapse.Config()) != original {
		t.Fatal("homeserver.yaml was changed without being asked for")
	}
	m.mustMigrate("--write-config")
	if err := errors.Join(m.kept.Close(), m.Reload()); err != nil {
		t.Fatal(err)
	}
	m.Synapse.Start()
	rig.Await(t, "our login", func() error { return rig.Answers(m.URL + "/_matrix/client/v3/login") })
	m.wantDoctorContent()
}

// wantDoctorContent holds that the doctor finds nothing that the move has done. The name of the server leads nowhere in
// tests, and the older Synapse is older than what it wants.
func (m *moving) wantDoctorContent() {
	m.t.Helper()
	out, err := m.Command("", "doctor")
	if err != nil {
		out = err.Error()
	}
	if !strings.Contains(out, "accounts were compared with Synapse's; 0 differences") {
		m.t.Errorf("the doctor did not compare accounts:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "WRONG") && !strings.HasPrefix(line, "WRONG well-known") && (m.Synapse.Version == rig.Newest || !strings.HasPrefix(line, "WRONG synapse version")) {
			m.t.Errorf("the doctor says %s", line)
		}
	}
}

// leave logs people out after the move: their devices are gone at Synapse.
func (m *moving) leave(o *others) {
	t := m.t
	t.Helper()
	type kept struct {
		AccessToken string `json:"accessToken"`
	}
	alice, carol := asked[kept](m.alice, "kept").AccessToken, m.carol.AccessToken
	m.alice.do("logOut")
	m.carol.close()
	if _, err := m.carol.Logout(context.Background()); err != nil {
		t.Fatal(err)
	}
	for name, left := range map[string]struct{ token, device string }{"alice": {alice, "ALICETAB"}, "carol": {carol, "CAROLPHONE"}} {
		m.is(left.token, name, http.StatusUnauthorized)
		if devices := m.devicesOf(name, o.rootBare); slices.Contains(devices, left.device) {
			t.Errorf("Synapse still has %v of %s", devices, name)
		}
	}
	m.exchange(m.refresh).Must(t, http.StatusUnauthorized)
}

// goBack gives the accounts back to Synapse: its configuration is what it was, and the sessions that it still has work.
func (m *moving) goBack(o *others, original string) {
	t := m.t
	t.Helper()
	o.before["henry"], m.password["henry"] = m.password["henry"], rand.Text()
	m.MustCommand(m.password["henry"]+"\n", "user", "set-password", "henry")
	if out, err := m.migrate("--back", "--write-passwords"); err == nil {
		t.Errorf("passwords were written beside a running Synapse:\n%s", out)
	}
	m.mustMigrate("--back")
	if read(t, m.Synapse.Config()) == original {
		t.Fatal("--back changed homeserver.yaml without being asked for")
	}
	m.Synapse.Stop()
	m.mustMigrate("--back", "--write-config")
	if read(t, m.Synapse.Config()) != original {
		t.Errorf("homeserver.yaml is not what it was:\n%s", read(t, m.Synapse.Config()))
	}
	m.mustMigrate("--back", "--write-passwords")
	m.Write(m.TextBefore())
	if err := m.Reload(); err != nil {
		t.Fatal(err)
	}
	m.Synapse.Start()
	if who := asked[string](m.bob, "whoami"); who != "BOBBOT" {
		t.Errorf("bob is on the device %s", who)
	}
	m.bob.do("say", m.room, "bob, back at Synapse")
	for name, token := range map[string]string{
		"root": o.rootBare, "erin": o.erinStays.Text("access_token"), "gina": o.gina.Text("access_token"),
	} {
		m.is(token, name, http.StatusOK)
	}
	m.exchange(o.erinStays.Text("refresh_token")).Must(t, http.StatusOK)
	m.is(o.erinGone.Text("access_token"), "erin", http.StatusUnauthorized)
	for _, name := range []string{"gina", "henry"} {
		m.Login(name, m.password[name], nil).Must(t, http.StatusOK)
		m.Login(name, o.before[name], nil).Must(t, http.StatusForbidden)
	}
	m.ghostTalks(o)
}
