package synapseconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineEdit replaces the lines from (included) to to (excluded), counted from 1, by text.
type lineEdit struct {
	from, to int
	text     string
	// shown is text with what may be secret masked, for a diff; empty for text itself.
	shown string
}

// plan is a change of whole lines, in the order of the file.
type plan struct {
	edits    []lineEdit
	comments int // removed lines that hold a comment
}

// removes reports whether the plan takes line n out.
func (p *plan) removes(n int) bool {
	return slices.ContainsFunc(p.edits, func(e lineEdit) bool { return e.from <= n && n < e.to })
}

// apply makes the change in text, whose lines are lines.
func (p *plan) apply(text []byte, lines []span) []byte {
	var out []byte
	at := 1
	for _, edit := range p.edits {
		for ; at < edit.from; at++ {
			out = append(out, text[lines[at-1].start:lines[at-1].end]...)
		}
		out = append(out, edit.text...)
		at = edit.to
	}
	for ; at <= len(lines); at++ {
		out = append(out, text[lines[at-1].start:lines[at-1].end]...)
	}
	return out
}

// checkForm refuses the forms of YAML in which whole lines cannot be taken out or put in.
func (f *File) checkForm() error {
	if f.root.Style&yaml.FlowStyle != 0 {
		return f.errorf(f.root.Line, "the whole file is one {...}; write the top level as lines of \"key: value\" first")
	}
	_, experimental := f.get(keyExperimental)
	_, old := f.get(keyExperimental, keyMSC3861)
	for _, m := range []*yaml.Node{f.root, experimental, old} {
		if m == nil {
			continue
		}
		if m.Kind == yaml.AliasNode || m.Anchor != "" {
			return f.errorf(m.Line, "an anchor or alias (& or *) stands where lines would have to move; write the value out first")
		}
		if err := f.checkKeys(m); err != nil {
			return err
		}
	}
	return f.checkOldBlock(old)
}

// checkKeys refuses mappings with a merge key, equal keys or keys that are not plain words.
func (f *File) checkKeys(m *yaml.Node) error {
	if m.Kind != yaml.MappingNode {
		return nil
	}
	seen := map[string]int{}
	for i := 0; i < len(m.Content); i += 2 {
		key := m.Content[i]
		if key.Kind != yaml.ScalarNode {
			return f.errorf(key.Line, "a key here is not a plain word; write it as \"key: value\" first")
		}
		if isMerge(key) {
			return f.errorf(key.Line, "a merge key (<<) brings in settings from elsewhere; write them out first")
		}
		if first, found := seen[key.Value]; found {
			return f.errorf(key.Line, "the key %s is here and on line %d; Synapse takes the last one, remove the other", key.Value, first)
		}
		seen[key.Value] = key.Line
	}
	return nil
}

func (f *File) checkOldBlock(n *yaml.Node) error {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return f.errorf(n.Line, "msc3861 holds an anchor or alias (& or *); write the value out first")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return f.errorf(n.Line, "msc3861 holds a value with a YAML tag (!); write it without the tag first")
	}
	for _, child := range n.Content {
		if err := f.checkOldBlock(child); err != nil {
			return err
		}
	}
	return nil
}

// planMigration removes the lines of msc3861 and inserts block: in their place if experimental_features is then empty
// and is removed too, otherwise right after experimental_features.
func (f *File) planMigration(block string) (*plan, error) {
	outer := indexOf(f.root, keyExperimental)
	key, features := f.root.Content[outer], f.root.Content[outer+1]
	from, to := f.entry(f.root, outer, f.endOfDocument(key.Line))
	if err := f.checkKeyLine(key); err != nil {
		return nil, err
	}
	block = indented(block, key.Column-1, f.lineBreak())
	inner := indexOf(features, keyMSC3861)
	if len(features.Content) == 2 {
		if features.Style&yaml.FlowStyle != 0 {
			return f.newPlan(lineEdit{from: from, to: to, text: block}), nil
		}
		start, end := f.entry(features, inner, to)
		if err := f.checkKeyLine(features.Content[inner]); err != nil {
			return nil, err
		}
		// Comments that stay, indented, must not look as if they belonged to the new block. Nor must
		// they become lines of a | or > text that stands before them.
		first := outer > 0 && endsInText(f.root.Content[outer-1])
		if end < to || first && start > from+1 {
			block += f.lineBreak()
		}
		if first {
			return f.newPlan(lineEdit{from: from, to: from + 1, text: block}, lineEdit{from: start, to: end}), nil
		}
		return f.newPlan(lineEdit{from: from, to: from + 1}, lineEdit{from: start, to: end, text: block}), nil
	}
	if features.Style&yaml.FlowStyle != 0 {
		return nil, f.errorf(features.Line, "%s is one {...} with more than msc3861 in it; write it as lines of \"key: value\" first", keyExperimental)
	}
	start, end := f.entry(features, inner, to)
	if err := f.checkKeyLine(features.Content[inner]); err != nil {
		return nil, err
	}
	last := to - 1
	if end == to {
		last = start - 1
	}
	return f.newPlan(lineEdit{from: start, to: end}, lineEdit{from: to, to: to, text: f.setOff(block, last, to)}), nil
}

func (f *File) newPlan(edits ...lineEdit) *plan {
	p := &plan{edits: edits}
	for _, edit := range edits {
		p.comments += countComments(f, edit.from, edit.to)
	}
	return p
}

// setOff puts blank lines around a block that goes between the lines last and next.
func (f *File) setOff(block string, last, next int) string {
	eol := f.lineBreak()
	before := eol
	if f.lines[last-1].end == f.lines[last-1].start+len(f.body(last)) {
		before = eol + eol // the file's last line lacks its line break
	}
	after := ""
	if next <= len(f.lines) && !isBlank(f.body(next)) && !isDocumentEnd(f.body(next)) {
		after = eol
	}
	return before + block + after
}

// endsInText reports a value whose last part is a | or > text.
func endsInText(n *yaml.Node) bool {
	if len(n.Content) > 0 {
		return endsInText(n.Content[len(n.Content)-1])
	}
	return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

func indexOf(m *yaml.Node, key string) int {
	for i := 0; i < len(m.Content); i += 2 {
		if stringOf(m.Content[i]) == key {
			return i
		}
	}
	return -1
}

// entry returns the range of lines, to excluded, of the pair at index i of a block mapping that ends before
// line limit. Comments and blank lines after the value belong to what follows, unless they are
// indented deeper than the key.
func (f *File) entry(m *yaml.Node, i, limit int) (from, to int) {
	key := m.Content[i]
	if i+2 < len(m.Content) {
		limit = m.Content[i+2].Line
	}
	for to = limit; to > key.Line+1; to-- {
		line := f.body(to - 1)
		if !isBlank(line) && (!isComment(line) || indent(line) >= key.Column) {
			break
		}
	}
	return key.Line, to
}

// endOfDocument returns the line after the document's last: that of a marker "..." or the one after the file's end.
func (f *File) endOfDocument(from int) int {
	for n := from; n <= len(f.lines); n++ {
		if isDocumentEnd(f.body(n)) {
			return n
		}
	}
	return len(f.lines) + 1
}

// checkKeyLine refuses a key that does not begin its line.
func (f *File) checkKeyLine(key *yaml.Node) error {
	line := f.body(key.Line)
	if indent(line) != key.Column-1 || !strings.Contains(string(line), key.Value) {
		return f.errorf(key.Line, "the key %s does not begin its line; write it as \"%s:\" on a line of its own first", key.Value, key.Value)
	}
	return nil
}
