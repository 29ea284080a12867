package synapsedb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// Users of the tests: one runs Synapse, the other our server.
const (
	synapseUser = 65534
	ourUser     = 1
)

// theirs makes a database in a directory that only Synapse's user may enter. It is written by a process of theirs, which
// ends as how says.
func theirs(t *testing.T, mode, how string) (path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act for others")
	}
	dir, err := os.MkdirTemp("", "synapsedb")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chown(dir, synapseUser, synapseUser))
	path = filepath.Join(dir, "homeserver.db")
	inProcess(t, synapseUser, "make", path, mode, how)
	return path
}

// inProcess runs a task of TestTask in a process that is a user's from the start (0 for root).
func inProcess(t *testing.T, uid uint32, task ...string) {
	t.Helper()
	binary, err := os.Executable()
	must(t, err)
	bytes, err := os.ReadFile(binary) // where the test's binary lies, others may not go
	must(t, err)
	dir, err := os.MkdirTemp("", "synapsedb-task")
	must(t, err)
	defer func() { must(t, os.RemoveAll(dir)) }()
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // for the other user
	copied := filepath.Join(dir, "task")
	must(t, os.WriteFile(copied, bytes, 0o755)) //nolint:gosec // for the other user
	cmd := exec.Command(copied, "-test.run=^TestTask$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SYNAPSEDB_TASK="+strings.Join(task, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%s: %v\n%s", task, err, out)
	}
}

// TestTask is what other processes of these tests do.
func TestTask(t *testing.T) {
	task := strings.Fields(os.Getenv("SYNAPSEDB_TASK"))
	if len(task) == 0 {
		t.Skip("it runs in other processes")
	}
	switch task[0] {
	case "make":
		db, err := sql.Open("sqlite3", "file:"+task[1]+"?_journal_mode="+task[2])
		must(t, err)
		for _, statement := range []string{schema, aliceAndBob} {
			_, err := db.Exec(statement)
			must(t, err)
		}
		if task[3] == "killed" {
			must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
		}
		must(t, db.Close())
	case "read":
		d := open(t, task[1])
		giveUp(t)
		judgeAliceAndBob(t, d)
		must(t, d.Close())
	case "write":
		w, err := OpenToWrite(context.Background(), optionsOf(task[1]))
		must(t, err)
		giveUp(t)
		written, _, err := w.WritePasswords(context.Background(), each("@bob:example.org", anotherHash))
		must(t, err)
		if written != 1 {
			t.Errorf("%d were written", written)
		}
		must(t, w.Close())
	}
}

// giveUp has root go on as our user for good.
func giveUp(t *testing.T) {
	t.Helper()
	must(t, syscall.Setgroups(nil))
	must(t, syscall.Setgid(ourUser))
	must(t, syscall.Setuid(ourUser))
}

// TestLeavesNoTrace reads as root what is another's, gives its rights up in between, and leaves everything as it was:
// a file that SQLite made as root would keep Synapse from starting.
func TestLeavesNoTrace(t *testing.T) {
	for _, c := range []struct{ mode, how string }{{"WAL", "closed"}, {"WAL", "killed"}, {"DELETE", "closed"}} {
		t.Run(c.mode+" "+c.how, func(t *testing.T) {
			path := theirs(t, c.mode, c.how)
			before := listing(t, filepath.Dir(path))
			if want := map[string]int{"closed": 1, "killed": 3}[c.how]; len(before) != want {
				t.Fatalf("there are %q", before)
			}
			inProcess(t, 0, "read", path)
			if diff := cmp.Diff(before, listing(t, filepath.Dir(path))); diff != "" {
				t.Errorf("it left a trace (-before +after):\n%s", diff)
			}
		})
	}
}

// TestLeavesNoTraceOfAClosingSynapse: who closes the file while it is read leaves the log to who reads it, and that must
// not touch it.
func TestLeavesNoTraceOfAClosingSynapse(t *testing.T) {
	path, db := synapse(t, "WAL", aliceAndBob)
	d := open(t, path)
	must(t, db.Close())
	before := listing(t, filepath.Dir(path))
	must(t, d.Accounts(t.Context(), &move.Findings{}, func(move.Account) error { return nil }))
	must(t, d.Close())
	if diff := cmp.Diff(before, listing(t, filepath.Dir(path))); diff != "" {
		t.Errorf("it left a trace (-before +after):\n%s", diff)
	}
}

// TestWritesAsOwner writes as root what is another's: the file stays theirs, and nothing of another's lies beside it,
// although the process gives its rights up before it writes.
func TestWritesAsOwner(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			path := theirs(t, mode, "closed")
			inProcess(t, 0, "write", path)
			if got := hashOf(t, path, "@bob:example.org"); got != anotherHash {
				t.Errorf("the hash is %q", got)
			}
			for _, file := range listing(t, filepath.Dir(path)) {
				if !strings.Contains(file, fmt.Sprintf(" %d:%d ", synapseUser, synapseUser)) {
					t.Errorf("there is %s", file)
				}
			}
		})
	}
}
