package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The name of a copy is that of its file with the time of the change between these.
const (
	backupTime = "20060102T150405Z"
	backupEnd  = ".bak"
)

func backupName(target string, now time.Time) string {
	return target + "." + now.UTC().Format(backupTime) + backupEnd
}

// ErrNoCopy means that no copy is there that Write made.
var ErrNoCopy = errors.New("no copy from before the delegation")

// Back plans the way back to the files as they were before Delegate, from the newest copies that Write made of them. What
// was changed by hand since in other lines stays, and is said; where the same lines were changed it is an *Error that
// names them.
func (c *Config) Back() ([]*Migration, error) {
	mas := c.MAS()
	if mas == nil || !mas.Enabled {
		return nil, c.kindf(ErrNothingToMigrate, "this Synapse does not delegate its logins, so there is no way to go back")
	}
	before, err := c.copies()
	if err != nil {
		return nil, err
	}
	old := Merge(slices.DeleteFunc(slices.Clone(before), func(f *File) bool { return len(f.root.Content) == 0 })...)
	if m := old.MAS(); m != nil && m.Enabled || old.MSC3861() != nil && old.MSC3861().Enabled {
		return nil, c.kindf(ErrNoCopy, "the newest copy delegates logins too; put the file by hand in place that does not")
	}
	changed, err := old.Delegate(DelegateOptions{Endpoint: mas.Endpoint, Secret: mas.secret, SecretPath: mas.SecretPath})
	if err != nil {
		return nil, fmt.Errorf("the copy from before cannot be compared with what is there now: %w", err)
	}
	var all []*Migration
	for i, f := range c.all {
		m, err := f.back(before[i], changed)
		if err != nil {
			return nil, err
		}
		if m != nil {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil, c.kindf(ErrNoCopy, "no file differs from its copy, so there is no way to go back")
	}
	return all, nil
}

// copies returns the files as they were before the last change that Write made; those that it did not change as they
// are.
func (c *Config) copies() ([]*File, error) {
	newest := ""
	times := make([][]string, len(c.all))
	for i, f := range c.all {
		var err error
		if times[i], err = f.copyTimes(); err != nil {
			return nil, err
		}
		if len(times[i]) > 0 {
			newest = max(newest, slices.Max(times[i]))
		}
	}
	if newest == "" {
		return nil, c.kindf(ErrNoCopy, "no copy from before the delegation is beside the file")
	}
	before := slices.Clone(c.all)
	for i, f := range c.all {
		if !slices.Contains(times[i], newest) {
			continue
		}
		var err error
		if before[i], err = f.readCopy(newest); err != nil {
			return nil, err
		}
	}
	return before, nil
}

// copyTimes returns the times of the copies of a file.
func (f *File) copyTimes() (times []string, err error) {
	target, err := filepath.EvalSymlinks(f.name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		rest, found := strings.CutPrefix(entry.Name(), filepath.Base(target)+".")
		text, ended := strings.CutSuffix(rest, backupEnd)
		if _, err := time.Parse(backupTime, text); found && ended && err == nil {
			times = append(times, text)
		}
	}
	return times, nil
}

// readCopy reads a copy under the name of its file. It must be a file of its owner, so that nobody who may only write into
// the folder has Synapse start with what they like.
func (f *File) readCopy(at string) (*File, error) {
	target, err := filepath.EvalSymlinks(f.name)
	if err != nil {
		return nil, err
	}
	path := target + "." + at + backupEnd
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	like, err := os.Stat(target)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || !mayLead(info, like) {
		return nil, &Error{Path: path, Reason: "is no file of the owner of " + target + "; put the right one in place by hand"}
	}
	data, err := readBounded(path, bound.SynapseFile)
	if err != nil {
		return nil, err
	}
	before, err := Parse(f.name, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	before.Dir = f.Dir
	return before, nil
}

// back merges three states of a file: what it was, what Delegate made of it, and what it is now.
func (f *File) back(before *File, changed []*Migration) (*Migration, error) {
	made := before.raw
	for _, m := range changed {
		if m.Path == f.name {
			made = m.New
		}
	}
	if bytes.Equal(made, before.raw) {
		return nil, nil
	}
	undone, since := udiff.Lines(string(made), string(before.raw)), udiff.Lines(string(made), string(f.raw))
	edits, ok := udiff.Merge(undone, since)
	if !ok {
		return nil, f.errorf(0, "was changed since in lines that the delegation had changed too (%s); put it right by hand, the copy from before is beside it", linesOf(made, since))
	}
	merged, err := udiff.Apply(string(made), edits)
	if err != nil {
		return nil, f.errorf(0, "cannot be changed safely; put the copy in place by hand")
	}
	m := &Migration{Path: f.name, New: []byte(merged), old: f.raw}
	if len(since) > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("%s was changed by hand since, at %s; that stays.", f.name, linesOf(made, since)))
	}
	after, err := Parse(f.name, m.New)
	if err != nil {
		return nil, f.errorf(0, "cannot be changed safely (the result would not be valid YAML); put the copy in place by hand")
	}
	m.Diff = maskedChange(f, after, before)
	return m, nil
}

// linesOf names the lines of a text that edits are about.
func linesOf(text []byte, edits []udiff.Edit) string {
	var places []string
	for _, edit := range edits {
		places = append(places, fmt.Sprintf("line %d", bytes.Count(text[:edit.Start], []byte("\n"))+1))
	}
	return strings.Join(slices.Compact(places), ", ")
}

// maskedChange is the diff from one state of a file to another. A line that is a comment now, and was a value that may be a
// secret before, is masked too.
func maskedChange(from, to, before *File) string {
	hidden := map[string]string{}
	for i, shown := range before.maskedLines() {
		line := string(before.text[before.lines[i].start:before.lines[i].end])
		if shown != line {
			hidden["# "+line] = "# " + shown
		}
	}
	text := func(f *File) string {
		lines := f.maskedLines()
		for i, line := range f.lines {
			if shown, found := hidden[string(f.text[line.start:line.end])]; found {
				lines[i] = shown
			}
		}
		return strings.Join(lines, "")
	}
	return udiff.Unified(from.name, from.name+" (new)", text(from), text(to))
}
