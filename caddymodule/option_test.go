package caddymodule

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestOptionTypes makes sure that a Caddyfile can say every setting: each has a name, a tag that means
// something, and a type that is read.
func TestOptionTypes(t *testing.T) {
	var walk func(block reflect.Type)
	walk = func(block reflect.Type) {
		for f := range block.Fields() {
			o := optionOf(f)
			if o.name == "" {
				t.Errorf("%s.%s has no name in JSON", block, f.Name)
			}
			if !slices.Contains([]string{"", "argument", "unnamed", "lines", "colour"}, o.tag) && !strings.HasPrefix(o.tag, "alias=") {
				t.Errorf("%s.%s: the tag %q means nothing", block, f.Name, o.tag)
			}
			switch {
			case o.isBlock():
				walk(f.Type)
			case o.isList():
				if one := reflect.New(f.Type.Elem()).Elem(); argument(one).Kind() != reflect.String {
					t.Errorf("%s.%s has no argument", block, f.Name)
				}
				walk(f.Type.Elem())
			case o.tag == "lines":
				if f.Type != reflect.TypeFor[[]string]() {
					t.Errorf("%s.%s is a %s, and cannot stand in lines", block, f.Name, f.Type)
				}
			default:
				o.read([]string{"5m"}, reflect.New(f.Type).Elem()) // panics at a type that it does not know
			}
		}
	}
	walk(reflect.TypeFor[Settings]())
}

// TestEverySettingCounts gives each setting another value: something that is used must change. A setting that
// nobody carries on would be accepted and do nothing.
func TestEverySettingCounts(t *testing.T) {
	dir := t.TempDir()
	basic := Settings{
		Issuer: "https://matrix.example.com", Database: filepath.Join(dir, "auth.db"), InternalListen: Addresses{"127.0.0.1:9080"},
		Matrix: Homeserver{Homeserver: "example.com"}, Client: []Client{{ID: "portal", RedirectURI: []string{"https://portal.example.com/"}}},
	}
	before, err := basic.settle()
	if err != nil {
		t.Fatal(err)
	}
	var walk func(block reflect.Value, path string)
	settings := basic.mapTexts(func(_, text string) string { return text })
	walk = func(block reflect.Value, path string) {
		for f := range block.Type().Fields() {
			o, value := optionOf(f), block.FieldByIndex(f.Index)
			switch {
			case o.isBlock():
				walk(value, path+o.name+".")
				continue
			case o.isList():
				walk(value.Index(0), path+o.name+".")
				continue
			}
			kept := reflect.New(f.Type).Elem()
			kept.Set(value)
			setOther(t, value, path+o.name)
			after, _ := settings.settle()
			if cmp.Equal(before, after, cmp.AllowUnexported(resolved{}, absence{})) {
				t.Errorf("%s%s changes nothing", path, o.name)
			}
			value.Set(kept)
		}
	}
	walk(reflect.ValueOf(&settings).Elem(), "")
}

// setOther sets a value that settings do not have by default.
func setOther(t *testing.T, value reflect.Value, name string) {
	t.Helper()
	switch into := value.Addr().Interface().(type) {
	case *string:
		*into = "other"
	case *[]string:
		*into = []string{"https://other.example.com/"}
	case *Words:
		*into = Words{"https://other.example.com/terms", "2"}
	case *Addresses:
		*into = Addresses{"127.0.0.1:9081"}
	case *bool:
		*into = true
	case *caddy.Duration:
		*into = caddy.Duration(7e9)
	case *Count:
		*into = 5
	case *Score:
		*into = Score{Set: true}
	case *Notices:
		*into = Notices{"off"}
	case *MailServer:
		*into = MailServer{"mail.example.com:587"}
	case *Sendmail:
		*into = "/usr/sbin/other"
	case *Rate:
		*into = Rate{Burst: 3, PerMinute: 4}
	default:
		t.Fatalf("%s: what is another value of a %s?", name, value.Type())
	}
}

// TestSettingsPlaceholders replaces placeholders in texts everywhere, and leaves the settings themselves as
// they are: Caddy keeps and shows those.
func TestSettingsPlaceholders(t *testing.T) {
	t.Setenv("TEST_WORD", "word")
	given := Settings{
		Issuer: "https://{env.TEST_WORD}.example.com", Database: "/{env.TEST_WORD}.db", SealFile: "/{env.TEST_WORD}.seal", KeyFile: "/{env.TEST_WORD}.key", Backup: Backups{Dir: "/{env.TEST_WORD}"}, InternalListen: Addresses{"{env.TEST_WORD}:8080", "127.0.0.1:8080"},
		Matrix: Homeserver{Homeserver: "{env.TEST_WORD}", Secret: "{env.TEST_WORD}"}, Branding: Branding{Name: "{env.TEST_WORD}"},
		Client: []Client{{ID: "{env.TEST_WORD}", RedirectURI: []string{"https://{env.TEST_WORD}.example.com/"}}},
	}
	copied := given.mapTexts(func(_, text string) string { return text })
	r, err := given.settle()
	if err != nil || len(r.missing) > 0 {
		t.Fatal(err, r.missing)
	}
	for what, pair := range map[string][2]string{
		"issuer": {r.config.Issuer, "https://word.example.com"}, "database": {r.database, "/word.db"}, "seal_file": {r.config.SealFile, "/word.seal"}, "key_file": {r.config.KeyFile, "/word.key"}, "backup": {r.config.Backup.Dir, "/word"}, "internal_listen": {r.listen[0], "word:8080"},
		"homeserver": {r.config.ServerName, "word"}, "secret": {r.config.Secret, "word"}, "branding name": {r.config.Branding.Name, "word"},
		"client": {r.config.Clients[0].ID, "word"}, "redirect_uri": {r.config.Clients[0].RedirectURIs[0], "https://word.example.com/"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if diff := cmp.Diff(copied, given); diff != "" {
		t.Errorf("the settings changed: %s", diff)
	}
}

// TestListenWithoutItsAddress: where the homeserver asks us must be known when Caddy starts.
func TestListenWithoutItsAddress(t *testing.T) {
	s := Settings{Issuer: "https://matrix.example.com", Matrix: Homeserver{Homeserver: "example.com"}, InternalListen: Addresses{"{env.TEST_NOWHERE}:8080"}}
	r, err := s.settle()
	if err == nil || !strings.Contains(err.Error(), "internal_listen: ") || !strings.Contains(err.Error(), "env.TEST_NOWHERE") {
		t.Errorf("%v", err)
	}
	if slices.ContainsFunc(r.problems(), func(p matrixauth.Problem) bool { return p.Option == "internal_listen" }) {
		t.Error("it would be waited for")
	}
}
