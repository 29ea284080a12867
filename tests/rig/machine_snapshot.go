package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Snapshot is what a machine had written when it was saved. Others boot from it, each with a copy of its own.
type Snapshot struct {
	file  string
	binds []string
}

// Save saves what the machine has written. The units are stopped before, so that their files are whole; they are
// not started again. The snapshot lasts until CleanUp.
func (m *Machine) Save(units ...string) *Snapshot {
	m.t.Helper()
	m.Must("root", "systemctl stop "+strings.Join(units, " ")+" && journalctl --sync && sync")
	dir, err := snapshots()
	if err != nil {
		m.t.Fatal(err)
	}
	s := &Snapshot{filepath.Join(dir, m.name+".tar"), m.given}
	shell, err := childOf(m.proc.cmd.Process.Pid)
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(shell), "--mount", "--",
		"tar", "--create", "--file", s.file, "--directory", m.upper, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse", ".").CombinedOutput()
	if err != nil {
		m.t.Fatalf("the machine could not be saved: %v %s", err, out)
	}
	return s
}

// BootFrom boots a machine from a snapshot, and waits until its services have started.
func BootFrom(t testing.TB, s *Snapshot) *Machine {
	t.Helper()
	return Boot(t, MachineConfig{Binds: s.binds, From: s})
}

// snapshots is the directory of this run's snapshots, made at the first one.
var snapshots = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "snapshots")
	cleanUp = func() error { return os.RemoveAll(dir) }
	return dir, err
})

var cleanUp = func() error { return nil }

// CleanUp removes what outlives single tests. TestMain calls it at the end of a run.
func CleanUp() error { return cleanUp() }
