package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// makeGroups makes a control group below our own in each hierarchy that systemd manages: the old one that bears
// its name, and the unified one.
func makeGroups(name string) (groups []string, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	ours, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(ours)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		unified := id == "0" && controllers == ""
		if !unified && controllers != "name=systemd" {
			continue
		}
		mounted := mountPoint(string(mounts), unified)
		if mounted == "" {
			continue // the kernel has it, and nobody mounted it
		}
		if err := removeOld(filepath.Join(mounted, path)); err != nil {
			return nil, err
		}
		group := filepath.Join(mounted, path, name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return nil, errors.Join(err, removeGroups(groups))
		}
		groups = append(groups, group)
	}
	if len(groups) == 0 {
		return nil, errors.New("no control groups are mounted")
	}
	return groups, nil
}

// groupPrefix begins the name of every machine. Behind it stands the id of the process that made it.
const groupPrefix = "matrix-rig-"

// removeOld removes the groups of machines whose tests were killed; the kernel ended the machines themselves.
func removeOld(parent string) error {
	old, err := filepath.Glob(filepath.Join(parent, groupPrefix+"*"))
	if err != nil {
		return err
	}
	for _, group := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(group), groupPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := removeGroups([]string{group}); err != nil {
			return err
		}
	}
	return nil
}

// mountPoint finds where a hierarchy of control groups is mounted, in the text of /proc/self/mountinfo.
func mountPoint(mounts string, unified bool) string {
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 3 {
			continue
		}
		if unified && kind[0] == "cgroup2" || !unified && kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), "name=systemd") {
			return fields[4]
		}
	}
	return ""
}

// removeGroups removes control groups and those below them; it fails while processes are in one.
func removeGroups(groups []string) error {
	for _, group := range groups {
		var all []string
		err := filepath.WalkDir(group, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, path)
			}
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		slices.Reverse(all) // those below first
		for _, path := range all {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("a control group: %w", err)
			}
		}
	}
	return nil
}
