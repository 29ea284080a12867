package tests

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// conversation is two people in an encrypted room: alice on matrix-js-sdk with Rust crypto over OAuth, with a backup of
// her keys, and bob on matrix-nio over the legacy API with refresh.
type conversation struct {
	t          *testing.T
	h          *rig.Homeserver
	dir        string
	alice, bob *driven
	room       string
	// said is what is at the homeserver; a homeserver that went back in time has lost some of it.
	said []string
	// keys are those of the devices: other ones would have lost what was said before.
	keys [2]string
}

func startConversation(t *testing.T) *conversation {
	h := rig.StartHomeserver(t, rig.Newest, rig.CaddyConfig{Options: oauthOptions + "\n\t\taccess_token_lifetime 50s"})
	alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
	c := &conversation{t: t, h: h, dir: t.TempDir(), alice: driveSDK(t, h, ""), bob: driveNio(t, h)}
	c.bob.do("signIn", "bob", bobPassword, "BOBBOT")
	c.alice.do("signIn", "alice", alicePassword, "ALICETAB")
	c.alice.do("setUpKeyBackup")
	c.room = asked[string](c.bob, "createRoom", "@alice:"+rig.ServerName)
	c.alice.do("join", c.room)
	c.bob.do("meets", c.room, "@alice:"+rig.ServerName)
	c.keys = c.deviceKeys()
	c.talk("before")
	return c
}

func (c *conversation) deviceKeys() [2]string {
	c.t.Helper()
	return [2]string{asked[string](c.alice, "ownKey"), asked[string](c.bob, "ownKey")}
}

// refresh has both go on by so many generations.
func (c *conversation) refresh(times int) {
	c.t.Helper()
	c.alice.do("refresh", times)
	c.bob.do("refresh", times)
}

// talk has both say something that the other decrypts.
func (c *conversation) talk(when string) {
	c.t.Helper()
	question, answer := "bob, "+when, "alice, "+when
	c.bob.do("say", c.room, question)
	c.alice.do("reads", c.room, []string{question})
	c.alice.do("say", c.room, answer)
	c.bob.do("reads", c.room, []string{answer})
	c.said = append(c.said, question, answer)
}

// goesOn holds that nobody was signed out: both refresh, talk, and decrypt all that was said from what the homeserver
// and their own stores have.
func (c *conversation) goesOn(when string) {
	c.t.Helper()
	c.refresh(2)
	c.talk(when)
	c.alice.do("rereads", c.room, c.said)
	c.bob.do("rereads", c.room, c.said)
	c.wantIn()
}

// wantIn holds that both are the devices that they were, with their keys, and were never told otherwise.
func (c *conversation) wantIn() {
	c.t.Helper()
	if keys := c.deviceKeys(); keys != c.keys {
		c.t.Fatalf("the keys are %v, and were %v", keys, c.keys)
	}
	for d, device := range map[*driven]string{c.alice: "ALICETAB", c.bob: "BOBBOT"} {
		if who := asked[string](d, "whoami"); who != device {
			c.t.Fatalf("%s is on the device %s, want %s", d.name, who, device)
		}
		if ends := asked[[]string](d, "ends"); len(ends) != 0 {
			c.t.Fatalf("%s was told of an end: %v", d.name, ends)
		}
	}
}

// copied keeps what our database has now.
func (c *conversation) copied(name string) (file string) {
	c.t.Helper()
	file = filepath.Join(c.dir, name+".db")
	c.h.MustCommand("", "backup", file)
	return file
}

