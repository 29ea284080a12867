package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// readConfig reads a configuration as JSON, by the adapter that Caddy would take for the file. Caddy's own
// way says two lines in the log about it, which are for --verbose. The text is empty if it could not be read.
func readConfig(cmd *cobra.Command, file, adapter string) (text string, raw []byte, err error) {
	if verbose, err := cmd.Flags().GetBool("verbose"); err == nil && verbose && file != "-" {
		raw, _, _, err := caddycmd.LoadConfig(file, adapter)
		content, _ := os.ReadFile(file) // what is wrong with it was said
		return string(content), raw, err
	}
	var content []byte
	if file == "-" {
		content, err = io.ReadAll(cmd.InOrStdin())
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return "", nil, err
	}
	if adapter == "" && isCaddyfile(file) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		var document any
		if err := json.Unmarshal(content, &document); err != nil {
			return string(content), nil, fmt.Errorf("the configuration is no JSON: %w; name its adapter with --adapter", err)
		}
		return string(content), content, nil
	}
	known := caddyconfig.GetAdapter(adapter)
	if known == nil {
		return string(content), nil, fmt.Errorf("there is no config adapter %q", adapter)
	}
	raw, _, err = known.Adapt(content, map[string]any{"filename": file}) // warnings are of the formatting
	return string(content), raw, err
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

// unsetVariables are those of a Caddyfile, and of files that it imports, which have no default and are not
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
