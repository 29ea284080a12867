package caddymodule

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindSynapseUser: whoever runs Synapse is found by the process that has these files, the unit, any process,
// or the owner of the configuration, in this order.
func TestFindSynapseUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files of others are needed")
	}
	nobody, err := user.Lookup("nobody")
	must(t, err)
	type process struct {
		pid, args, cgroup string
		uid               int
	}
	const config = "/etc/matrix-synapse/homeserver.yaml"
	for name, test := range map[string]struct {
		processes []process
		self      string
		unit      string
		owner     int
		want, by  string
	}{
		"nothing":                     {},
		"the unit":                    {unit: "[Service]\nUser=nobody\n", owner: 4002, want: "nobody", by: "matrix-synapse.service"},
		"a unit of root's":            {unit: "[Service]\nExecStart=/x\n", want: "root", by: "matrix-synapse.service"},
		"a user that is made up":      {unit: "[Service]\nUser=nobody\nDynamicUser=yes\n"},
		"a user that is not there":    {unit: "[Service]\nUser=gone-away\n"},
		"its process":                 {processes: []process{{"12", "python3 -m synapse.app.homeserver --config-path=" + config, "", 4001}}, unit: "[Service]\nUser=nobody\n", want: "4001", by: "process 12"},
		"its process, with a blank":   {processes: []process{{"12", "python3 -m synapse.app.homeserver -c " + config + " -c /x", "", 4001}}, want: "4001", by: "process 12"},
		"another's process":           {processes: []process{{"12", "python3 -m synapse.app.homeserver -c /other.yaml", "", 4001}}, unit: "[Service]\nUser=nobody\n", want: "nobody", by: "matrix-synapse.service"},
		"another's process, no unit":  {processes: []process{{"12", "python3 -m synapse.app.homeserver -c /other.yaml", "", 4001}}, owner: 4002, want: "4001", by: "process 12"},
		"processes of two":            {processes: []process{{"12", "python3 -m synapse.app.homeserver", "", 4001}, {"13", "synapse_homeserver", "", 4003}}},
		"a process in a container":    {processes: []process{{"12", "python3 -m synapse.app.homeserver", "0::/system.slice/docker-abc.scope", 991}}},
		"both in one container":       {processes: []process{{"12", "python3 -m synapse.app.homeserver", "0::/lxc/a/x", 4001}}, self: "0::/lxc/a/y", want: "4001", by: "process 12"},
		"somebody who reads about it": {processes: []process{{"12", "grep synapse.app.homeserver.py notes", "", 4001}}},
		"the owner":                   {owner: 4002, want: "4002", by: "the owner of "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			proc, units, files := filepath.Join(dir, "proc"), filepath.Join(dir, "units"), filepath.Join(dir, "files")
			must(t, errors.Join(os.MkdirAll(filepath.Join(proc, "self"), 0o755), os.Mkdir(units, 0o755), os.Mkdir(files, 0o755)))
			must(t, os.WriteFile(filepath.Join(proc, "self", "cgroup"), []byte(test.self), 0o600))
			for _, p := range test.processes {
				folder := filepath.Join(proc, p.pid)
				args := strings.ReplaceAll(strings.ReplaceAll(p.args, config, filepath.Join(files, "homeserver.yaml")), " ", "\x00") + "\x00"
				must(t, errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, "cmdline"), []byte(args), 0o600),
					os.WriteFile(filepath.Join(folder, "cgroup"), []byte(p.cgroup), 0o600), os.Chown(folder, p.uid, p.uid)))
			}
			if test.unit != "" {
				must(t, os.WriteFile(filepath.Join(units, "matrix-synapse.service"), []byte(test.unit), 0o600))
			}
			path := filepath.Join(files, "homeserver.yaml")
			must(t, errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, test.owner, 0)))
			oldProc, oldUnits := processes, unitDirs
			processes, unitDirs = proc, []string{units}
			t.Cleanup(func() { processes, unitDirs = oldProc, oldUnits })
			got := findSynapseUser([]string{path})
			if got.Name != test.want || !strings.HasPrefix(got.By, test.by) {
				t.Errorf("got %+v", got)
			}
			if test.want == "nobody" && (len(got.GIDs) == 0 || nobody.Uid == "0") {
				t.Errorf("the groups are missing: %+v", got)
			}
		})
	}
}
