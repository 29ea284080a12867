package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// configText is the text of a configuration, and the file that it was read from; nil for standard input. Who
// owned that file, and not what lies at its path later, says whose the text is.
type configText struct {
	text string
	file fs.FileInfo
}

// readText reads the text of a configuration.
func readText(cmd *cobra.Command, file string) (c configText, err error) {
	from := cmd.InOrStdin()
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return c, err
		}
		defer opened.Close()
		if c.file, err = opened.Stat(); err != nil {
			return c, err
		}
		from = opened
	}
	content, err := io.ReadAll(from)
	c.text = string(content)
	return c, err
}

// readConfig reads a configuration as JSON, by the adapter that Caddy would take for the file. Caddy's own
// way says two lines in the log about it, which are for --verbose. The text is empty if it could not be read.
func readConfig(cmd *cobra.Command, file, adapter string) (c configText, raw []byte, err error) {
	if c, err = readText(cmd, file); err != nil {
		return configText{}, nil, err
	}
	if verbose, err := cmd.Flags().GetBool("verbose"); err == nil && verbose && file != "-" {
		if _, _, _, err := caddycmd.LoadConfig(file, adapter); err != nil {
			return c, nil, err
		}
	}
	content := []byte(c.text)
	if adapter == "" && isCaddyfile(file) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		var document any
		if err := json.Unmarshal(content, &document); err != nil {
			return c, nil, fmt.Errorf("the configuration is not JSON: %w; name its adapter with --adapter", err)
		}
		return c, content, nil
	}
	known := caddyconfig.GetAdapter(adapter)
	if known == nil {
		return c, nil, fmt.Errorf("there is no config adapter %q", adapter)
	}
	raw, _, err = known.Adapt(content, map[string]any{"filename": file}) // warnings are of the formatting
	return c, raw, err
}

// isCaddyfile reports whether Caddy takes a file for a Caddyfile by its name.
func isCaddyfile(file string) bool {
	name := strings.ToLower(filepath.Base(file))
	ext := filepath.Ext(name)
	return ext != ".json" && (strings.HasPrefix(name, "caddyfile") || ext == ".caddyfile")
}

// variable is {$NAME} or {$NAME:default} in a Caddyfile.
var variable = regexp.MustCompile(`\{\$([^}:\s]+)(:?)[^}]*\}`)

// imported is a line that imports files or a snippet.
var imported = regexp.MustCompile(`(?m)^\s*import\s+"?([^\s"]+)`)

// maxImports bounds how deep imports are followed.
const maxImports = 8

// unsetVariables returns those of a Caddyfile, and of files that it imports, which have no default and are not
// set in this process. Caddy takes them for nothing.
func unsetVariables(file, text string, depth int) (names []string) {
	if !isCaddyfile(file) && depth == 0 || depth > maxImports {
		return nil
	}
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, match := range variable.FindAllStringSubmatch(text, -1) {
		if _, set := os.LookupEnv(match[1]); !set && match[2] == "" {
			add(match[1])
		}
	}
	for _, match := range imported.FindAllStringSubmatch(text, -1) {
		pattern := match[1]
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(file), pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // Caddy says so
		}
		for _, one := range found {
			content, err := os.ReadFile(one)
			if err != nil {
				continue // Caddy says so
			}
			for _, name := range unsetVariables(one, string(content), depth+1) {
				add(name)
			}
		}
	}
	return names
}
