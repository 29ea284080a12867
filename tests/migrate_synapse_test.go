package tests

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// moved is a Synapse that has its accounts itself, behind a Caddy that only hands on, with people on it who are to notice
// nothing of the move: alice on matrix-js-sdk with Rust crypto, bob on matrix-nio with a token that never expires, and
// carol on mautrix-go with refresh, who are together in an encrypted room.
type moved struct {
	*rig.Homeserver
	t          *testing.T
	postgres   *rig.Postgres // nil for SQLite
	password   map[string]string
	alice, bob *driven
	carol      *cryptoClient
	// refresh is carol's refresh token, which her library does not know on the legacy API.
	refresh string
	room    string
	said    []string
}

// settle starts a Synapse that has its accounts itself.
func settle(t *testing.T, version string, postgres *rig.Postgres) *moved {
	t.Helper()
	site := rig.FreePort(t)
	config := rig.SynapseConfig{
		Version: version, ServerName: rig.ServerName, Delegation: rig.OwnAccounts, PublicURL: fmt.Sprintf("http://127.0.0.1:%d", site),
	}
	if postgres != nil {
		config.Database = postgres.YAML()
	}
	s := rig.NewSynapse(t, config)
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: s.URL, SitePort: site, Options: "access_token_lifetime 50s"})
	c.Write(c.TextBefore())
	s.Start()
	c.Start()
	return &moved{Homeserver: rig.Join(t, c, s), t: t, postgres: postgres, password: map[string]string{}}
}

// add makes accounts at Synapse.
func (m *moved) add(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.password[name] = m.Synapse.Register(name, name == "root")
	}
}

// signIn signs somebody in who has no app of their own.
func (m *moved) signIn(name, device string, refresh bool) rig.Answer {
	m.t.Helper()
	return m.Login(name, m.password[name], map[string]any{"device_id": device, "refresh_token": refresh}).Must(m.t, http.StatusOK)
}

// gather signs the three in and has them meet.
func (m *moved) gather() {
	t := m.t
	t.Helper()
	m.add("alice", "bob", "carol")
	m.alice, m.bob = driveSDK(t, m.Homeserver, ""), driveNio(t, m.Homeserver)
	m.alice.do("signInByPassword", "alice", m.password["alice"], "ALICETAB")
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
func (m *moved) talk(when string) {
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
func (m *moved) refreshAll() {
	m.t.Helper()
	m.alice.do("refreshByApp", 2)
	for range 2 {
		answer := m.exchange(m.refresh).Must(m.t, http.StatusOK)
		m.refresh, m.carol.AccessToken = answer.Text("refresh_token"), answer.Text("access_token")
	}
}

func (m *moved) exchange(refresh string) rig.Answer {
	m.t.Helper()
	return m.Call(http.MethodPost, "/v3/refresh", "", map[string]string{"refresh_token": refresh})
}

// TestClientsOfASynapseWithItsOwnAccounts has people go on across a restart of a Synapse that nothing is delegated from.
func TestClientsOfASynapseWithItsOwnAccounts(t *testing.T) {
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
			m.Synapse.Stop()
			m.Synapse.Start()
			m.talk("after a restart")
		})
	}
}
