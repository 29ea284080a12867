package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Machine is the machine of an owner: a Debian of its own in a container, with systemd, Debian's package of Caddy
// and a loopback network that nobody else sees. Its files are Debian's until something writes them; what is
// written lies in memory and is gone with the machine, like every mount of it.
type Machine struct {
	t testing.TB
	*container
}

// container is what holds a machine.
type container struct {
	name   string
	log    string
	proc   *process
	leader int
	groups []string
	binds  []string
	given  []string // the binds of its MachineConfig
	upper  string   // what it has written, in its mount namespace
}

// MachineConfig says what a machine borrows from the host.
type MachineConfig struct {
	// Binds are paths of the host that it sees, each as "path of the host:path there", read only.
	Binds []string
	// From is what another machine had written when it was saved; nil means Debian's files as they are.
	From *Snapshot
}

// commandTime bounds a command on a machine.
const commandTime = 3 * time.Minute

// launchMachine runs in a mount namespace of its own, so that its mounts end with it.
//
//go:embed machine.sh
var launchMachine string

// Boot boots a machine and waits until its services have started. The test is skipped where a machine cannot be
// had, with the reason; on continuous integration that is a failure, unless the kernel forbids it there.
func Boot(t testing.TB, c MachineConfig) *Machine {
	t.Helper()
	if reason, excused := noMachine(); reason != "" {
		if os.Getenv("CI") != "" && !excused {
			t.Fatalf("no machine can be booted: %s", reason)
		}
		t.Skipf("no machine can be booted: %s", reason)
	}
	dir := t.TempDir()
	name := groupPrefix + strconv.Itoa(os.Getpid()) + "-" + strings.ToLower(rand.Text()[:6])
	m := &Machine{t, &container{name: name, log: filepath.Join(dir, "machine.log"), upper: filepath.Join(dir, "machine", "upper"), given: c.Binds}}
	for _, bind := range c.Binds {
		m.binds = append(m.binds, "--bind-ro="+bind)
	}
	var err error
	if m.groups, err = makeGroups(m.name); errors.Is(err, syscall.EROFS) || errors.Is(err, os.ErrPermission) {
		t.Skipf("no machine can be booted: this system forbids control groups: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	showLog(t, m.log)
	t.Cleanup(m.stop)
	m.boot(Cache(t, "debian", "tree"), dir, c.From)
	return m
}

// noMachine returns the reason why no machine can be had, empty if there is none. excused reports whether nothing
// that could be installed would help.
func noMachine() (reason string, excused bool) {
	if os.Geteuid() != 0 {
		return "only root can", true
	}
	for _, program := range []string{"systemd-nspawn", "nsenter", "unshare", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is missing; tests/setup.sh installs it", false
		}
	}
	// What systemd-nspawn does first: where this is forbidden, so is that.
	if out, err := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt").CombinedOutput(); err != nil {
		return fmt.Sprintf("this system forbids containers: %v %s", err, out), true
	}
	return "", false
}

// In is the machine in a part of a test, which fails in its place.
func (m *Machine) In(t testing.TB) *Machine { return &Machine{t, m.container} }

// boot starts the container and waits for it.
func (m *Machine) boot(tree, dir string, from *Snapshot) {
	m.t.Helper()
	state := filepath.Join(dir, "machine")
	if err := os.Mkdir(state, 0o755); err != nil {
		m.t.Fatal(err)
	}
	env := []string{"TREE=" + tree, "STATE=" + state, "NAME=" + m.name, "GROUPS_OF_MACHINE=" + strings.Join(m.groups, " ")}
	if from != nil {
		env = append(env, "SNAPSHOT="+from.file)
	}
	var err error
	// The shell is the first process of a process namespace: when it is killed, or the tests are, the kernel ends all
	// of the machine.
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-ec", launchMachine, "sh"}
	m.proc, err = launch(dir, m.log, env, "unshare", append(args, m.binds...)...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.awaitBoot(0)
}

// awaitBoot waits for a first process other than the one before, and for its services.
func (m *Machine) awaitBoot(before int) {
	m.t.Helper()
	err := await(func() error {
		leader, err := firstProcess(m.proc.cmd.Process.Pid)
		if err != nil {
			return err
		}
		if leader == before {
			return errors.New("it has not ended yet")
		}
		m.leader = leader
		result := m.Run("root", "systemctl is-system-running --wait")
		if state := strings.TrimSpace(result.Out); state != "running" && state != "degraded" {
			return fmt.Errorf("the system is %q: %w", state, result.Err)
		}
		return nil
	}, m.proc.done)
	if err != nil {
		m.t.Fatalf("the machine: %v", err)
	}
}

// firstProcess finds process 1 of the container that the process of unshare holds.
func firstProcess(unshare int) (int, error) {
	leader := unshare
	for range 3 { // the shell, systemd-nspawn and the first process
		var err error
		if leader, err = childOf(leader); err != nil {
			return 0, err
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", leader))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		ids, is := strings.CutPrefix(line, "NSpid:")
		if fields := strings.Fields(ids); is && len(fields) > 2 && fields[len(fields)-1] == "1" {
			return leader, nil
		}
	}
	return 0, errors.New("the container has no first process yet")
}

func childOf(pid int) (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(children)), " ")
	return strconv.Atoi(first)
}

