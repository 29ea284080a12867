package tests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// moving is a Synapse that has its accounts itself, behind a Caddy that only hands on, with people on it who are to notice
// nothing of the move: alice on matrix-js-sdk with Rust crypto, bob on matrix-nio with a token that never expires, and
// carol on mautrix-go with refresh, who are together in an encrypted room.
type moving struct {
	*rig.Homeserver
	t        *testing.T
	postgres *rig.Postgres // nil for SQLite
	// kept holds the port of our listener for Synapse until that is opened.
	kept       io.Closer
	password   map[string]string
	alice, bob *driven
	carol      *cryptoClient
	// refresh is carol's refresh token, which her library does not know on the legacy API.
	refresh string
	room    string
	// backup is the version of the backup of alice's keys.
	backup string
	said   []string
}

// settle starts a Synapse that has its accounts itself.
func settle(t *testing.T, version string, postgres *rig.Postgres) *moving {
	t.Helper()
	site := rig.FreePort(t)
	config := rig.SynapseConfig{
		Version: version, ServerName: rig.ServerName, Delegation: rig.OwnAccounts, PublicURL: fmt.Sprintf("http://127.0.0.1:%d", site),
	}
	if postgres != nil {
		config.Database = postgres.YAML()
	}
	s := rig.NewSynapse(t, config)
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: s.URL, SitePort: site, Options: "password_hash bcrypt"})
	c.Write(c.TextBefore())
	s.Start()
	c.Start()
	// Other tests that run on this machine must not take the port of the listener for Synapse before it is opened.
	kept, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.InternalPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() }) // unless it was needed
	// From now on it is the configuration that waits to be loaded, with a secret of our own making.
	c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1))
	return &moving{Homeserver: rig.Join(t, c, s), t: t, kept: kept, postgres: postgres, password: map[string]string{}}
}

// add makes accounts at Synapse.
func (m *moving) add(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.password[name] = m.Synapse.Register(name, name == "root")
	}
}

// signIn signs somebody in who has no app of their own.
func (m *moving) signIn(name, device string, refresh bool) rig.Answer {
	m.t.Helper()
	return m.Login(name, m.password[name], map[string]any{"device_id": device, "refresh_token": refresh}).Must(m.t, http.StatusOK)
}

// gather signs the three in and has them meet.
func (m *moving) gather() {
	t := m.t
	t.Helper()
	m.add("alice", "bob", "carol")
	m.alice, m.bob = driveSDK(t, m.Homeserver, ""), driveNio(t, m.Homeserver)
	m.alice.do("signInByPassword", "alice", m.password["alice"], "ALICETAB")
	m.backup = asked[string](m.alice, "setUpKeyBackup")
	m.bob.do("signIn", "bob", m.password["bob"], "BOBBOT", false)
	client, err := mautrix.NewClient(m.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	login, err := client.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: "carol"},
		Password: m.password["carol"], DeviceID: "CAROLPHONE", RefreshToken: true, StoreCredentials: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.refresh = login.RefreshToken
	m.carol = encrypted(t, client, filepath.Join(t.TempDir(), "carol.db"), nil)

	m.room = asked[string](m.bob, "createRoom", "@alice:"+rig.ServerName, "@carol:"+rig.ServerName)
	m.alice.do("join", m.room)
	if _, err := m.carol.JoinRoomByID(context.Background(), id.RoomID(m.room)); err != nil {
		t.Fatal(err)
	}
	m.bob.do("meets", m.room, "@alice:"+rig.ServerName)
	m.bob.do("meets", m.room, "@carol:"+rig.ServerName)
	m.talk("at Synapse")
	m.refreshAll()
}

// talk has each say something that the others decrypt.
func (m *moving) talk(when string) {
	m.t.Helper()
	said := []string{"bob, " + when, "alice, " + when, "carol, " + when}
	m.bob.do("say", m.room, said[0])
	m.alice.do("reads", m.room, said[:1])
	m.alice.do("say", m.room, said[1])
	m.carol.wantHeard(said[0])
	m.carol.wantHeard(said[1])
	m.carol.say(id.RoomID(m.room), said[2])
	m.bob.do("reads", m.room, said[1:])
	m.alice.do("reads", m.room, said[2:])
	m.said = append(m.said, said...)
}

