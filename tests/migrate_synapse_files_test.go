package tests

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// traces tells of each file of a directory whose it is, who may read it, when it was written, and what is in it.
func traces(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		stat, _ := info.Sys().(*syscall.Stat_t)
		found[entry.Name()] = fmt.Sprint(stat.Uid, stat.Gid, info.Mode(), info.Size())
		// The index of a database that somebody else has open is memory that all readers share: they note in it how far they
		// read. SQLite makes it anew whenever nobody has the database open.
		if !strings.HasSuffix(entry.Name(), "-shm") {
			found[entry.Name()] += fmt.Sprintf("%s %x", info.ModTime(), sha256.Sum256(content))
		}
	}
	return found
}

// as has a command run as a user; zero for whoever runs the tests.
func as(t *testing.T, c *rig.Caddy, user int, args ...string) (string, error) {
	t.Helper()
	cmd := c.Cmd(args...)
	if user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestMigrateSynapseLeavesNoTrace has the check read the SQLite database of a Synapse that was stopped, and of one that
// was killed, as root and as the user whose files they are: the files are what they were, and there are no others, as
// Synapse could not start with a file of root's beside its database.
func TestMigrateSynapseLeavesNoTrace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user")
	}
	s := rig.StartSynapse(t, rig.SynapseConfig{Version: rig.Newest, ServerName: rig.ServerName, Delegation: rig.OwnAccounts})
	s.Register("alice", false)
	c := rig.NewCaddy(t, rig.CaddyConfig{ServerName: rig.ServerName, Synapse: s.URL, User: serviceUser})
	c.Write(strings.Replace(c.Text(""), "secret {env.MATRIX_SECRET}", "", 1))
	s.Kill()
	killed := copyFor(t, s, serviceUser)
	s.Start()
	s.Stop()
	stopped := copyFor(t, s, serviceUser)
	for what, dir := range map[string]string{"killed": killed, "stopped": stopped} {
		if _, err := os.Stat(filepath.Join(dir, "homeserver.db-wal")); (err == nil) != (what == "killed") {
			t.Fatalf("one that was %s: the log of SQLite: %v", what, err)
		}
		args := append([]string{"matrix-auth", "migrate", "synapse", "--synapse-config", filepath.Join(dir, "homeserver.yaml"), "--config", c.File()}, accepted...)
		for who, user := range map[string]int{"root": 0, "its_user": serviceUser} {
			t.Run(what+"_read_by_"+who, func(t *testing.T) {
				before, ours := traces(t, dir), traces(t, c.Dir)
				out, err := as(t, c, user, args...)
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				if after := traces(t, dir); !maps.Equal(after, before) {
					t.Errorf("the files are\n%v\nand were\n%v", after, before)
				}
				if after := traces(t, c.Dir); !maps.Equal(after, ours) {
					t.Errorf("a check has changed our files:\n%v\nand they were\n%v", after, ours)
				}
			})
		}
		t.Run(what+"_closed_to_a_stranger", func(t *testing.T) {
			before := traces(t, dir)
			out, err := as(t, c, serviceUser-1, args...)
			if err == nil {
				t.Errorf("a stranger reads it:\n%s", out)
			}
			if after := traces(t, dir); !maps.Equal(after, before) {
				t.Errorf("the files are\n%v\nand were\n%v", after, before)
			}
		})
	}
}

// copyFor copies a Synapse that does not run for a user, and gives the directory.
func copyFor(t *testing.T, s *rig.Synapse, user int) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "synapse")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(dir, os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "homeserver.yaml")
	text := strings.ReplaceAll(read(t, config), s.Dir, dir)
	err = errors.Join(os.WriteFile(config, []byte(text), 0o640), os.Chown(dir, user, user), os.Chmod(dir, 0o750))
	for name := range traces(t, dir) {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.Chown(path, user, user), os.Chmod(path, 0o640))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
