package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/google/go-cmp/cmp"
)

var updateAdapt = flag.Bool("update-adapt", false, "write what the Caddyfiles of testdata/adapt adapt to into their files")

// adaptDivider stands between a Caddyfile and the JSON, or the error, that it adapts to.
const adaptDivider = "\n----------\n"

// TestAdapt adapts each Caddyfile of testdata/adapt. The files named error_… hold one mistake each, or
// several that are all reported, every one with its file and line.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(text), adaptDivider)
			if !found {
				t.Fatalf("%s has no line of dashes", file)
			}
			mistaken := strings.HasPrefix(name, "error_")
			if mistaken {
				asValidate(t)
			}
			got := adapted(t, input, mistaken)
			if *updateAdapt {
				if err := os.WriteFile(file, []byte(input+adaptDivider+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// asValidate makes this process check configurations only, as "caddy validate" does.
func asValidate(t testing.TB) {
	t.Helper()
	before := validating
	validating = func() bool { return true }
	t.Cleanup(func() { validating = before })
}

// adapted is the JSON that a Caddyfile adapts to, or the error.
func adapted(t *testing.T, input string, mistaken bool) string {
	t.Helper()
	raw, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input+"\n"), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		// Caddy wants tabs; everything else would be about us.
		if w.Directive != "" || !strings.Contains(w.Message, "not formatted") {
			t.Errorf("warning: %s", w)
		}
	}
	if mistaken {
		if err == nil {
			t.Fatalf("the mistake was not noticed: %s", raw)
		}
		return err.Error() + "\n"
	}
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return pretty.String() + "\n"
}

// TestMistakesNameFileAndLine makes sure that every golden error says where to look.
func TestMistakesNameFileAndLine(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/error_*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden errors: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(text), adaptDivider)
		for line := range strings.Lines(got) {
			if !placed.MatchString(line) {
				t.Errorf("%s: without a place: %s", file, line)
			}
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s: a password shows: %s", file, got)
		}
	}
}

// placed recognises an error with a file and a line, as we and as Caddy write them.
var placed = regexp.MustCompile(`Caddyfile:[1-9][0-9]*`)

// FuzzCaddyfileBlock gives the directive any arguments and block: they adapt to valid JSON that loads
// the same settings again, or to errors with a file and a line.
func FuzzCaddyfileBlock(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), adaptDivider)
		if _, block, found := strings.Cut(input, "matrix_auth"); found {
			f.Add(strings.TrimSuffix(strings.TrimSpace(block), "}"))
		}
	}
	f.Add("example.com https://matrix.example.com {\n\tlogin_limit {\n\t\tnetwork 1 NaN\n\t\taccount 1 1e400\n\t}\n}")
	f.Add("example.com https://matrix.example.com {\n\tdatabase \"\"\n\tinternal_listen \"\"\n\tmatrix {\n\t}\n}")
	f.Add("example.com https://matrix.example.com {\n\tmatrix {\n\t\tsecret {env.{env.X}}\n\t}\n}")
	f.Fuzz(func(t *testing.T, block string) {
		if strings.Contains(block, "import") || strings.Contains(block, "secret_file") || strings.Contains(block, "secret_path") {
			t.Skip("files are read")
		}
		fuzzBlock(t, block)
	})
}

func fuzzBlock(t *testing.T, block string) {
	tokens, err := caddyfile.Tokenize([]byte("matrix_auth "+block), "Caddyfile")
	if err != nil {
		return // Caddy's parser stops before it comes to us
	}
	h := httpcaddyfile.Helper{Dispenser: caddyfile.NewDispenser(tokens), State: map[string]any{}}
	handler, err := parseHandler(h)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			if !placed.MatchString(line) {
				t.Errorf("without a place: %q", err)
			}
		}
		return
	}
	raw, err := json.Marshal(handler)
	if err != nil {
		t.Fatalf("%+v: %v", handler.Settings, err)
	}
	var again Handler
	if err := caddy.StrictUnmarshalJSON(raw, &again); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if diff := cmp.Diff(handler.Settings, again.Settings); diff != "" {
		t.Errorf("the JSON loses settings: %s", diff)
	}
}