// refreshAll has those refresh who can.
func (m *moving) refreshAll() {
	m.t.Helper()
	m.alice.do("refreshByApp", 2)
	for range 2 {
		answer := m.exchange(m.refresh).Must(m.t, http.StatusOK)
		m.refresh, m.carol.AccessToken = answer.Text("refresh_token"), answer.Text("access_token")
	}
}

func (m *moving) exchange(refresh string) rig.Answer {
	m.t.Helper()
	return m.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh})
}

// goOn has those who were signed in at Synapse go on with what they have: nobody was told of an end, each has the token of
// before, and after a refresh they talk and decrypt what is old and new.
func (m *moving) goOn(when string) {
	t := m.t
	t.Helper()
	m.talk(when)
	m.refreshAll()
	m.talk(when + " and a refresh")
	m.alice.do("rereads", m.room, m.said)
	m.bob.do("rereads", m.room, m.said)
	for d, device := range map[*driven]string{m.alice: "ALICETAB", m.bob: "BOBBOT"} {
		if who := asked[string](d, "whoami"); who != device {
			t.Errorf("%s is on the device %s, want %s", d.name, who, device)
		}
		if ends := asked[[]string](d, "ends"); len(ends) != 0 {
			t.Errorf("%s was told of an end: %v", d.name, ends)
		}
	}
	if keys := asked[struct{ Backup string }](m.alice, "keys"); keys.Backup != m.backup || m.backup == "" {
		t.Errorf("alice's keys are backed up as %q, and were as %q", keys.Backup, m.backup)
	}
	who, err := m.carol.Whoami(t.Context())
	if err != nil || who.DeviceID != "CAROLPHONE" {
		t.Errorf("carol is on %v %v", who, err)
	}
}

// sql runs statements in Synapse's database.
func (m *moving) sql(statements string) {
	m.t.Helper()
	if m.postgres != nil {
		m.postgres.Query(statements)
		return
	}
	db, err := sql.Open("sqlite3", m.Synapse.SQLite()+"?_busy_timeout=10000")
	if err != nil {
		m.t.Fatal(err)
	}
	_, err = db.ExecContext(m.t.Context(), statements)
	if err := errors.Join(err, db.Close()); err != nil {
		m.t.Fatal(err)
	}
}

// accepted are the warnings that rig.OwnAccounts has people read.
var accepted = []string{"--accept", "lifetime"}

// take runs the command that takes over, or looks; it must succeed.
func (m *moving) take(flags ...string) string {
	m.t.Helper()
	return m.mustMigrate(append(flags, accepted...)...)
}

// migrate runs the command.
func (m *moving) migrate(flags ...string) (string, error) {
	return m.Command("", append([]string{"migrate", "synapse", "--synapse-config", m.Synapse.Config()}, flags...)...)
}

// mustMigrate is migrate for what must succeed.
func (m *moving) mustMigrate(flags ...string) string {
	m.t.Helper()
	out, err := m.migrate(flags...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// is asks whose a token is; the status is 401 for nobody's.
func (m *moving) is(token, name string, status int) {
	m.t.Helper()
	answer := m.Call(http.MethodGet, "/v3/account/whoami", token, nil).Must(m.t, status)
	if want := "@" + name + ":" + rig.ServerName; status == http.StatusOK && answer.Text("user_id") != want {
		m.t.Errorf("the token is of %s, want %s", answer.Text("user_id"), want)
	}
}

// devicesOf lists the devices that Synapse has of somebody, asked by an administrator of Synapse.
func (m *moving) devicesOf(name, admin string) []string {
	m.t.Helper()
	answer := m.Synapse.Admin(http.MethodGet, "/v2/users/@"+name+":"+rig.ServerName+"/devices", admin, nil).Must(m.t, http.StatusOK)
	ids := []string{}
	list, _ := answer.Body["devices"].([]any)
	for _, one := range list {
		if device, ok := one.(map[string]any); ok {
			ids = append(ids, fmt.Sprint(device["device_id"]))
		}
	}
	return ids
}
