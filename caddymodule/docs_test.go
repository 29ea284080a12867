package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// pages are all pages for people.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

// TestDocumentedOptions holds the table of options against the settings that exist.
func TestDocumentedOptions(t *testing.T) {
	var documented []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([a-z_.]+)` \\|").FindAllStringSubmatch(pages(t)["../docs/configuration.md"], -1) {
		if match[1] != match[2] {
			t.Errorf("%s is %s in JSON", match[1], match[2])
		}
		documented = append(documented, match[1])
	}
	existing := options(reflect.TypeFor[Settings](), "")
	slices.Sort(documented)
	slices.Sort(existing)
	if !slices.Equal(documented, existing) {
		t.Errorf("documented %v\nexisting   %v", documented, existing)
	}
}

// options lists the settings by their JSON names. A rate is one option of two numbers, and what may stand
// several times is told by its parts.
func options(of reflect.Type, prefix string) (names []string) {
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct {
			names = append(names, options(field.Type.Elem(), prefix+name+".")...)
			continue
		}
		if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[Rate]() && field.Type != reflect.TypeFor[Score]() {
			names = append(names, options(field.Type, prefix+name+".")...)
			continue
		}
		names = append(names, prefix+name)
	}
	return names
}

// TestDocumentedCommands holds the page of commands against those that exist, flags included.
func TestDocumentedCommands(t *testing.T) {
	page := pages(t)["../docs/commands.md"]
	root := &cobra.Command{Use: "matrix-auth"}
	command.CobraFunc(root)
	var existing []string
	var walk func(cmd *cobra.Command, path string)
	walk = func(cmd *cobra.Command, path string) {
		for _, child := range cmd.Commands() {
			name := strings.TrimSpace(path + " " + child.Use)
			if child.HasSubCommands() {
				walk(child, name)
				continue
			}
			existing = append(existing, strings.NewReplacer("[", "", "]", "").Replace(name))
			line := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(existing[len(existing)-1]) + "` \\|.*$").FindString(page)
			child.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(line, "--"+f.Name) && f.Name != "help" {
					t.Errorf("--%s of %q is not documented", f.Name, name)
				}
			})
		}
	}
	walk(root, "")
	var documented []string
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z][^`]*)` \\|").FindAllStringSubmatch(page, -1) {
		documented = append(documented, match[1])
	}
	slices.Sort(documented)
	slices.Sort(existing)
	if !slices.Equal(documented, existing) {
		t.Errorf("documented %q\nexisting   %q", documented, existing)
	}
}

// TestSnippetsAdapt adapts every Caddyfile that the pages show, and the example.
func TestSnippetsAdapt(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	snippets := map[string]string{"Caddyfile.example": string(example), "Caddyfile.example with its options": uncommented(string(example))}
	for file, text := range pages(t) {
		for _, match := range regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(text, -1) {
			snippets[file+": "+match[1]] = match[1]
		}
	}
	if len(snippets) < 8 {
		t.Fatalf("only %d snippets were found", len(snippets))
	}
	for name, text := range snippets {
		text = regexp.MustCompile(`secret_file +(/etc/caddy/matrix\.secret|/run/secrets/matrix_auth)`).ReplaceAllString(text, "secret_file "+secretOfTest(t))
		out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if err != nil || !json.Valid(out) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// What we show must not void the limits.
		findings, err := checkTrustedProxies(out, name)
		if err != nil || slices.ContainsFunc(findings, func(f matrixauth.Finding) bool { return !f.OK }) {
			t.Errorf("%+v, %v", findings, err)
		}
	}
}

// uncommented puts the block form of the example in the place of the one line.
func uncommented(text string) string {
	text = strings.Replace(text, "\tmatrix_auth example.com https://matrix.example.com\n", "", 1)
	return regexp.MustCompile(`(?m)^(\t+)#(\S|\t)`).ReplaceAllString(text, "$1$2")
}

func secretOfTest(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDocumentedAccessLog: what we tell owners to keep of an access log holds no secret of an address.
func TestDocumentedAccessLog(t *testing.T) {
	for _, name := range []string{"../Caddyfile.example", "../docs/logs.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"access_token", "loginToken", "code", "state", "token", "ticket"} {
			if !strings.Contains(string(text), "\treplace "+secret+" REDACTED\n") {
				t.Errorf("%s keeps %s", name, secret)
			}
		}
		if !strings.Contains(string(text), "resp_headers>Location delete") {
			t.Errorf("%s keeps the addresses of redirects", name)
		}
	}
}
