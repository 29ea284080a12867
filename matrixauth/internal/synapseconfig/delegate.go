package synapseconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DelegateOptions say what the block of Delegate holds.
type DelegateOptions struct {
	// Endpoint is the http or https URL at which Synapse reaches the service.
	Endpoint string
	// Secret is the one that both share. It is written unless SecretPath names a file for it. With neither, the change can
	// be looked at, and not be written.
	Secret, SecretPath string
}

// Delegate plans the change by which a Synapse that has its accounts itself leaves its logins to the service: the block is
// put at the end of the first file, and what keeps Synapse from starting then becomes comments, in whichever file it
// stands. No other byte changes. There is one Migration for each file that changes. What it cannot change for sure is an
// *Error with its place; ErrAlreadyMigrated if Synapse delegates already.
func (c *Config) Delegate(options DelegateOptions) ([]*Migration, error) {
	if err := CheckEndpoint(options.Endpoint); err != nil {
		return nil, err
	}
	if err := c.mayDelegate(); err != nil {
		return nil, err
	}
	if options.Secret != "" && !IsBearer(options.Secret) {
		return nil, c.files[0].errorf(0, "the secret has a blank, a line break or a character that is not ASCII, which an HTTP header cannot carry")
	}
	notes, err := c.files[0].secretNotes(options)
	if err != nil {
		return nil, err
	}
	changes := make([]*fileChange, len(c.files))
	for i, f := range c.files {
		changes[i] = &fileChange{before: f, now: f, off: map[int]bool{}, expected: copyNode(f.root)}
	}
	if err := c.switchOff(changes); err != nil {
		return nil, err
	}
	for _, change := range changes {
		change.block = options.block(change == changes[0])
	}
	all, err := planned(changes, options)
	if err != nil {
		return nil, err
	}
	all[0].Notes = append(notes, all[0].Notes...)
	return all, nil
}

// secretNotes looks at the file of the secret. One that only Synapse's user may read is well.
func (f *File) secretNotes(o DelegateOptions) ([]string, error) {
	if o.SecretPath == "" {
		return nil, nil
	}
	held, err := f.readSecret(o.SecretPath, 0, "secret_path")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []string{o.SecretPath + " does not exist as seen from here; it must hold the secret before Synapse starts."}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, nil
	case err == nil && o.Secret != "" && held != o.Secret:
		return nil, f.errorf(0, "%s holds another secret than the one that the service has", o.SecretPath)
	}
	return nil, err
}

func (o DelegateOptions) block(first bool) string {
	if !first {
		return ""
	}
	return Block(o.Endpoint, orElse(o.Secret, "SECRET"), o.SecretPath)
}

// mayDelegate refuses a configuration that delegates already, or was begun to.
func (c *Config) mayDelegate() error {
	if f, key, _ := c.get(keyMAS); key != nil {
		if mas := c.MAS(); mas != nil && mas.Enabled {
			return f.kindf(ErrAlreadyMigrated, key.Line, "this Synapse delegates its logins already")
		}
		return f.errorf(key.Line, "%s is here and not on; remove it with all that is indented below it first", keyMAS)
	}
	if old := c.MSC3861(); old != nil && old.Enabled {
		return old.file.kindf(ErrAlreadyMigrated, old.Line, "this Synapse delegates its logins already, by msc3861, which caddy matrix-auth migrate msc3861 replaces")
	}
	for _, f := range c.files {
		if f.root.Style&yaml.FlowStyle != 0 {
			return f.errorf(f.root.Line, "the whole file is one {...}; write the top level as lines of \"key: value\" first")
		}
		if err := f.checkKeys(f.root); err != nil {
			return err
		}
	}
	return nil
}

// fileChange is a file on its way. Lines keep their numbers, as they only become comments or get another value.
type fileChange struct {
	before, now *File
	off         map[int]bool // lines that became comments, or hold another value
	expected    *yaml.Node   // what must be read from the file in the end, the block aside
	block       string
}

// mostSettings bounds how often a setting is switched off: each has to be found once for every file.
const mostSettings = 1000

// switchOff turns settings into comments until none keeps Synapse from starting. One after the other, as a setting of an
// earlier file counts once that of a later one is gone.
func (c *Config) switchOff(changes []*fileChange) error {
	for range mostSettings {
		files := make([]*File, len(changes))
		for i, change := range changes {
			files[i] = change.now
		}
		found := slices.DeleteFunc(Merge(files...).SettingsToRemove(), func(found Finding) bool { return found.Before != "" })
		if len(found) == 0 {
			return nil
		}
		at := slices.IndexFunc(changes, func(change *fileChange) bool { return change.now.name == found[0].Path })
		if err := changes[at].remove(found[0]); err != nil {
			return err
		}
	}
	return c.kindf(nil, "too many settings are in the way of the delegation")
}

