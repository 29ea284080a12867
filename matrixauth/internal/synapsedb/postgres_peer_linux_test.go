package synapsedb

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/place"
)

// TestPeer: root is to PostgreSQL who Synapse is to it, by the name of the user alone, unless there is a password.
func TestPeer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	nobody, _, found := systemUser("nobody")
	if !found {
		t.Skip("there is no user nobody")
	}
	for name, c := range map[string]struct {
		args map[string]string
		uid  int
	}{
		"by the name of the user":        {map[string]string{"user": "nobody"}, nobody},
		"with a password":                {map[string]string{"user": "nobody", "password": "x"}, 0},
		"a user that the system has not": {map[string]string{"user": "synapse_user"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.args["host"] = openDir(t)
			peer := acceptPeer(t, filepath.Join(c.args["host"], ".s.PGSQL.5432"))
			if _, err := connect(t.Context(), c.args); err == nil {
				t.Error("who is no PostgreSQL was taken for one")
			}
			if uid := <-peer; uid != c.uid {
				t.Errorf("the other end is user %d, not %d", uid, c.uid)
			}
			if os.Geteuid() != 0 {
				t.Error("the process is another user since")
			}
		})
	}
}

// openDir makes a directory that everybody may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// acceptPeer tells the user at the other end of the first connection, which it then closes.
func acceptPeer(t *testing.T, path string) <-chan int {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	must(t, os.Chmod(path, 0o777))
	found := make(chan int, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if uid, _, err := place.Peer(conn); err == nil && first {
				found <- uid
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return found
}
