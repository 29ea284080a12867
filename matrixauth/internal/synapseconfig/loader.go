package synapseconfig

import (
	"bytes"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Synapse reads its files by PyYAML's safe loader, which refuses some texts that our reader takes, and then
// does not start. loaderCheck refuses them too. It also refuses the few that the two read in different ways.
type loaderCheck struct {
	*File
	anchors map[string]int // to their lines
	merged  map[*yaml.Node]map[string]*yaml.Node
	depth   int
}

// deepest is how deep lists and mappings may be nested. PyYAML fails at Python's recursion limit, at nearly 500.
const deepest = 400

func (f *File) checkAsSynapse() *Error {
	c := &loaderCheck{File: f, anchors: map[string]int{}, merged: map[*yaml.Node]map[string]*yaml.Node{}}
	if err := c.tree(f.root); err != nil {
		return err
	}
	return c.tabs()
}

const notLoaded = "Synapse does not load this file: "

// checkCharacters refuses what YAML may not hold anywhere, comments included.
func (f *File) checkCharacters() *Error {
	for i, line := range f.lines {
		text := string(f.text[line.start:line.end])
		for _, r := range text {
			if !printable(r) {
				return f.errorf(i+1, "%sthe control character %U is here", notLoaded, r)
			}
		}
		if strings.HasPrefix(text, "\ufeff") {
			return f.errorf(i+1, "a byte order mark is here, in the middle of the file; Synapse takes it for a part of the next word, so remove it")
		}
	}
	return nil
}

func printable(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r' || r == 0x85:
		return true
	case r < ' ', r > '~' && r < 0xa0, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// tree looks at a node and all below it, in the order of the file.
func (c *loaderCheck) tree(n *yaml.Node) *Error {
	if n.Kind == yaml.AliasNode {
		return nil // looked at where it is named
	}
	if c.depth++; c.depth > deepest {
		return c.errorf(n.Line, "%slists or mappings stand in one another too deep", notLoaded)
	}
	defer func() { c.depth-- }()
	if n.Anchor != "" {
		if first, found := c.anchors[n.Anchor]; found {
			return c.errorf(n.Line, "%san anchor (&) is here that is on line %d too; or a value begins with & but is not in quotes", notLoaded, first)
		}
		c.anchors[n.Anchor] = n.Line
	}
	if err := c.tag(n); err != nil {
		return err
	}
	if n.Style&yaml.FlowStyle != 0 {
		if err := c.flowWords(n); err != nil {
			return err
		}
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return c.scalar(n)
	case yaml.MappingNode:
		return c.mapping(n)
	}
	for _, child := range n.Content {
		if err := c.tree(child); err != nil {
			return err
		}
	}
	return nil
}

// flowWords refuses words in {...} or [...] whose last colon our reader takes for a part of the word.
func (c *loaderCheck) flowWords(n *yaml.Node) *Error {
	for _, child := range n.Content {
		if child.Kind == yaml.ScalarNode && isPlain(child) && strings.HasSuffix(child.Value, ":") {
			return c.errorf(child.Line, "the colon of a word needs a blank behind it here, or the word quotes: readers take it in different ways")
		}
	}
	return nil
}

// tag refuses tags that the safe loader does not know, or does not accept for such a value.
func (c *loaderCheck) tag(n *yaml.Node) *Error {
	if n.Style&yaml.TaggedStyle == 0 {
		if bytes.HasPrefix(c.from(n), []byte("!")) {
			return c.errorf(n.Line, "a lone ! stands before a value, which readers take in different ways; remove it")
		}
		return nil
	}
	var known []string
	switch n.Kind {
	case yaml.ScalarNode:
		known = []string{"!!null", "!!bool", "!!int", "!!float", "!!str", "!!timestamp", "!!merge"}
	case yaml.SequenceNode:
		known = []string{"!!seq"}
	case yaml.MappingNode:
		known = []string{"!!map"}
	}
	for _, tag := range known {
		if n.ShortTag() == tag {
			return nil
		}
	}
	return c.errorf(n.Line, "a tag (!) stands here, and Synapse takes few tags, each before its own kind of value; write the value without it, or, if the ! is a part of it, in quotes")
}

// from returns what stands from a node on to the end of its line.
func (c *loaderCheck) from(n *yaml.Node) []byte {
	if n.Line < 1 || n.Line > len(c.lines) {
		return nil
	}
	body := c.body(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(body)
		body = body[size:]
	}
	return body
}

var hashInHeader = regexp.MustCompile(`^[^|>]*[|>][-+0-9]*#`)

func (c *loaderCheck) scalar(n *yaml.Node) *Error {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && hashInHeader.Match(c.from(n)) {
		return c.errorf(n.Line, "%sa # stands right behind the | or > of a text", notLoaded)
	}
	if isPlain(n) && strings.ContainsAny(n.Value, "\u0085\u2028\u2029") {
		return c.errorf(n.Line, "a line of the value ends in a character that only old readers take for a line break; put the value in quotes")
	}
	tagged := n.Style&yaml.TaggedStyle != 0
	refuse := func(what string) *Error { return c.errorf(n.Line, "%s%s; put the value in quotes", notLoaded, what) }
	switch kindOf(n) {
	case kindInt:
		if _, ok := intOf(n.Value); !ok {
			return refuse("an integer here has no digits, too many of them or others than its kind has")
		}
	case kindFloat:
		if tagged && !isFloat(n.Value) {
			return refuse("a number here is none")
		}
	case kindBool:
		if tagged && !pyTagged.MatchString(n.Value) {
			return refuse("a boolean here is none")
		}
	case kindDate:
		if !isDate(n.Value) {
			return refuse("a date here is none of the calendar")
		}
	case kindMerge, kindDefault:
		return refuse("the word " + n.Value + " stands here as a value")
	}
	return nil
}

func (c *loaderCheck) mapping(n *yaml.Node) *Error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if deref(key).Kind != yaml.ScalarNode {
			return c.errorf(key.Line, "%sa list or a mapping is a key here", notLoaded)
		}
		switch {
		case isMerge(key):
			if err := c.mergeSources(value); err != nil {
				return err
			}
		case kindOf(key) != kindDefault:
			if err := c.tree(key); err != nil {
				return err
			}
		}
		if err := c.tree(value); err != nil {
			return err
		}
	}
	return c.mergedTwice(n)
}

