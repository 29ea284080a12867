package synapseconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Config is what Synapse reads: one file, or several that are merged as Synapse merges them. A key of the
// top level that a later file has too is replaced as a whole. It never changes once it is made.
type Config struct {
	files   []*File
	ignored []Ignored
	// all are files with those that have no settings, of which nothing but comments may have been left by Delegate.
	all []*File
}

// Ignored is a file that Synapse passes over without stopping.
type Ignored struct{ Path, Why string }

// Read reads what Synapse reads when it is started with these paths (--config-path, in this order). A
// folder stands for its files whose names end in .yaml, in the order of their names. Its errors are
// *Error, or wrap what the system said about a path.
func Read(paths ...string) (*Config, error) {
	c := &Config{}
	var names []string
	for _, path := range paths {
		found, err := c.expand(path)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	names, err := lastOfEach(names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := readBounded(name, bound.SynapseFile)
		if err != nil {
			return nil, err
		}
		f, err := Parse(name, data)
		var problem *Error
		if len(names) > 1 && errors.Is(err, ErrNoSettings) && errors.As(err, &problem) {
			c.ignored = append(c.ignored, Ignored{name, problem.Reason})
			c.all = append(c.all, emptied(name, data))
			continue
		}
		if err != nil {
			return nil, err
		}
		c.files, c.all = append(c.files, f), append(c.all, f)
	}
	if len(c.files) == 0 {
		return nil, &Error{Path: strings.Join(paths, ", "), Reason: "no file with settings is there", kind: ErrNoSettings}
	}
	return c, nil
}

// Merge returns the configuration that files make, in this order. There must be at least one.
func Merge(files ...*File) *Config {
	return &Config{files: slices.Clone(files), all: slices.Clone(files)}
}

// expand returns the files that a path stands for.
func (c *Config) expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		switch filepath.Ext(name) {
		case ".yml":
			c.ignored = append(c.ignored, Ignored{name, "Synapse reads only the files of a folder whose names end in .yaml"})
		case ".yaml":
			// A link is followed; what is not a file, or leads nowhere, is passed over.
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
				names = append(names, name)
			} else if errors.Is(err, os.ErrPermission) {
				return nil, err // Synapse may see more
			}
		}
	}
	return names, nil
}

// lastOfEach leaves out a file that comes again later: only its last place counts.
func lastOfEach(names []string) ([]string, error) {
	var kept []string
	var seen []os.FileInfo
	for _, name := range slices.Backward(names) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			seen, kept = append(seen, info), append(kept, name)
		}
	}
	slices.Reverse(kept)
	return kept, nil
}

// Ignored returns the files that were given, or are in a folder that was, and that Synapse passes over.
func (c *Config) Ignored() []Ignored { return slices.Clone(c.ignored) }

// Names returns the paths of the files, in the order in which they are merged.
func (c *Config) Names() []string {
	var names []string
	for _, f := range c.files {
		names = append(names, f.name)
	}
	return names
}

// String names the files. It keeps their content, which holds secrets, out of logs.
func (c *Config) String() string { return strings.Join(c.Names(), ", ") }

// GoString is String: it keeps the content out of %#v.
func (c *Config) GoString() string { return c.String() }

// owner returns the file whose value of a top-level key counts, nil if no file has it.
func (c *Config) owner(key string) *File {
	for _, f := range slices.Backward(c.files) {
		if k, _ := lookup(f.root, key); k != nil {
			return f
		}
	}
	return nil
}

// get finds a key below others in the file that counts; key is nil if it is missing there. The file is
// nil if no file has the first key.
func (c *Config) get(path ...string) (f *File, key, value *yaml.Node) {
	if f = c.owner(path[0]); f == nil {
		return nil, nil, nil
	}
	key, value = f.get(path...)
	return f, key, value
}

// replaced returns the places of a top-level key in files whose value does not count, as "path:line".
func (c *Config) replaced(key string) []string {
	counts := c.owner(key)
	var places []string
	for _, f := range c.files {
		if k, _ := lookup(f.root, key); k != nil && f != counts {
			places = append(places, fmt.Sprintf("%s:%d", f.name, k.Line))
		}
	}
	return places
}

// errorf is an error about all the files.
func (c *Config) kindf(kind error, format string, args ...any) *Error {
	return &Error{Path: c.String(), Reason: fmt.Sprintf(format, args...), kind: kind}
}

// Blocks returns the places of matrix_authentication_service in all files, as "path:line"; the last one counts.
func (c *Config) Blocks() []string {
	places := c.replaced(keyMAS)
	if f, key, _ := c.get(keyMAS); key != nil {
		places = append(places, fmt.Sprintf("%s:%d", f.name, key.Line))
	}
	return places
}

// ServerName returns server_name with its place, "" if no file sets it (Debian sets it in conf.d).
func (c *Config) ServerName() (name, path string, line int) {
	f, key, value := c.get("server_name")
	if key == nil {
		return "", "", 0
	}
	return stringOf(value), f.name, key.Line
}