// copiedSynapse keeps what Synapse's database has now.
func (c *conversation) copiedSynapse() (file string) {
	c.t.Helper()
	file = filepath.Join(c.dir, "homeserver.db")
	db, err := sql.Open("sqlite3", filepath.Join(c.h.Synapse.Dir, "homeserver.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = db.ExecContext(c.t.Context(), "VACUUM INTO ?", file)
	if err := errors.Join(err, db.Close()); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// inPlace puts a copy in the place of a database that no server has open, and without what was written beside it.
func inPlace(t *testing.T, database, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, ending := range []string{"-wal", "-shm"} {
		if err := os.Remove(database + ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(database, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestClientsOfARestoredDatabase puts databases back in time, and loses what lies beside them, under clients with
// end-to-end encryption that we did not write. Nobody is signed out, and all that the homeserver still has is decrypted.
func TestClientsOfARestoredDatabase(t *testing.T) {
	c := startConversation(t)
	h, keyFile := c.h, filepath.Join(c.h.Dir, "matrix_auth.key")
	// Without its database it answers nothing of ours.
	h.Write(h.Text(`respond /other "the other page"`))
	h.CaddyConfig.Ready = "/other"
	for _, step := range []struct {
		name string
		run  func(*conversation)
	}{
		{"killed", func(c *conversation) {
			c.refresh(6)
			h.Caddy.Kill()
			h.Caddy.Start()
		}},
		{"killed_and_ours_restored", func(c *conversation) {
			backup := c.copied("ours")
			c.refresh(6)
			c.talk("since the backup")
			h.Caddy.Kill()
			h.MustCommand("", "restore", backup)
			h.Caddy.Start()
		}},
		{"ours_and_the_homeserver's_restored", func(c *conversation) {
			backup, synapse, said := c.copied("both"), c.copiedSynapse(), slices.Clone(c.said)
			c.refresh(6)
			c.talk("what the homeserver loses")
			h.Caddy.Stop()
			h.Synapse.Stop()
			inPlace(c.t, h.Database(), backup)
			inPlace(c.t, filepath.Join(h.Synapse.Dir, "homeserver.db"), synapse)
			h.Synapse.Start()
			h.Caddy.Start()
			// Synapse tells nothing to a sync that goes on from a point that it has forgotten until it is past that point
			// again. So the clients begin their syncs anew, as apps do when they are told to clear their cache.
			c.said = said
			c.alice.do("rereads", c.room, said)
			c.bob.do("rereads", c.room, said)
		}},
		{"the_database_is_lost", func(c *conversation) {
			backup := c.copied("lost")
			c.refresh(6)
			h.Caddy.Kill()
			for _, ending := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(h.Database() + ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
					c.t.Fatal(err)
				}
			}
			h.Caddy.Start()
			c.wantToWait()
			h.MustCommand("", "restore", backup)
			rig.Await(c.t, "our answer once the database is there", func() error { return rig.Answers(h.URL + "/_matrix/client/v3/login") })
		}},
		{"the_key_is_lost", func(c *conversation) {
			h.Caddy.Stop()
			if err := os.Remove(keyFile); err != nil {
				c.t.Fatal(err)
			}
			h.Caddy.Start()
		}},
		{"the_key_is_lost_and_ours_restored", func(c *conversation) {
			backup := c.copied("keyless")
			key, err := os.ReadFile(keyFile)
			if err != nil {
				c.t.Fatal(err)
			}
			c.refresh(6)
			h.Caddy.Stop()
			inPlace(c.t, h.Database(), backup)
			if err := os.Remove(keyFile); err != nil {
				c.t.Fatal(err)
			}
			h.Caddy.Start()
			c.wantToWait()
			h.Caddy.Stop()
			if err := os.WriteFile(keyFile, key, 0o600); err != nil { // it was found again
				c.t.Fatal(err)
			}
			h.Caddy.Start()
		}},
		{"a_session_of_after_the_backup", sessionSinceBackup},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			within := *c
			within.t, within.alice, within.bob = t, c.alice.in(t), c.bob.in(t)
			step.run(&within)
			within.goesOn(fmt.Sprintf("after %s", step.name))
			c.said = within.said
		}) {
			t.FailNow()
		}
	}
	type keys struct {
		Backup   string
		Imported int
	}
	// The library uploads keys to the backup after a pause of its own choice, of up to ten seconds after each start.
	rig.Await(t, "the backup of the keys", func() error {
		if kept := asked[keys](c.alice, "keys"); kept.Backup == "" || kept.Imported == 0 {
			return fmt.Errorf("it is %+v", kept)
		}
		return nil
	})
}

// wantToWait holds that both are told to come again, and that this is no end to them.
func (c *conversation) wantToWait() {
	c.t.Helper()
	if status := asked[int](c.bob, "tryRefresh"); status != http.StatusServiceUnavailable {
		c.t.Errorf("the refresh of %s is answered %d", c.bob.name, status)
	}
	if _, failure := c.alice.try("refresh", 1); failure == "" {
		c.t.Errorf("%s refreshes by a token that nothing proves", c.alice.name)
	}
	for _, d := range []*driven{c.alice, c.bob} {
		if ends := asked[[]string](d, "ends"); len(ends) != 0 {
			c.t.Fatalf("%s was told of an end: %v", d.name, ends)
		}
	}
}

// sessionSinceBackup has somebody sign in whose session the backup does not have: they wait for the right database, and
// go on with it.
func sessionSinceBackup(c *conversation) {
	t, h := c.t, c.h
	password := h.AddUser("carol")
	backup := c.copied("without_carol")
	late := driveNio(t, h)
	late.do("signIn", "carol", password, "CAROLBOT")
	room := asked[string](late, "createRoom", "@bob:"+rig.ServerName)
	c.bob.do("join", room)
	late.do("meets", room, "@bob:"+rig.ServerName)
	late.do("say", room, "carol, since the backup")
	c.bob.do("reads", room, []string{"carol, since the backup"})
	right := c.copied("right")
	late.do("refresh", 2)
	key := asked[string](late, "ownKey")
	// Synapse has not asked about this one, of which it would remember the answer.
	if status := asked[int](late, "tryRefresh"); status != http.StatusOK {
		t.Fatalf("a refresh is answered %d", status)
	}

	h.Caddy.Stop()
	inPlace(t, h.Database(), backup)
	h.Caddy.Start()
	if status := asked[int](late, "tryRefresh"); status != http.StatusServiceUnavailable {
		t.Errorf("the refresh of a session that is lost is answered %d", status)
	}
	if status := asked[int](late, "trySync"); status != http.StatusServiceUnavailable {
		t.Errorf("the sync of a session that is lost is answered %d", status)
	}

	h.Caddy.Stop()
	inPlace(t, h.Database(), right)
	h.Caddy.Start()
	late.do("refresh", 2)
	c.bob.do("say", room, "bob, with the right database")
	late.do("reads", room, []string{"bob, with the right database"})
	late.do("rereads", room, []string{"carol, since the backup", "bob, with the right database"})
	if again := asked[string](late, "ownKey"); again != key {
		t.Errorf("the key is %s, and was %s", again, key)
	}
	if ends := asked[[]string](late, "ends"); len(ends) != 0 {
		t.Errorf("it was told of an end: %v", ends)
	}
}
