package synapseconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeFiles makes files below a new folder; a text that begins with "->" is a link.
func writeFiles(t *testing.T, files map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// mergedFiles are files of which some count, some are replaced, and some are passed over.
var mergedFiles = map[string]string{
	"homeserver.yaml":          "report_stats: true\nenable_registration: true\npassword_config:\n  pepper: x\n" + goodBlock,
	"conf.d/20-second.yaml":    "password_config:\n  enabled: true\nsession_lifetime:\n",
	"conf.d/10-first.yaml":     "server_name: example.test\nsession_lifetime: 5h\nenable_registration: false\npassword_config: {enabled: false}\n",
	"conf.d/.hidden.yaml":      "matrix_authentication_service: {enabled: true, endpoint: 'http://hidden/', secret: shared}\n",
	"conf.d/empty.yaml":        "# nothing\n",
	"conf.d/list.yaml":         "- a\n",
	"conf.d/other.yml":         "server_name: wrong\n",
	"conf.d/old.yaml.bak":      "server_name: wrong\n",
	"conf.d/loop.yaml":         "->loop.yaml",
	"conf.d/dangling.yaml":     "->nowhere",
	"conf.d/folder.yaml/x":     "server_name: wrong\n",
	"elsewhere/linked.yaml":    "enable_3pid_changes: true\n",
	"conf.d/30-linked.yaml":    "->../elsewhere/linked.yaml",
	"conf.d/40-again.yaml":     "->../elsewhere/linked.yaml",
	"conf.d/nested/inner.yaml": "server_name: wrong\n",
}

// TestMerge holds the way in which Synapse merges files: by keys of the top level, the last one counts.
func TestMerge(t *testing.T) {
	folder := writeFiles(t, mergedFiles)
	c, err := Read(filepath.Join(folder, "homeserver.yaml"), filepath.Join(folder, "conf.d"))
	if err != nil {
		t.Fatal(err)
	}
	relative := func(path string) string { return strings.TrimPrefix(path, folder+string(filepath.Separator)) }
	var names []string
	for _, name := range c.Names() {
		names = append(names, relative(name))
	}
	if want := []string{"homeserver.yaml", "conf.d/.hidden.yaml", "conf.d/10-first.yaml", "conf.d/20-second.yaml", "conf.d/40-again.yaml"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	if name, path, line := c.ServerName(); name != "example.test" || relative(path) != "conf.d/10-first.yaml" || line != 1 {
		t.Errorf("server_name %q %s:%d", name, path, line)
	}
	if mas := c.MAS(); mas.Endpoint != "http://hidden/" || relative(mas.Path) != "conf.d/.hidden.yaml" || mas.Line != 1 {
		t.Errorf("block %#v of %s", *mas, mas.Path)
	}
	var found []string
	for _, f := range c.Conflicts() {
		found = append(found, fmt.Sprintf("%s:%d %s", relative(f.Path), f.Line, f.Key))
	}
	// session_lifetime is set, and set back by a later file; so is enable_registration.
	if want := []string{"conf.d/20-second.yaml:2 password_config.enabled", "conf.d/40-again.yaml:1 enable_3pid_changes"}; !slices.Equal(found, want) {
		t.Errorf("conflicts %q, want %q", found, want)
	}
	var ignored []string
	for _, i := range c.Ignored() {
		ignored = append(ignored, relative(i.Path))
		if i.Why == "" {
			t.Errorf("no reason for %s", i.Path)
		}
	}
	if want := []string{"conf.d/other.yml", "conf.d/empty.yaml", "conf.d/list.yaml"}; !slices.Equal(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
	if blocks := c.Blocks(); len(blocks) != 2 || relative(blocks[0]) != "homeserver.yaml:5" || relative(blocks[1]) != "conf.d/.hidden.yaml:1" {
		t.Errorf("blocks %q", blocks)
	}
}

func TestReadRefuses(t *testing.T) {
	folder := writeFiles(t, map[string]string{
		"good.yaml": "server_name: a\n", "bad.yaml": "a: [\n", "empty.yaml": "", "conf.d/also-empty.yaml": "# x\n",
	})
	for _, tc := range []struct {
		paths []string
		want  string
		kind  error
	}{
		{[]string{"good.yaml", "missing.yaml"}, "missing.yaml", os.ErrNotExist},
		{[]string{"good.yaml", "bad.yaml"}, "bad.yaml:1: is not valid YAML", nil},
		{[]string{"empty.yaml"}, "empty.yaml: holds no settings", ErrNoSettings},
		{[]string{"empty.yaml", "conf.d"}, "no file with settings", ErrNoSettings},
	} {
		for i, path := range tc.paths {
			tc.paths[i] = filepath.Join(folder, path)
		}
		_, err := Read(tc.paths...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || tc.kind != nil && !errors.Is(err, tc.kind) {
			t.Errorf("%q: got %v, want %q", tc.paths, err, tc.want)
		}
	}
}

const oldBlock = "experimental_features:\n  msc3861: {enabled: true, admin_token: token-1}\n"

// TestMigrateOfSeveral: the file that holds the section is changed, and what comes of it is judged with the others.
func TestMigrateOfSeveral(t *testing.T) {
	main := parseFile(t, "homeserver.yaml", "server_name: a\nenable_registration: true\nsession_lifetime: 5h\n")
	old := parseFile(t, "conf.d/old.yaml", oldBlock)
	last := parseFile(t, "conf.d/z.yaml", "session_lifetime:\n")
	m, err := Merge(main, old, last).MigrateMSC3861(Options{Endpoint: testEndpoint})
	if err != nil {
		t.Fatal(err)
	}
	if m.Path != "conf.d/old.yaml" || string(m.New) != Block(testEndpoint, "token-1", "") {
		t.Errorf("%s:\n%s", m.Path, m.New)
	}
	if len(m.Conflicts) != 1 || m.Conflicts[0].Path != "homeserver.yaml" || m.Conflicts[0].Line != 2 {
		t.Errorf("%+v", m.Conflicts)
	}
	for _, tc := range []struct{ name, first, second, want string }{
		{"half_done", oldBlock, goodBlock, "second.yaml:1: half done: matrix_authentication_service is here and msc3861 is still on first.yaml:2"},
		{"half_done_with_empty_section", "experimental_features: {msc3861: }\n", goodBlock, "first.yaml:1: half done: msc3861 is empty and matrix_authentication_service is on second.yaml:1"},
		{"replaced_by_a_later_file", oldBlock, "experimental_features:\n", "first.yaml:2: msc3861 has no effect here, as experimental_features is replaced as a whole by second.yaml:1"},
		{"an_earlier_file_would_count", "experimental_features: {a: 1}\n", oldBlock, "second.yaml:1: without msc3861 nothing is left of experimental_features here, and then that of first.yaml:1 would count"},
		{"already_migrated", "server_name: a\n", goodBlock, "second.yaml:1: already migrated"},
		{"neither", "server_name: a\n", "x: 1\n", "first.yaml, second.yaml: has neither"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Merge(parseFile(t, "first.yaml", tc.first), parseFile(t, "second.yaml", tc.second)).MigrateMSC3861(Options{Endpoint: testEndpoint})
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	// With something left of it, experimental_features goes on counting.
	m, err = Merge(parseFile(t, "first.yaml", "experimental_features: {a: 1}\n"), parseFile(t, "second.yaml", oldBlock+"  b: 1\n")).MigrateMSC3861(Options{Endpoint: testEndpoint})
	if err != nil || !strings.HasPrefix(string(m.New), "experimental_features:\n  b: 1\n") {
		t.Errorf("%v", err)
	}
}