// byHand refuses a form in which lines cannot become comments.
func (f *File) byHand(line int, found Finding) error {
	return f.errorf(line, "%s stands here in a form that cannot be changed safely; change it by hand first: %s", found.Key, found.Change)
}

// remove turns a setting into comments.
func (change *fileChange) remove(found Finding) error {
	f, path := change.now, strings.Split(found.Key, ".")
	outer := indexOf(f.root, path[0])
	if outer < 0 {
		return f.byHand(found.Line, found)
	}
	key, value := f.root.Content[outer], f.root.Content[outer+1]
	from, to := f.entry(f.root, outer, f.endOfDocument(key.Line))
	if err := f.checkKeyLine(key); err != nil {
		return err
	}
	switch {
	case found.Key == "modules":
		return change.removeModule(found, outer, to)
	case len(path) == 1:
		return change.comment(found, from, to, func(root *yaml.Node) bool { return deletePair(root, path[0]) })
	}
	if value.Kind != yaml.MappingNode || f.checkKeys(value) != nil {
		return f.byHand(found.Line, found)
	}
	inner := indexOf(value, path[1])
	if inner < 0 {
		return f.byHand(found.Line, found)
	}
	if len(value.Content) == 2 {
		return change.comment(found, from, to, func(root *yaml.Node) bool { return deletePair(root, path[0]) })
	}
	if value.Style&yaml.FlowStyle != 0 {
		return change.setFalse(found, value.Content[inner+1], path)
	}
	innerKey := value.Content[inner]
	if err := f.checkKeyLine(innerKey); err != nil {
		return err
	}
	start, end := f.entry(value, inner, to)
	return change.comment(found, start, end, func(root *yaml.Node) bool {
		_, block := lookup(root, path[0])
		return deletePair(block, path[1])
	})
}

// removeModule turns one entry of the list of modules into comments, or all of it if it is the only one.
func (change *fileChange) removeModule(found Finding, outer, to int) error {
	f := change.now
	key, list := f.root.Content[outer], f.root.Content[outer+1]
	if list.Kind == yaml.SequenceNode && len(list.Content) == 1 {
		return change.comment(found, key.Line, to, func(root *yaml.Node) bool { return deletePair(root, "modules") })
	}
	if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 {
		return f.byHand(found.Line, found)
	}
	at := slices.IndexFunc(list.Content, func(entry *yaml.Node) bool {
		name, _ := lookup(entry, "module")
		return name != nil && name.Line == found.Line && entry.Kind == yaml.MappingNode
	})
	if at < 0 {
		return f.byHand(found.Line, found)
	}
	entry := list.Content[at]
	if at+1 < len(list.Content) {
		to = list.Content[at+1].Line
	}
	// The dash has to stand before the entry on the same line, and before the next one on its own.
	for _, line := range []int{entry.Line, to} {
		if line == to && at+1 == len(list.Content) {
			break
		}
		if !bytes.HasPrefix(bytes.TrimLeft(f.body(line), " "), []byte("- ")) {
			return f.byHand(found.Line, found)
		}
	}
	return change.comment(found, entry.Line, to, func(root *yaml.Node) bool {
		_, entries := lookup(root, "modules")
		entries.Content = slices.Delete(entries.Content, at, at+1)
		return true
	})
}

// comment puts a # before the lines from from to to (excluded), and takes the setting out of what is expected.
func (change *fileChange) comment(found Finding, from, to int, expect func(*yaml.Node) bool) error {
	var text []byte
	for n, line := range change.now.lines {
		body := change.now.text[line.start:line.end]
		if n+1 >= from && n+1 < to && !isBlank(body) && !isComment(body) {
			text = append(text, "# "...)
			change.off[n+1] = true
		}
		text = append(text, body...)
	}
	return change.replace(found, text, expect)
}

// setFalse writes false in place of the value of a setting that stands in {...}.
func (change *fileChange) setFalse(found Finding, value *yaml.Node, path []string) error {
	f := change.now
	rest := (&loaderCheck{File: f}).from(value)
	if value.Kind != yaml.ScalarNode || !isPlain(value) || value.Anchor != "" || value.Style&yaml.TaggedStyle != 0 || !bytes.HasPrefix(rest, []byte(value.Value)) {
		return f.byHand(found.Line, found)
	}
	line := f.lines[value.Line-1]
	at := line.start + len(f.body(value.Line)) - len(rest)
	text := slices.Concat(f.text[:at], []byte("false"), f.text[at+len(value.Value):])
	change.off[value.Line] = true
	return change.replace(found, text, func(root *yaml.Node) bool {
		_, block := lookup(root, path[0])
		_, setting := lookup(block, path[1])
		setting.Value, setting.Tag = "false", "!!bool"
		return true
	})
}

