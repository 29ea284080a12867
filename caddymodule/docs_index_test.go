package caddymodule

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// document is what a page links to, and what may be linked to in it.
type document struct {
	links   []string
	anchors map[string]bool
}

// parseDocument reads a page as those who render Markdown do, so that a link in a code span is none.
func parseDocument(page string) document {
	d := document{anchors: map[string]bool{}}
	source := []byte(page)
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function gives no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			d.links = append(d.links, string(n.Destination))
		case *ast.Image:
			d.links = append(d.links, string(n.Destination))
		case *ast.Heading:
			d.anchors[d.anchor(words(n, source))] = true
		case *ast.RawHTML, *ast.HTMLBlock:
			d.links = append(d.links, attributes(rawHTML(n, source))...)
		}
		return ast.WalkContinue, nil
	})
	return d
}

// words are the text of a node and of all below it.
func words(n ast.Node, source []byte) string {
	var all strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if leaf, ok := child.(*ast.Text); ok {
			all.Write(leaf.Segment.Value(source))
		}
		all.WriteString(words(child, source))
	}
	return all.String()
}

// anchor is the name of a heading in links, as forges make it: small letters, digits, hyphens and underscores, blanks
// as hyphens, and a number behind what was there before.
func (d document) anchor(heading string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	unique := name
	for i := 1; d.anchors[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	return unique
}

func rawHTML(n ast.Node, source []byte) string {
	lines := text.NewSegments()
	if raw, ok := n.(*ast.RawHTML); ok {
		lines = raw.Segments
	} else if block, ok := n.(*ast.HTMLBlock); ok {
		lines = block.Lines()
	}
	var all strings.Builder
	for i := range lines.Len() {
		segment := lines.At(i)
		all.Write(segment.Value(source))
	}
	return all.String()
}

// attributes are the addresses in HTML.
func attributes(html string) (found []string) {
	for _, name := range []string{`src="`, `srcset="`, `href="`} {
		for _, rest := range strings.Split(html, name)[1:] {
			value, _, _ := strings.Cut(rest, `"`)
			found = append(found, value)
		}
	}
	return found
}

// TestLinks follows the links between the pages, to their headings, and to pictures and other files.
func TestLinks(t *testing.T) {
	documents := map[string]document{}
	for file, page := range pages(t) {
		documents[filepath.Clean(file)] = parseDocument(page)
	}
	followed := 0
	for file, d := range documents {
		for _, link := range d.links {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			followed++
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(u.Path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if other, ok := documents[target]; u.Fragment != "" && (!ok || !other.anchors[u.Fragment]) {
				t.Errorf("%s: %s has no heading #%s", file, target, u.Fragment)
			}
		}
	}
	if followed < 50 {
		t.Errorf("only %d links were found", followed)
	}
}

// TestIndex: whoever begins at docs/README.md finds every page, and from the README they find that.
func TestIndex(t *testing.T) {
	all := pages(t)
	linked := map[string]bool{}
	for _, link := range parseDocument(all["../docs/README.md"]).links {
		target, _, _ := strings.Cut(link, "#")
		linked[filepath.Join("../docs", filepath.FromSlash(target))] = true
	}
	for file := range all {
		if file != "../docs/README.md" && !linked[file] {
			t.Errorf("%s is not in docs/README.md; give it a line there, under those whom it is for", file)
		}
	}
	linked = map[string]bool{}
	for _, link := range parseDocument(all["../README.md"]).links {
		linked[link] = true
	}
	if !linked["docs/README.md"] {
		t.Error("README.md does not lead to docs/README.md")
	}
}

// TestPictures: drawings are well-formed, load nothing, tell who cannot see them what they show, and are for light and
// dark.
func TestPictures(t *testing.T) {
	drawings, err := filepath.Glob("../docs/*.svg")
	if err != nil || len(drawings) == 0 {
		t.Fatalf("there are no drawings: %v", err)
	}
	for _, file := range drawings {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(bytes.NewReader(data))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", file, err)
		}
		for _, needed := range []string{"<title", "<desc", "prefers-color-scheme: dark"} {
			if !bytes.Contains(data, []byte(needed)) {
				t.Errorf("%s has no %s", file, needed)
			}
		}
		for _, outside := range []string{"href=", "@import", "url(http", "<script", "<foreignObject"} {
			if bytes.Contains(data, []byte(outside)) {
				t.Errorf("%s has %s", file, outside)
			}
		}
	}
}

// TestAnchors holds the names of headings against examples of how forges make them.
func TestAnchors(t *testing.T) {
	d := parseDocument("# Two words\n## `code` & [a link](#x), *it*\n## Two words\n## snake_case and-dash 2\n")
	for _, want := range []string{"two-words", "code--a-link-it", "two-words-1", "snake_case-and-dash-2"} {
		if !d.anchors[want] {
			t.Errorf("%s is missing in %v", want, d.anchors)
		}
	}
	if len(d.links) != 1 {
		t.Errorf("got links %q", d.links)
	}
}