// stop ends the machine as a power cut does: nothing of it is kept.
func (m *Machine) stop() {
	if m.proc != nil {
		// unshare ends when its child has.
		if shell, err := childOf(m.proc.cmd.Process.Pid); err == nil {
			if err := syscall.Kill(shell, syscall.SIGKILL); err != nil {
				m.t.Error(err)
			}
		}
		if err := m.proc.end(syscall.SIGTERM); err != nil {
			m.t.Error(err)
		}
	}
	// The kernel ends the processes of a container when its first one has ended, and that takes a moment.
	if err := await(func() error { return removeGroups(m.groups) }, nil); err != nil {
		m.t.Error(err)
	}
}

// Reboot restarts the machine as its owner does, with all that lies on its disk.
func (m *Machine) Reboot() {
	m.t.Helper()
	before := m.leader
	m.Run("root", "systemctl reboot") // how it ends depends on which is ended first
	m.awaitBoot(before)
}

// Result is what became of a script on a machine.
type Result struct {
	// Out and Problems are its standard output and standard error.
	Out, Problems string
	// Err is nil if it ended with 0.
	Err error
}

// Run runs a shell script on the machine as a user, in their own directory, with the environment of a login and
// nothing of ours.
func (m *Machine) Run(user, script string) Result { return m.run(user, script, "") }

// RunWith is Run for a script that reads standard input.
func (m *Machine) RunWith(user, script, stdin string) Result { return m.run(user, script, stdin) }

// Must runs a script and fails the test if that does. It gives the standard output.
func (m *Machine) Must(user, script string) string {
	m.t.Helper()
	result := m.Run(user, script)
	if result.Err != nil {
		m.t.Fatal(result.Err)
	}
	return result.Out
}

// Type runs a script on a terminal of its own, as which people run commands, and types lines when it asks. It
// gives all that the terminal showed.
func (m *Machine) Type(user, script string, lines ...string) Result {
	file := "/tmp/" + strings.ToLower(rand.Text())
	if err := m.write(file, script+"\n", "755", "root"); err != nil {
		return Result{Err: err}
	}
	result := m.run(user, "script --quiet --echo never --return --command 'bash "+file+"' /dev/null", strings.Join(lines, "\n")+"\n")
	result.Out = strings.ReplaceAll(result.Out, "\r\n", "\n")
	return result
}

func (m *Machine) run(user, script, stdin string) Result {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	args := []string{"--target", strconv.Itoa(m.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--",
		"bash", "-c", `exec setpriv --reuid "$1" --regid "$(id -g "$1")" --init-groups --reset-env bash -c 'cd && eval "$1"' bash "$2"`, "bash", user, script}
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(stdin), &out, &problems, 5*time.Second
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s, as %s: %w\n%s%s", script, user, err, out.String(), problems.String())
	}
	return Result{Out: out.String(), Problems: problems.String(), Err: err}
}

// Write writes a file on the machine, and the directories above it. The mode is that of chmod.
func (m *Machine) Write(path, text, mode, owner string) {
	m.t.Helper()
	if err := m.write(path, text, mode, owner); err != nil {
		m.t.Fatal(err)
	}
}

func (m *Machine) write(path, text, mode, owner string) error {
	return m.RunWith("root", fmt.Sprintf("install -D -m %s -o %s /dev/stdin '%s'", mode, owner, path), text).Err
}

// CopyIn copies a file of the host onto the machine, as root's.
func (m *Machine) CopyIn(file, path, mode string) {
	m.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Write(path, string(text), mode, "root")
}

// Read returns the text of a file on the machine.
func (m *Machine) Read(path string) string {
	m.t.Helper()
	return m.Must("root", "cat '"+path+"'")
}

// Journal returns what a unit has logged since the machine was made.
func (m *Machine) Journal(unit string) string {
	m.t.Helper()
	return m.Must("root", "journalctl --quiet --no-pager --output=short-iso --unit="+unit)
}

// ShowJournal prints the end of a unit's log if the test fails.
func (m *Machine) ShowJournal(unit string) {
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("%s:\n%s", unit, m.Run("root", "journalctl --quiet --no-pager --output=cat --lines=40 --unit="+unit).Out)
		}
	})
}
