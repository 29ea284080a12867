package synapseconfig

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"go.yaml.in/yaml/v3"
)

const mask = "********"

var (
	// Names of settings whose values may be secrets; a diff's context can show any of the file's lines.
	secretKey    = regexp.MustCompile(`(?i)(secret|token|passw|passphrase|pepper|jwk|private|credential|dsn|cookie|_key$|^key$)`)
	notSecretKey = regexp.MustCompile(`(?i)(_path|_file|_lifetime|_endpoint|_uri|_url)$`)
	// The same in comments, where settings stand that were switched off.
	secretInComment = regexp.MustCompile(`(?i)(#.*?(?:secret|token|passw|passphrase|pepper|jwk|private|credential|dsn|cookie|_key|\bkey)[\w-]*["']?\s*[:=]).*$`)
	userInfo        = regexp.MustCompile(`://[^/\s@]+@`)
	minimumLiteral  = 4 // shorter texts occur by chance
)

// maskedDiff returns the unified diff of the plan with all values masked that may be secrets.
func (f *File) maskedDiff(p *plan, secrets ...string) (string, error) {
	lines := f.maskedLines()
	last := len(lines) - 1
	unended := len(f.body(len(lines))) == f.lines[last].end-f.lines[last].start
	if unended {
		lines[last] += f.lineBreak()
	}
	content := strings.Join(lines, "")
	offset := make([]int, len(lines)+2)
	for i, line := range lines {
		offset[i+2] = offset[i+1] + len(line)
	}
	edits := make([]udiff.Edit, 0, len(p.edits))
	for _, edit := range p.edits {
		text := orElse(edit.shown, edit.text)
		if unended && edit.from > len(lines) && !p.removes(len(lines)) {
			text = strings.TrimPrefix(text, f.lineBreak()) // the line break that the last line got above
		}
		edits = append(edits, udiff.Edit{Start: offset[edit.from], End: offset[edit.to], New: maskBlock(text)})
	}
	diff, err := udiff.ToUnified(f.name, f.name+" (new)", content, edits, udiff.DefaultContextLines)
	if err != nil {
		return "", fmt.Errorf("make the diff: %w", err)
	}
	for _, secret := range secrets {
		if len(secret) >= minimumLiteral {
			diff = strings.ReplaceAll(diff, secret, mask)
		}
	}
	return diff, nil
}

var blockSecret = regexp.MustCompile(`(?m)^( *secret: ).*?(\r?)$`)

// maskBlock masks the secret in a block that Block made.
func maskBlock(text string) string { return blockSecret.ReplaceAllString(text, "${1}"+mask+"${2}") }

// maskedLines returns the lines of the file, as many as there are, with values masked that may be secrets. It masks
// more rather than less: to the end of a line, and all lines of a value that spans several.
func (f *File) maskedLines() []string {
	hidden := map[int]int{} // line to the column (from 1) from which on it is masked
	f.hide(f.root, false, &yaml.Node{Line: f.endOfDocument(f.root.Line)}, hidden)
	lines := make([]string, len(f.lines))
	for i, line := range f.lines {
		body := f.body(i + 1)
		end := string(f.text[line.start+len(body) : line.end])
		text := string(body)
		if column, found := hidden[i+1]; found && !isBlank(body) {
			text = maskFrom(body, column)
		}
		text = secretInComment.ReplaceAllString(text, "${1} "+mask)
		lines[i] = userInfo.ReplaceAllString(text, "://"+mask+"@") + end
	}
	return lines
}

func maskFrom(body []byte, column int) string {
	runes := []rune(string(body))
	keep := min(max(column-1, indent(body)), len(runes))
	return string(runes[:keep]) + mask
}

// hide notes where values of secret settings stand; next is the node after n in the file.
func (f *File) hide(n *yaml.Node, secret bool, next *yaml.Node, hidden map[int]int) {
	if secret && n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
		f.hideLines(n, next, hidden)
		return
	}
	for i, child := range n.Content {
		after := next
		if i+1 < len(n.Content) {
			after = n.Content[i+1]
		}
		if n.Kind != yaml.MappingNode {
			f.hide(child, secret, after, hidden)
			continue
		}
		if i%2 == 0 {
			continue
		}
		name := n.Content[i-1].Value
		f.hide(child, secret || secretKey.MatchString(name) && !notSecretKey.MatchString(name), after, hidden)
	}
}

func (f *File) hideLines(n, next *yaml.Node, hidden map[int]int) {
	hideFrom := func(line, column int) {
		if old, found := hidden[line]; !found || column < old {
			hidden[line] = column
		}
	}
	// An alias or an empty value cannot span several lines.
	if n.Line < 1 || n.Line > len(f.lines) {
		return
	}
	if n.Kind == yaml.ScalarNode && n.Value == "" {
		return
	}
	hideFrom(n.Line, n.Column)
	text := f.textIndent(n, next)
	for line := n.Line + 1; line < next.Line && line <= len(f.lines); line++ {
		if body := f.body(line); isComment(body) && indent(body) < text {
			continue
		}
		hideFrom(line, 1)
	}
	if next.Line <= n.Line || next.Line > len(f.lines) {
		return
	}
	// In {...} the value's end and the next key can share a line.
	body := []rune(string(f.body(next.Line)))
	if lead := string(body[:min(max(next.Column-1, 0), len(body))]); strings.Trim(lead, " \t-?") != "" {
		hideFrom(next.Line, 1)
	}
}

// blockIndicator is the header of a | or > scalar that gives its indentation as a digit.
var blockIndicator = regexp.MustCompile(`[|>][-+]?[1-9]`)

// textIndent returns the indentation from which on a line that begins with # is text of the value and no comment.
func (f *File) textIndent(n, next *yaml.Node) int {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return len(f.text) + 1
	}
	if blockIndicator.Match(f.body(n.Line)) {
		return 0
	}
	for line := n.Line + 1; line < next.Line; line++ {
		if body := f.body(line); !isBlank(body) {
			return indent(body)
		}
	}
	return 0
}
