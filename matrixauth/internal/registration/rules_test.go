package registration

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestCheckName: which names people can choose, and what they are told of the others (CREATE-4, CREATE-6).
func TestCheckName(t *testing.T) {
	expression, err := CompileName(`[a-z]+\.[a-z]+`)
	if err != nil {
		t.Fatal(err)
	}
	all := New(Config{ServerName: "example.test", Rules: Rules{Mode: Open, Names: Names{
		Banned: Patterns{Exact: []string{"admin"}, Prefixes: []string{"bot-"}, Expressions: []*regexp.Regexp{regexp.MustCompile("^(?:a.*z)$")}},
	}}})
	some := New(Config{ServerName: "example.test", Rules: Rules{Mode: Open, Names: Names{
		Allowed: Patterns{Exact: []string{"root"}, Prefixes: []string{"x-"}, Expressions: []*regexp.Regexp{expression}}, Banned: Patterns{Exact: []string{"x-y"}},
	}}})
	for _, test := range []struct {
		by     *Registrations
		typed  string
		want   string
		reason NameReason
	}{
		{all, "alice", "alice", ""},
		{all, "  Alice ", "alice", ""},
		{all, "@Alice:Example.Test", "alice", ""},
		{all, "@alice", "alice", ""},
		{all, "a.b_c=d-e/f+9", "a.b_c=d-e/f+9", ""},
		{all, "4ever", "4ever", ""},
		{all, "", "", NameEmpty},
		{all, "   ", "", NameEmpty},
		{all, "@alice:elsewhere.test", "", NameForeign},
		{all, strings.Repeat("a", 255-len("@:example.test")), strings.Repeat("a", 255-len("@:example.test")), ""},
		{all, strings.Repeat("a", 256-len("@:example.test")), "", NameLong},
		{all, "12345", "", NameDigits},
		{all, "_bridge", "", NameUnderscore},
		{all, "_br!dge", "", NameCharacters},
		{all, "al ice", "", NameCharacters},
		{all, "alicé", "", NameCharacters},
		{all, "a\x00b", "", NameCharacters},
		{all, "Ａlice", "", NameCharacters},
		{all, "Admin", "", NameBanned},
		{all, "administrator", "administrator", ""},
		{all, "bot-1", "", NameBanned},
		{all, "abcz", "", NameBanned},
		{all, "abczy", "abczy", ""},
		{some, "root", "root", ""},
		{some, "x-1", "x-1", ""},
		{some, "x-y", "", NameBanned},
		{some, "ann.lee", "ann.lee", ""},
		{some, "ann.lee.x1", "", NameBanned},
		{some, "bob", "", NameBanned},
	} {
		got, err := test.by.CheckName(test.typed)
		if got != test.want || NameReasonOf(err) != test.reason || (err == nil) != (test.reason == "") {
			t.Errorf("%q: got %q, %q, want %q, %q", test.typed, got, NameReasonOf(err), test.want, test.reason)
		}
		if err != nil && !errors.Is(err, model.InvalidUsername) {
			t.Errorf("%q: %v", test.typed, err)
		}
		if test.reason != "" && !slices.Contains(NameReasons, test.reason) {
			t.Errorf("%q is not among the reasons", test.reason)
		}
	}
}

// FuzzCheckName: whatever is typed, what comes out is a localpart that the homeserver takes.
func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"alice", "@a:b", "\xff", "İ", "K", "_", "@", ":", "@@a", "1"} {
		f.Add(seed)
	}
	r := New(Config{ServerName: "example.test", Rules: Rules{Mode: Open}})
	f.Fuzz(func(t *testing.T, typed string) {
		name, err := r.CheckName(typed)
		if err == nil && (model.CheckLocalpart(name, "example.test") != nil || strings.ToLower(name) != name) {
			t.Errorf("%q gives %q", typed, name)
		}
		if err != nil && NameReasonOf(err) == "" {
			t.Errorf("%q is refused without a reason", typed)
		}
	})
}

// TestDomains: with which addresses people can register (MAIL-14).
func TestDomains(t *testing.T) {
	pattern := func(all ...string) (out []string) {
		for _, p := range all {
			plain, err := CheckDomainPattern(p)
			if err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			out = append(out, plain)
		}
		return out
	}
	for _, test := range []struct {
		domains Domains
		address string
		want    bool
	}{
		{Domains{}, "a@example.com", true},
		{Domains{Allowed: pattern("example.com")}, "a@example.com", true},
		{Domains{Allowed: pattern("Example.com")}, "a@EXAMPLE.COM", true},
		{Domains{Allowed: pattern("example.com")}, "a@example.com.", true},
		{Domains{Allowed: pattern("example.com")}, "a@sub.example.com", false},
		{Domains{Allowed: pattern("example.com")}, "a@notexample.com", false},
		{Domains{Allowed: pattern("example.com")}, "\"x@example.com\"@evil.test", false},
		{Domains{Allowed: pattern("*.example.com")}, "a@sub.example.com", true},
		{Domains{Allowed: pattern("*.example.com")}, "a@example.com", false},
		{Domains{Allowed: pattern("*.example.com")}, "a@x.sub.example.com", false},
		{Domains{Allowed: pattern("**.example.com")}, "a@x.sub.example.com", true},
		{Domains{Allowed: pattern("**.example.com")}, "a@example.com", false},
		{Domains{Allowed: pattern("mail.*.com")}, "a@mail.example.com", true},
		{Domains{Allowed: pattern("bücher.example")}, "a@xn--bcher-kva.example", true},
		{Domains{Allowed: pattern("xn--bcher-kva.example")}, "a@BÜCHER.example", true},
		{Domains{Banned: pattern("mailinator.com", "**.mailinator.com")}, "a@x.mailinator.com", false},
		{Domains{Banned: pattern("mailinator.com")}, "a@example.com", true},
		{Domains{Banned: pattern("bad.example.com"), Allowed: pattern("**.example.com")}, "a@bad.example.com", false},
	} {
		if got := test.domains.Allow(test.address); got != test.want {
			t.Errorf("%+v and %s: %v", test.domains, test.address, got)
		}
	}
	for _, bad := range []string{"", "exa mple.com", "a@b.example", "ex*.com", "a..b", "***"} {
		if plain, err := CheckDomainPattern(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, plain)
		}
	}
}