// mergeSources refuses a << whose value is neither a mapping nor a list of them.
func (c *loaderCheck) mergeSources(value *yaml.Node) *Error {
	for _, source := range sourcesOf(value) {
		if deref(source).Kind != yaml.MappingNode {
			return c.errorf(value.Line, "%sthe merge key << takes a mapping, or a list of mappings", notLoaded)
		}
	}
	return nil
}

// mergedTwice refuses mappings into which << merges the same key twice: which of the two counts depends on the version
// of PyYAML.
func (c *loaderCheck) mergedTwice(n *yaml.Node) *Error {
	own := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			own[deref(n.Content[i]).Value] = true
		}
	}
	brought := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		for _, source := range sourcesOf(n.Content[i+1]) {
			for name, value := range c.pairs(deref(source)) {
				if other, found := brought[name]; found && other != value && !own[name] {
					return c.errorf(n.Content[i].Line, "the merge key << brings %s from two places, and readers differ in which counts; write it out", name)
				}
				brought[name] = value
			}
		}
	}
	return nil
}

// pairs returns the keys of a mapping with what << brings, each with its value.
func (c *loaderCheck) pairs(m *yaml.Node) map[string]*yaml.Node {
	if known, found := c.merged[m]; found {
		return known
	}
	all := map[string]*yaml.Node{}
	c.merged[m] = all // an anchor can contain itself
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !isMerge(m.Content[i]) {
			continue
		}
		for _, source := range sourcesOf(m.Content[i+1]) {
			for name, value := range c.pairs(deref(source)) {
				all[name] = value
			}
		}
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !isMerge(m.Content[i]) {
			all[deref(m.Content[i]).Value] = m.Content[i+1]
		}
	}
	return all
}

