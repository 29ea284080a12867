package synapseconfig

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

const testEndpoint = "http://127.0.0.1:8090/"

// secretValues are the values in testdata that no diff, error or printed form may show.
var secretValues = []string{
	"admin-token-value", "admin-token-from-file", "client-secret-value", "macaroon-value", "registration-value",
	"form-value", "private-part-value", "shared value", "password value", "quote", "turn\n", "database\n",
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	return Merge(parseFile(t, "homeserver.yaml", text))
}

func parseFile(t *testing.T, name, text string) *File {
	t.Helper()
	f, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f.Dir = "testdata"
	return f
}

func migrate(t *testing.T, data []byte) *Migration {
	t.Helper()
	m, err := parse(t, string(data)).MigrateMSC3861(Options{Endpoint: testEndpoint})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMigrate compares each testdata/migrate/NAME.yaml with NAME.want and its diff with NAME.diff.
func TestMigrate(t *testing.T) {
	names, err := filepath.Glob("testdata/migrate/*.yaml")
	if err != nil || len(names) < 14 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(name, ".yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m := migrate(t, data)
			golden(t, base+".want", m.New)
			golden(t, base+".diff", []byte(m.Diff))
			for _, secret := range secretValues {
				if strings.Contains(m.Diff, secret) {
					t.Errorf("the diff shows %q", secret)
				}
			}
			again, err := Parse("homeserver.yaml", m.New)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Merge(again).MigrateMSC3861(Options{Endpoint: testEndpoint}); !errors.Is(err, ErrAlreadyMigrated) {
				t.Errorf("a second run: %v", err)
			}
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestMigrateResult(t *testing.T) {
	const head = "server_name: a\nexperimental_features:\n  msc3861:\n    enabled: true\n    client_id: CLIENT\n"
	t.Run("inline token becomes the secret", func(t *testing.T) {
		m := migrate(t, []byte(head+"    admin_token: token-1\n"))
		if m.Secret != "token-1" || m.SecretPath != "" || m.ProvisionedClientID != "CLIENT" {
			t.Errorf("%q %q %q", m.Secret, m.SecretPath, m.ProvisionedClientID)
		}
		notes := strings.Join(m.Notes, "\n")
		for _, part := range []string{"must sign in again unless", "The client CLIENT"} {
			if !strings.Contains(notes, part) {
				t.Errorf("notes lack %q:\n%s", part, notes)
			}
		}
	})
	t.Run("token file becomes secret_path", func(t *testing.T) {
		m := migrate(t, []byte(head+"    admin_token_path: admin_token\n"))
		if m.Secret != "admin-token-from-file" || m.SecretPath != "admin_token" || bytes.Contains(m.New, []byte(m.Secret)) {
			t.Errorf("%q %q\n%s", m.Secret, m.SecretPath, m.New)
		}
	})
	t.Run("a secret path of its own keeps the token out of the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secret")
		f := parse(t, head+"    admin_token: token-1\n")
		m, err := f.MigrateMSC3861(Options{Endpoint: testEndpoint, SecretPath: path})
		if err != nil {
			t.Fatal(err)
		}
		if m.SecretPath != path || bytes.Contains(m.New, []byte("token-1")) || !strings.Contains(strings.Join(m.Notes, "\n"), "does not exist yet") {
			t.Errorf("%q %q\n%s", m.SecretPath, m.Notes, m.New)
		}
		if err := os.WriteFile(path, []byte("token-1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err = f.MigrateMSC3861(Options{Endpoint: testEndpoint, SecretPath: path})
		if err != nil || strings.Contains(strings.Join(m.Notes, "\n"), "does not exist yet") || len(m.Conflicts) != 0 {
			t.Errorf("with the file there: %v %v", m, err)
		}
		if err := os.WriteFile(path, []byte("other-secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = f.MigrateMSC3861(Options{Endpoint: testEndpoint, SecretPath: path})
		if err == nil || !strings.Contains(err.Error(), "holds another secret") || strings.Contains(err.Error(), "other-secret") {
			t.Errorf("with another secret: %v", err)
		}
	})
	t.Run("QR login on 1.136 is noted", func(t *testing.T) {
		m := migrate(t, []byte(head+"    admin_token: token-1\n  msc4108_enabled: true\n"))
		if !strings.Contains(strings.Join(m.Notes, "\n"), "Line 7 sets msc4108_enabled") {
			t.Errorf("%q", m.Notes)
		}
	})
	t.Run("what stays wrong is found", func(t *testing.T) {
		m := migrate(t, []byte(head+"    admin_token: token-1\nenable_registration: true\n"))
		if len(m.Conflicts) != 1 || m.Conflicts[0].Key != "enable_registration" {
			t.Errorf("%+v", m.Conflicts)
		}
	})
	t.Run("nothing printed shows the secret", func(t *testing.T) {
		f := parse(t, head+"    admin_token: token-1\n    client_secret: client-1\n")
		m, err := f.MigrateMSC3861(Options{Endpoint: testEndpoint})
		if err != nil {
			t.Fatal(err)
		}
		changed, err := Parse("homeserver.yaml", m.New)
		after := Merge(changed)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []any{f, m, *m, f.MSC3861(), *f.MSC3861(), after.MAS(), *after.MAS()} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(verb, value); strings.Contains(text, "token-1") || strings.Contains(text, "client-1") {
					t.Errorf("%s of %T: %s", verb, value, text)
				}
			}
		}
	})
}

func TestMigrateRefuses(t *testing.T) {
	const head = "server_name: a\nexperimental_features:\n  msc3861:\n"
	const whole = head + "    enabled: true\n    admin_token: token-value\n"
	for _, tc := range []struct {
		name, text, want string
		kind             error
	}{
		{name: "already_migrated", text: "server_name: a\nmatrix_authentication_service:\n  enabled: true\n  secret: x\n",
			want: "homeserver.yaml:2: already migrated", kind: ErrAlreadyMigrated},
		{name: "neither_block", text: "server_name: a\n", want: "homeserver.yaml: has neither", kind: ErrNothingToMigrate},
		{name: "neither_in_other_features", text: "experimental_features: {msc4133_enabled: true}\n", want: "homeserver.yaml: has neither", kind: ErrNothingToMigrate},
		{name: "empty_features", text: "experimental_features:\n", want: "homeserver.yaml: has neither", kind: ErrNothingToMigrate},
		{name: "empty_block", text: "server_name: a\nexperimental_features:\n  msc3861:\n", want: "homeserver.yaml:3: msc3861 is empty", kind: ErrNothingToMigrate},
		{name: "empty_block_and_new_block", text: "experimental_features: {msc3861: {}}\nmatrix_authentication_service: {enabled: true, secret: x}\n", want: ":1: half done"},
		{name: "both_blocks", text: whole + "matrix_authentication_service: {enabled: true, secret: x}\n", want: ":6: half done"},
		{name: "both_blocks_new_one_off", text: whole + "matrix_authentication_service: {enabled: false}\n", want: ":6: half done"},
		{name: "both_blocks_new_one_empty", text: whole + "matrix_authentication_service:\n", want: ":6: half done"},
		{name: "new_block_off", text: "matrix_authentication_service:\n  enabled: false\n", want: ":1: msc3861 is gone and"},
		{name: "enabled_false", text: head + "    enabled: off\n    admin_token: x\n", want: ":4: msc3861 is switched off"},
		{name: "enabled_missing", text: head + "    admin_token: x\n", want: ":3: msc3861 has no enabled"},
		{name: "enabled_is_text", text: head + "    enabled: \"true\"\n    admin_token: x\n", want: ":4: msc3861.enabled is not a boolean"},
		{name: "no_token", text: head + "    enabled: true\n", want: ":3: msc3861 sets neither admin_token"},
		{name: "empty_token", text: head + "    enabled: true\n    admin_token: ''\n", want: ":3: msc3861 sets neither admin_token"},
		{name: "number_as_token", text: head + "    enabled: true\n    admin_token: 12345678\n", want: ":5: msc3861.admin_token is not text"},
		{name: "token_with_blank", text: head + "    enabled: true\n    admin_token: two words\n", want: ":5: the admin token has a blank"},
		{name: "token_with_line_break", text: head + "    enabled: true\n    admin_token: |\n      token-value\n", want: ":5: the admin token has a blank"},
		{name: "token_and_file", text: whole + "    admin_token_path: admin_token\n", want: ":5: admin_token and admin_token_path are both set"},
		{name: "token_file_missing", text: head + "    enabled: true\n    admin_token_path: no-such-file\n", want: ":5: admin_token_path: cannot read no-such-file: no such file or directory; Synapse opens a relative path"},
		{name: "token_file_is_directory", text: head + "    enabled: true\n    admin_token_path: migrate\n", want: ":5: admin_token_path: cannot read migrate"},
		{name: "token_file_empty", text: head + "    enabled: true\n    admin_token_path: empty\n", want: ":5: admin_token_path: the file empty is empty"},
		{name: "token_file_with_blank", text: head + "    enabled: true\n    admin_token_path: two_words\n", want: ":5: the admin token has a blank"},
		{name: "duplicate_top", text: whole + "server_name: b\n", want: ":6: the key server_name is here and on line 1"},
		{name: "duplicate_features", text: whole + "experimental_features:\n  msc3861: {enabled: true, admin_token: x}\n", want: ":6: the key experimental_features is here and on line 2"},
		{name: "duplicate_block", text: whole + "  msc3861: {enabled: true, admin_token: x}\n", want: ":6: the key msc3861 is here and on line 3"},
		{name: "duplicate_token", text: whole + "    admin_token: other-value\n", want: ":6: the key admin_token is here and on line 5"},
		{name: "whole_file_in_braces", text: "{experimental_features: {msc3861: {enabled: true, admin_token: x}}}\n", want: ":1: the whole file is one {...}"},
		{name: "features_in_braces", text: "experimental_features: {a: 1, msc3861: {enabled: true, admin_token: x}}\n", want: ":1: experimental_features is one {...}"},
		{name: "anchor_on_features", text: "experimental_features: &x\n  msc3861: {enabled: true, admin_token: x}\n", want: "an anchor or alias"},
		{name: "anchor_on_block", text: "experimental_features:\n  msc3861: &x\n    enabled: true\n    admin_token: x\n", want: "an anchor or alias"},
		{name: "anchor_on_token", text: "experimental_features:\n  msc3861:\n    enabled: true\n    admin_token: &x token-value\n", want: ":4: msc3861 holds an anchor"},
		{name: "alias_as_token", text: "x: &x token-value\nexperimental_features:\n  msc3861:\n    enabled: true\n    admin_token: *x\n", want: ":5: msc3861 holds an anchor or alias"},
		{name: "alias_as_block", text: "x: &x {enabled: true, admin_token: token-value}\nexperimental_features:\n  msc3861: *x\n", want: ":3: an anchor or alias"},
		{name: "merge_at_top", text: "<<: {a: 1}\n" + whole, want: ":1: a merge key"},
		{name: "merge_in_block", text: "x: &x {enabled: true}\nexperimental_features:\n  msc3861:\n    <<: *x\n    admin_token: token-value\n", want: ":4: a merge key"},
		{name: "tag_on_token", text: head + "    enabled: true\n    admin_token: !!str 12345678\n", want: ":5: msc3861 holds a value with a YAML tag"},
		{name: "question_mark_key", text: "experimental_features:\n  ? msc3861\n  : {enabled: true, admin_token: token-value}\n", want: ":2: the key msc3861 does not begin its line"},
		{name: "value_would_change", text: "keep: |+\n  a\n\nexperimental_features:\n  msc3861: {enabled: true, admin_token: token-value}\n  last: |+\n    text\n\n\nnext: 1\n",
			want: "cannot be changed safely (another setting would change)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := parse(t, tc.text).MigrateMSC3861(Options{Endpoint: testEndpoint})
			if err == nil {
				t.Fatalf("migrated:\n%s", m.New)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "homeserver.yaml:") {
				t.Errorf("got %q, want %q in it", err, tc.want)
			}
			if tc.kind != nil && !errors.Is(err, tc.kind) {
				t.Errorf("%v is no %v", err, tc.kind)
			}
			if tc.kind == nil && (errors.Is(err, ErrAlreadyMigrated) || errors.Is(err, ErrNothingToMigrate)) {
				t.Errorf("%v has a kind", err)
			}
			if strings.Contains(err.Error(), "token-value") || strings.Contains(err.Error(), "two words") {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

func TestMigrateEndpoint(t *testing.T) {
	f := parse(t, "experimental_features:\n  msc3861: {enabled: true, admin_token: x}\n")
	for _, endpoint := range []string{"", "127.0.0.1:8080", "localhost:8080", "ftp://a/", "http://", "http://u:p@a/", "http://a/?q", "http://a/#f", "http://a b/"} {
		if _, err := f.MigrateMSC3861(Options{Endpoint: endpoint}); err == nil {
			t.Errorf("%q was taken", endpoint)
		}
	}
	for _, endpoint := range []string{"http://127.0.0.1:8080", "https://a/b/", "http://[::1]:8080/"} {
		if _, err := f.MigrateMSC3861(Options{Endpoint: endpoint}); err != nil {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
