package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// maxEnvironment bounds a file of variables, in bytes.
const maxEnvironment = 1 << 20

// readEnvironment reads a file of variables by one of the two grammars. Its errors name the file and the
// line and never a value.
func readEnvironment(path string, parse func(text string) (map[string]string, error)) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxEnvironment {
		return nil, fmt.Errorf("%s is too large for a file of variables", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
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
	lines := strings.Split(text, "\n")
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

// parseUnitEnvironment reads the text of an EnvironmentFile of systemd's (systemd.exec(5)).
func parseUnitEnvironment(text string) (map[string]string, error) {
	variables := map[string]string{}
	for len(text) > 0 {
		var line string
		line, text = unitEnvironmentLine(text)
		line = strings.TrimLeft(line, " \t\r\n")
		name, value, ok := strings.Cut(line, "=")
		if !ok || isComment(line) {
			continue // systemd goes on as well
		}
		variables[strings.TrimSpace(name)] = unitEnvironmentValue(value)
	}
	return variables, nil
}

// unitEnvironmentLine cuts a line off: one ends outside of quotes, and not behind a backslash.
func unitEnvironmentLine(text string) (line, rest string) {
	comment := isComment(strings.TrimLeft(text, " \t\r"))
	quote, value := byte(0), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'':
			i++
		case c == '=' && quote == 0:
			value = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && value && !comment && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == '\n':
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// unitEnvironmentValue takes quotes and backslashes away.
func unitEnvironmentValue(value string) string {
	var out strings.Builder
	quote := byte(0)
	value = strings.TrimSpace(value)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '\\' && quote != '\'' && i+1 < len(value):
			i++
			if quote == '"' && !strings.ContainsRune("\"\\`$\n", rune(value[i])) {
				out.WriteByte('\\')
			}
			if value[i] != '\n' {
				out.WriteByte(value[i])
			}
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// lookAway are variables of a service that are not taken over from it: they say who runs and where, or how
// the program itself works.
func lookAway(name string) bool {
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
