package caddymodule

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// synapseUnits are the services as which packages and guides run Synapse.
var synapseUnits = []string{"matrix-synapse.service", "synapse.service"}

// processes is where the system tells of its processes.
var processes = "/proc"

// findSynapseUser finds the user that Synapse runs as on this machine: by a process that was started with these
// files, by the unit, by any process of Synapse, or by the owner of its configuration. It is the zero value if
// none of them tells.
func findSynapseUser(files []string) matrixauth.SynapseUser {
	running := runningSynapses(processes)
	for _, p := range running {
		if p.startedWith(files) {
			return synapseUser(strconv.Itoa(p.uid), fmt.Sprintf("process %d", p.pid))
		}
	}
	for _, name := range synapseUnits {
		if u, found, err := readUnit(unitDirs, name); err == nil && found && !u.dynamic {
			return synapseUser(u.user, name)
		}
	}
	if len(running) > 0 && !slices.ContainsFunc(running, func(p synapseProcess) bool { return p.uid != running[0].uid }) {
		return synapseUser(strconv.Itoa(running[0].uid), fmt.Sprintf("process %d", running[0].pid))
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if owner, known := matrixauth.FileOwner(info); known && owner != 0 { // packages leave it to root
			return synapseUser(strconv.Itoa(owner), "the owner of "+path)
		}
	}
	return matrixauth.SynapseUser{}
}

// synapseUser returns a user by name or id, with all groups; empty means root, as in a unit.
func synapseUser(nameOrID, by string) (s matrixauth.SynapseUser) {
	found, err := lookupUser(nameOrID)
	if err != nil {
		return s
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return s
	}
	ids, err := (&user.User{Uid: found.Uid, Gid: found.Gid, Username: found.Username}).GroupIds()
	if err != nil {
		ids = []string{found.Gid} // an id without a name has no groups but its own
	}
	s = matrixauth.SynapseUser{Name: found.Username, UID: uid, By: by}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			s.GIDs = append(s.GIDs, gid)
		}
	}
	return s
}

// synapseProcess is a process of Synapse's.
type synapseProcess struct {
	pid, uid int
	args     []string
}

// startedWith reports whether the process was started with one of these files or folders.
func (p synapseProcess) startedWith(files []string) bool {
	for i, arg := range p.args {
		name, value, joined := strings.Cut(arg, "=")
		switch {
		case !slices.Contains([]string{"-c", "--config-path", "--config-directory"}, name):
			continue
		case !joined && i+1 < len(p.args):
			value = p.args[i+1]
		}
		if slices.ContainsFunc(files, func(file string) bool {
			absolute, err := filepath.Abs(file)
			return err == nil && absolute == filepath.Clean(value)
		}) {
			return true
		}
	}
	return false
}

// runningSynapses returns the processes of Synapse on this machine itself: one in a container has other files and
// other users.
func runningSynapses(proc string) (all []synapseProcess) {
	folders, err := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	if err != nil {
		return nil // the pattern is well-formed
	}
	for _, folder := range folders {
		// A process may end meanwhile, or be another user's and hidden: there is nothing to be told of it then.
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue
		}
		var args []string
		for arg := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
			args = append(args, string(arg))
		}
		if !slices.ContainsFunc(args, isSynapse) || inContainer(proc, folder) {
			continue
		}
		info, err := os.Stat(folder)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		uid, known := matrixauth.FileOwner(info)
		if err == nil && known {
			all = append(all, synapseProcess{pid: pid, uid: uid, args: args})
		}
	}
	return all
}

// isSynapse reports whether an argument of a process names Synapse's main program or one of its workers.
func isSynapse(arg string) bool {
	return arg == "synapse.app.homeserver" || arg == "synapse.app.generic_worker" || filepath.Base(arg) == "synapse_homeserver"
}

// inContainer reports whether a process belongs to a container that we are not in, by the control groups that
// managers of containers make.
func inContainer(proc, folder string) bool {
	theirs, err := os.ReadFile(filepath.Join(folder, "cgroup"))
	if err != nil {
		return false
	}
	ours, err := os.ReadFile(filepath.Join(proc, "self", "cgroup"))
	if err != nil {
		ours = nil // nothing is known of us then
	}
	return slices.ContainsFunc([]string{"docker", "libpod", "kubepods", "containerd", "lxc", "machine.slice"}, func(name string) bool {
		return strings.Contains(string(theirs), name) && !strings.Contains(string(ours), name)
	})
}
