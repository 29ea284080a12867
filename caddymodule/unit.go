package caddymodule

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// unitDirs are where systemd looks for units, the first of them first (systemd.unit(5)).
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/etc/systemd/system", "/run/systemd/system",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// unit is what a unit of systemd's and its drop-ins say of the process that it starts. The files are read and
// systemctl is not asked: they say the same where systemd does not run, as in a rescue system or an image.
type unit struct {
	// user is the name or id; empty for root.
	user string
	// dynamic reports whether systemd makes a user up for each start.
	dynamic          bool
	workingDirectory string
	environment      map[string]string
	// environmentFiles are as written: with a dash before those that may be missing.
	environmentFiles []string
	// command are the words of ExecStart.
	command []string
	// problem says which of the files this user may not read: one with a secret in it is root's alone.
	problem error
}

// readUnit reads a service of systemd's with its drop-ins. It reports false if there is none, or if it is
// masked.
func readUnit(dirs []string, name string) (u unit, found bool, err error) {
	u.environment = map[string]string{}
	main := ""
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			if !info.Mode().IsRegular() || info.Size() == 0 {
				return u, false, nil // a link to /dev/null masks a unit, and so does an empty file
			}
			main = filepath.Join(dir, name)
			break
		}
	}
	if main == "" {
		return u, false, nil
	}
	for _, file := range append([]string{main}, dropIns(dirs, name)...) {
		text, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		case errors.Is(err, fs.ErrPermission):
			u.problem = errors.Join(u.problem, err)
		case err != nil:
			return u, false, err
		}
		u.read(string(text))
	}
	return u, true, nil
}

// dropIns returns the drop-ins of a unit in their order: by name, whatever their directory, those for all
// services first. Of two of one name the directory that comes first counts.
func dropIns(dirs []string, name string) (files []string) {
	for _, folder := range []string{"service.d", name + ".d"} {
		byName := map[string]string{}
		for _, dir := range slices.Backward(dirs) {
			found, err := filepath.Glob(filepath.Join(dir, folder, "*.conf"))
			if err != nil {
				continue // the pattern is well-formed
			}
			for _, file := range found {
				byName[filepath.Base(file)] = file
			}
		}
		for _, base := range slices.Sorted(maps.Keys(byName)) {
			files = append(files, byName[base])
		}
	}
	return files
}

// read takes over what one file says (systemd.syntax(7)).
func (u *unit) read(text string) {
	section := ""
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || isComment(line) {
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			if next := strings.TrimSpace(lines[i]); !isComment(next) { // a comment does not end a line that goes on
				line = strings.TrimSuffix(line, `\`) + " " + next
			}
		}
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && section == "[Service]" {
			u.set(strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
}

func isComment(line string) bool { return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") }

// set takes over one setting. An empty value takes back what was said before.
func (u *unit) set(key, value string) {
	switch key {
	case "User":
		u.user = u.specifiers(value)
	case "DynamicUser":
		u.dynamic = slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(value))
	case "WorkingDirectory":
		u.workingDirectory = strings.TrimPrefix(u.specifiers(value), "-")
	case "ExecStart":
		u.command = splitWords(value)
	case "EnvironmentFile":
		if value == "" {
			u.environmentFiles = nil
			return
		}
		u.environmentFiles = append(u.environmentFiles, u.specifiers(value))
	case "Environment":
		if value == "" {
			u.environment = map[string]string{}
		}
		for _, word := range splitWords(value) {
			if name, value, ok := strings.Cut(word, "="); ok {
				u.environment[name] = u.specifiers(value)
			}
		}
	}
}

// specifiers replaces the specifiers of a system's unit that say the same on every machine. Others stay as
// they are.
func (u *unit) specifiers(value string) string {
	return strings.NewReplacer("%%", "%", "%n", serviceUnit, "%N", strings.TrimSuffix(serviceUnit, ".service"), "%p", strings.TrimSuffix(serviceUnit, ".service"),
		"%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log", "%E", "/etc", "%t", "/run", "%T", "/tmp", "%V", "/var/tmp").Replace(value)
}

// splitWords splits a value into words as systemd does: at white space outside of quotes, with the escapes
// of C.
func splitWords(value string) (words []string) {
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && i+1 < len(value):
			text, length := unescape(value[i+1:])
			word.WriteString(text)
			i += length
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// escapes are what one letter stands for behind a backslash; any other stands for itself.
var escapes = map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", 's': " "}

// unescape returns what stands behind a backslash, and how long it is there.
func unescape(text string) (meant string, length int) {
	number := func(prefix, digits, base int) (string, int) {
		if len(text) < prefix+digits {
			return text[:1], 1
		}
		n, err := strconv.ParseUint(text[prefix:prefix+digits], base, 32)
		if err != nil || base != 16 && n > 255 {
			return text[:1], 1
		}
		if digits > 3 {
			return string(rune(n)), prefix + digits
		}
		return string([]byte{byte(n)}), prefix + digits
	}
	switch c := text[0]; {
	case c == 'x':
		return number(1, 2, 16)
	case c == 'u':
		return number(1, 4, 16)
	case c == 'U':
		return number(1, 8, 16)
	case c >= '0' && c <= '7':
		return number(0, 3, 8)
	case escapes[c] != "":
		return escapes[c], 1
	}
	return text[:1], 1
}

// flag returns the values of a flag of the command, in order.
func (u *unit) flag(names ...string) (values []string) {
	for i, word := range u.command {
		name, value, joined := strings.Cut(word, "=")
		switch {
		case !slices.Contains(names, name):
		case joined:
			values = append(values, value)
		case i+1 < len(u.command):
			values = append(values, u.command[i+1])
		}
	}
	return values
}