// replace reads the file with another text, and wants nothing else of it to have changed.
func (change *fileChange) replace(found Finding, text []byte, expect func(*yaml.Node) bool) error {
	f := change.now
	mark := f.raw[:len(f.raw)-len(f.text)]
	after, err := parseAfter(f, append(slices.Clone(mark), text...))
	if errors.Is(err, ErrNoSettings) && len(change.before.root.Content) > 0 {
		after, err = emptied(f.name, append(slices.Clone(mark), text...)), nil
		after.Dir = f.Dir
	}
	if err != nil || len(after.lines) != len(f.lines) || !expect(change.expected) || !sameNode(change.expected, after.root) {
		return f.byHand(found.Line, found)
	}
	change.now = after
	return nil
}

// parseAfter parses another text of a file.
func parseAfter(f *File, raw []byte) (*File, error) {
	after, err := Parse(f.name, raw)
	if err != nil {
		return nil, err
	}
	after.Dir = f.Dir
	return after, nil
}

// emptied is a file of which nothing but comments is left. Synapse passes over it.
func emptied(name string, raw []byte) *File {
	after := &File{name: name, raw: raw, root: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1}}
	after.text = bytes.TrimPrefix(raw, []byte("\ufeff"))
	after.lines = splitLines(after.text)
	return after
}

// deletePair takes a key with its value out of a mapping.
func deletePair(m *yaml.Node, key string) bool {
	i := indexOf(m, key)
	if i < 0 {
		return false
	}
	m.Content = slices.Delete(m.Content, i, i+2)
	return true
}

// copyNode copies a tree as far as sameNode looks at it.
func copyNode(n *yaml.Node) *yaml.Node {
	made := *n
	made.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		made.Content[i] = copyNode(child)
	}
	return &made
}

// planned makes the migrations of the files that change.
func planned(changes []*fileChange, options DelegateOptions) ([]*Migration, error) {
	var all []*Migration
	files := make([]*File, len(changes))
	for i, change := range changes {
		files[i] = change.now
		if change.block == "" && len(change.off) == 0 {
			continue
		}
		m, err := change.migration(options)
		if err != nil {
			return nil, err
		}
		if files[i], err = parseAfter(change.before, m.New); errors.Is(err, ErrNoSettings) {
			files[i], err = change.now, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	after := Merge(files...)
	mas := after.MAS()
	if mas == nil || !mas.Enabled || mas.Endpoint != options.Endpoint || mas.SecretPath != options.SecretPath || options.SecretPath == "" && mas.secret != orElse(options.Secret, "SECRET") {
		return nil, files[0].errorf(0, "cannot be changed safely (the new block would not be read as meant); make the change by hand")
	}
	all[0].Conflicts = after.Conflicts()
	for _, change := range changes {
		if len(change.off) > 0 {
			all[0].Notes = append(all[0].Notes, fmt.Sprintf("%s: what Synapse does not start with becomes a comment, so that it can be put back.", change.before.name))
		}
	}
	return all, nil
}

// migration is the change of one file, with a diff whose lines are masked also where they have become comments.
func (change *fileChange) migration(options DelegateOptions) (*Migration, error) {
	f := change.before
	m := &Migration{Path: f.name, SecretPath: options.SecretPath, old: f.raw, endpoint: options.Endpoint, unready: options.Secret == "" && options.SecretPath == ""}
	if options.SecretPath == "" {
		m.Secret = options.Secret
	}
	shown, now := f.maskedLines(), change.now
	plan := &plan{}
	for n := 1; n <= len(f.lines); n++ {
		if !change.off[n] {
			continue
		}
		line := string(now.text[now.lines[n-1].start:now.lines[n-1].end])
		masked := shown[n-1]
		if added, found := strings.CutSuffix(line, string(f.text[f.lines[n-1].start:f.lines[n-1].end])); found {
			masked = added + masked
		} else {
			masked = now.maskedLines()[n-1]
		}
		plan.edits = append(plan.edits, lineEdit{from: n, to: n + 1, text: line, shown: masked})
	}
	if change.block != "" {
		key, end := f.root.Content[0], f.endOfDocument(f.root.Line)
		block := f.setOff(indented(change.block, key.Column-1, f.lineBreak()), end-1, end)
		plan.edits = append(plan.edits, lineEdit{from: end, to: end, text: block})
	}
	m.New = append(slices.Clone(f.raw[:len(f.raw)-len(f.text)]), plan.apply(f.text, f.lines)...)
	after, err := Parse(f.name, m.New)
	if errors.Is(err, ErrNoSettings) {
		after, err = change.now, nil
	}
	if err != nil {
		return nil, f.errorf(0, "cannot be changed safely (the result would not be valid YAML); make the change by hand")
	}
	if change.block != "" {
		deletePair(after.root, keyMAS)
	}
	if !sameNode(change.expected, after.root) {
		return nil, f.errorf(0, "cannot be changed safely (another setting would change); make the change by hand")
	}
	m.Diff, err = f.maskedDiff(plan, options.Secret)
	return m, err
}