// sourcesOf returns the values that a << merges.
func sourcesOf(value *yaml.Node) []*yaml.Node {
	if list := deref(value); list.Kind == yaml.SequenceNode {
		return list.Content
	}
	return []*yaml.Node{value}
}

// tabs refuses tabs between words: PyYAML accepts them only in quotes, in | and > texts and in comments.
func (c *loaderCheck) tabs() *Error {
	if !bytes.ContainsRune(c.text, '\t') {
		return nil
	}
	s := tabSearch{quotes: map[spot]rune{}, inText: map[int]bool{}}
	c.note(c.root, &s)
	for n := 1; n <= len(c.lines); n++ {
		if s.inText[n] {
			continue
		}
		if column := s.find(n, c.body(n)); column > 0 {
			return c.errorf(n, "%sa tab stands in column %d; use blanks", notLoaded, column)
		}
	}
	return nil
}

// spot is a place in a file, counted from 1.
type spot struct{ line, column int }

// tabSearch knows where quoted texts begin, by their quote, and which lines belong to | and > texts.
type tabSearch struct {
	quotes  map[spot]rune
	inText  map[int]bool
	pending rune // the quote of a text whose tag or anchor has begun
	open    rune // the quote of a text that goes on
}

func (c *loaderCheck) note(n *yaml.Node, s *tabSearch) {
	switch {
	case n.Kind != yaml.ScalarNode:
	case n.Style&yaml.DoubleQuotedStyle != 0:
		s.quotes[spot{n.Line, n.Column}] = '"'
	case n.Style&yaml.SingleQuotedStyle != 0:
		s.quotes[spot{n.Line, n.Column}] = '\''
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.noteText(n, s)
	}
	for _, child := range n.Content {
		c.note(child, s)
	}
}

// noteText notes the lines of a | or > text: those that are indented as its first one, and blank ones.
func (c *loaderCheck) noteText(n *yaml.Node, s *tabSearch) {
	inner := -1
	for line := n.Line + 1; line <= len(c.lines); line++ {
		body := c.body(line)
		if blank := len(bytes.TrimLeft(body, " ")) == 0; !blank {
			if inner < 0 {
				inner = indent(body)
			}
			if indent(body) < inner || isDocumentEnd(body) {
				return
			}
		}
		s.inText[line] = true
	}
}

// find returns the column of the first tab of a line that is not in quotes or a comment, 0 if there is none.
func (s *tabSearch) find(line int, body []byte) int {
	column, before, escaped, closed := 0, ' ', false, false
	for _, r := range string(body) {
		column++
		if quote, found := s.quotes[spot{line, column}]; found && s.open == 0 {
			s.pending = quote
		}
		switch {
		case escaped:
			escaped = false
		case s.open == '"' && r == '\\':
			escaped = true
		case s.open != 0 && r == s.open: // of two quotes in one text the second opens it again
			s.open, s.pending = 0, s.open
			closed = true
			continue
		case s.open != 0:
		case s.pending != 0 && r == s.pending:
			s.open = r
		case r == '\t':
			return column
		case r == '#' && (before == ' ' || closed):
			return 0
		}
		before, closed = r, false
	}
	return 0
}

// isDate reports whether a text in the form of a date is one.
func isDate(text string) bool {
	m := pyDateParts.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	number := func(i int) int {
		n := 0
		for _, digit := range m[i] {
			n = n*10 + int(digit-'0')
		}
		return n
	}
	year, month, day := number(1), number(2), number(3)
	if year < 1 || number(4) > 23 || number(5) > 59 || number(6) > 59 || number(7) > 23 || number(8) > 59 {
		return false
	}
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return date.Year() == year && int(date.Month()) == month && date.Day() == day
}
