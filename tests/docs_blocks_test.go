package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// block is a fenced block of a page, as its reader meets it.
type block struct {
	// page and line tell where it begins, section is the heading above it.
	page, section string
	line          int
	// kind is the word behind the fence.
	kind string
	// into is the file that it belongs to, from the comment "<!-- into FILE -->" before the block.
	into string
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

var (
	fenceOf   = regexp.MustCompile("^```([a-z]*)$")
	headingOf = regexp.MustCompile(`^#+ (.*)$`)
	intoOf    = regexp.MustCompile(`^<!-- into (\S+) -->$`)
)

// blocksOf returns the blocks of a page in their order.
func blocksOf(t *testing.T, page string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Tests(), "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var section, into string
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		fence := fenceOf.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case open != nil && fence != nil && fence[1] == "":
			blocks, open, into = append(blocks, *open), nil, ""
		case open != nil:
			open.text += line + "\n"
		case fence != nil:
			open = &block{page: page, section: section, line: i + 1, kind: fence[1], into: into}
		case headingOf.MatchString(line):
			section = headingOf.FindStringSubmatch(line)[1]
		case intoOf.MatchString(line):
			into = intoOf.FindStringSubmatch(line)[1]
		}
	}
	if open != nil {
		t.Fatalf("%s: the block does not end", open)
	}
	return blocks
}

// blocksIn returns the blocks of a section.
func blocksIn(t *testing.T, page, section string) []block {
	t.Helper()
	blocks := slices.DeleteFunc(blocksOf(t, page), func(b block) bool { return b.section != section })
	if len(blocks) == 0 {
		t.Fatalf("%s has no blocks in a section %q", page, section)
	}
	return blocks
}

// owner follows pages on a machine, as root.
type owner struct {
	t *testing.T
	*rig.Machine
}

// typed is what the owner types when a command asks for a password; people who follow a page have one.
const typed = "correct horse battery"

// follow does what a section of a page says, by copy and paste, and gives what its commands showed.
func (o owner) follow(page, section string) (shown string) {
	o.t.Helper()
	for _, b := range blocksIn(o.t, page, section) {
		switch b.kind {
		case "sh":
			shown += o.paste(b)
		case "caddyfile":
			o.edit(b)
		default:
			o.t.Fatalf("%s: the test does not know what a reader does with %q", b, b.kind)
		}
	}
	return shown
}

// paste runs the commands of a block at a terminal, in root's own directory. A line that fails ends it, at which
// people would stop.
func (o owner) paste(b block) string {
	o.t.Helper()
	result := o.try(b)
	if result.Err != nil {
		o.t.Fatalf("%s: %v", b, result.Err)
	}
	return result.Out
}

func (o owner) try(b block) rig.Result {
	// What root makes is closed to others on machines that were hardened, and it must go well on those too.
	return o.Type("root", "umask 077\nset -eo pipefail\n"+b.text, typed, typed)
}

// edit puts the sites of a block in the place of those that the file has for the same address.
func (o owner) edit(b block) {
	o.t.Helper()
	text := o.Read(b.into)
	for _, site := range regexp.MustCompile(`(?ms)^(\S+) \{\n.*?^\}\n`).FindAllStringSubmatch(b.text, -1) {
		old := regexp.MustCompile(`(?ms)^` + regexp.QuoteMeta(site[1]) + ` \{\n.*?^\}\n`)
		if len(old.FindAllString(text, -1)) != 1 {
			o.t.Fatalf("%s: %s has not one site %s", b, b.into, site[1])
		}
		text = old.ReplaceAllLiteralString(text, site[0])
	}
	// As an editor does: the file stays whose it is.
	if result := o.RunWith("root", "cat >"+b.into, text); result.Err != nil {
		o.t.Fatal(result.Err)
	}
}
