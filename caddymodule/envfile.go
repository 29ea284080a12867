package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxEnvironment bounds a file of variables, in bytes.
const maxEnvironment = 1 << 20

// readEnvironment reads a file of variables by one of the two grammars. Its errors name the file and the
// line and never a value.
func readEnvironment(path string, parse func(text string) (map[string]string, error)) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	// Neither a pipe nor a device says how much it holds.
	text, err := io.ReadAll(io.LimitReader(file, maxEnvironment+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxEnvironment {
		return nil, fmt.Errorf("%s is too large for a file of variables", path)
	}
	variables, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return variables, nil
}

// parseEnvfile reads the text of a file for "caddy run --envfile" as Caddy does: what follows a # goes, also
// within quotes, and a quoted value may have more than one line.
func parseEnvfile(text string) (map[string]string, error) {
	variables := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line, number := strings.TrimSpace(lines[i]), i+1
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimPrefix(name, "export ")
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d is not NAME=value", number)
		case name == "" || strings.Contains(name, " "):
			return nil, fmt.Errorf("line %d has no name of a variable before the =", number)
		case strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\t"):
			return nil, fmt.Errorf("line %d has white space behind the =", number)
		}
		if before, _, found := strings.Cut(value, "#"); found {
			value = strings.TrimRight(before, " \t")
		}
		if quote := firstQuote(value); quote != "" {
			// Caddy looks for the closing quote at the end of the line, comment and all.
			for last := line; !strings.HasSuffix(last, quote) || strings.HasSuffix(last, `\`+quote); value += "\n" + last {
				value = strings.ReplaceAll(value, `\`+quote, quote)
				if i++; i == len(lines) {
					break
				}
				last = strings.ReplaceAll(strings.TrimSuffix(lines[i], "\r"), `\`+quote, quote)
			}
			value = strings.TrimSuffix(strings.TrimPrefix(value, quote), quote)
		}
		variables[name] = value
	}
	return variables, nil
}

func firstQuote(value string) string {
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
		return value[:1]
	}
	return ""
}

// parseUnitEnvironment reads the text of an EnvironmentFile of systemd's (systemd.exec(5)). Quotes count at
// the beginning of a value alone, and behind one another. Lines that say nothing are passed over, as there.
func parseUnitEnvironment(text string) (map[string]string, error) {
	variables := map[string]string{}
	for p := (unitText{text}); p.rest != ""; {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		if isComment(p.rest) {
			p.line()
			continue
		}
		end := strings.IndexAny(p.rest, "=\n")
		if end < 0 {
			break
		}
		name, assigned := strings.TrimSpace(p.rest[:end]), p.rest[end] == '='
		if p.rest = p.rest[end+1:]; assigned {
			variables[name] = p.value()
		}
	}
	return variables, nil
}

// unitText is what is left of such a text.
type unitText struct{ rest string }

// line takes a line off.
func (p *unitText) line() (line string) {
	line, p.rest, _ = strings.Cut(p.rest, "\n")
	return line
}

// value takes a value off, with the end of its line.
func (p *unitText) value() string {
	var out strings.Builder
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r")
		switch {
		case strings.HasPrefix(p.rest, "'"):
			var inner string
			inner, p.rest, _ = strings.Cut(p.rest[1:], "'")
			out.WriteString(inner)
		case strings.HasPrefix(p.rest, `"`):
			p.rest = p.rest[1:]
			p.doubleQuoted(&out)
		default:
			p.unquoted(&out)
			return out.String()
		}
	}
}

// doubleQuoted takes what stands before the closing quote, and that. A backslash stays unless it escapes.
func (p *unitText) doubleQuoted(out *strings.Builder) {
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return
		case c == '\\' && i+1 < len(p.rest):
			i++
			if !strings.ContainsRune("\"\\`$\n", rune(p.rest[i])) {
				out.WriteByte('\\')
			}
			if p.rest[i] != '\n' {
				out.WriteByte(p.rest[i])
			}
		default:
			out.WriteByte(c)
		}
	}
	p.rest = ""
}

// unquoted takes the rest of a line, which a backslash before its end makes go on.
func (p *unitText) unquoted(out *strings.Builder) {
	var text strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\n':
			out.WriteString(strings.TrimRight(text.String(), " \t\r"))
			p.rest = p.rest[i+1:]
			return
		case c == '\\' && i+1 < len(p.rest):
			if i++; p.rest[i] != '\n' {
				text.WriteByte(p.rest[i])
			}
		default:
			text.WriteByte(c)
		}
	}
	out.WriteString(strings.TrimRight(text.String(), " \t\r"))
	p.rest = ""
}

// notAdopted reports whether a variable of a service is not taken over: those say who runs and where, or how
// the program itself works.
func notAdopted(name string) bool {
	switch name {
	case "HOME", "USER", "LOGNAME", "SHELL", "PATH", "PWD", "TMPDIR", "TERM", "LANG":
		return true
	}
	for _, prefix := range []string{"XDG_", "GO", "LD_", "LC_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// setMissing sets the variables that this process does not have.
func setMissing(variables map[string]string, skip func(name string) bool) error {
	for name, value := range variables {
		if _, there := os.LookupEnv(name); there || skip(name) {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("the variable %q cannot be set: %w", name, err)
		}
	}
	return nil
}

// readOptional reads a file of variables by systemd's grammar; one with a dash before it may be missing.
func readOptional(path string) (map[string]string, error) {
	name, optional := strings.CutPrefix(path, "-")
	variables, err := readEnvironment(name, parseUnitEnvironment)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return variables, err
}
