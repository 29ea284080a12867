package synapseconfig

import "bytes"

// span is the byte range of one line, its line break included.
type span struct{ start, end int }

// splitLines splits where a YAML 1.1 reader counts lines: besides LF, CR and CRLF also NEL, LS and PS.
func splitLines(text []byte) []span {
	var lines []span
	start := 0
	for i := 0; i < len(text); {
		n := breakLen(text[i:])
		if n == 0 {
			i++
			continue
		}
		i += n
		lines = append(lines, span{start, i})
		start = i
	}
	if start < len(text) {
		lines = append(lines, span{start, len(text)})
	}
	return lines
}

func breakLen(b []byte) int {
	switch {
	case bytes.HasPrefix(b, []byte("\r\n")):
		return 2
	case b[0] == '\n' || b[0] == '\r':
		return 1
	case bytes.HasPrefix(b, []byte("\u0085")):
		return 2
	case bytes.HasPrefix(b, []byte("\u2028")), bytes.HasPrefix(b, []byte("\u2029")):
		return 3
	}
	return 0
}

// body returns line n (from 1) without its line break.
func (f *File) body(n int) []byte {
	b := f.text[f.lines[n-1].start:f.lines[n-1].end]
	for i := range b {
		if breakLen(b[i:]) == len(b)-i {
			return b[:i]
		}
	}
	return b
}

// lineBreak returns the break to end new lines with: the one that the file's first line has.
func (f *File) lineBreak() string {
	if bytes.HasSuffix(f.text[f.lines[0].start:f.lines[0].end], []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// indent counts the spaces that a line begins with.
func indent(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

func isBlank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

func isComment(line []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) }

// isDocumentEnd reports the marker "...", which ends the document wherever it stands at the line's start.
func isDocumentEnd(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("..."))
	return found && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t')
}
