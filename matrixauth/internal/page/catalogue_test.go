package page

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

func ourTexts(t testing.TB) *catalogue {
	t.Helper()
	c, err := newCatalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLanguagesAreComplete: every language of ours has every text, with the same places and with the
// plural forms that the language needs. (Reading them has compared the places.)
func TestLanguagesAreComplete(t *testing.T) {
	c := ourTexts(t)
	if c.languages[0].tag.String() != fallback || len(c.languages) < 2 {
		t.Fatalf("the first language is %s of %d", c.languages[0].tag, len(c.languages))
	}
	english := c.languages[0]
	for _, s := range c.languages[1:] {
		for key, text := range english.messages {
			theirs, ok := s.messages[key]
			if !ok {
				t.Errorf("%s lacks %q", s.tag, key)
				continue
			}
			if len(theirs) != len(text) {
				t.Errorf("%s has other forms of %q", s.tag, key)
			}
			if theirs["other"] == text["other"] && strings.Contains(text["other"], " ") {
				t.Errorf("%s did not translate %q", s.tag, key)
			}
		}
	}
}

// TestTextsAreUsed: no text is nobody's, and nobody asks for one that is not there.
func TestTextsAreUsed(t *testing.T) {
	used := map[string]bool{}
	quoted := regexp.MustCompile(`(?:T|Rich|count|Count) ?\(?"([a-z]+\.[A-Za-z.]+|[a-z]+\.[A-Za-z.]+)"`)
	for _, ours := range []fs.FS{embedded, embeddedLetters} {
		err := fs.WalkDir(ours, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(ours, path)
			note(used, quoted, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, reason := range password.Reasons {
		used["password.weak."+string(reason)] = true
	}
	for _, name := range []string{"view.go", "links.go", "weak.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		note(used, quoted, string(text))
	}
	for _, scope := range model.Scopes {
		if scope.Text != "" {
			used[scope.Text] = true
		}
	}
	for _, sample := range Samples(now) {
		if form, ok := sample.(formPage); ok {
			for _, key := range form.problems() {
				used[key] = true
			}
		}
	}
	for _, outcome := range append(slices.Collect(maps.Values(topicNames())), "") {
		prefix := "error." + outcome
		if outcome == "" {
			prefix = "return"
		}
		used[prefix+".title"], used[prefix+".text"] = true, true
	}
	for _, kind := range model.NoticeKinds {
		used["mail.notice."+string(kind)+".title"], used["mail.notice."+string(kind)+".text"] = true, true
	}
	texts := ourTexts(t).languages[0].messages
	for key := range used {
		if _, ok := texts[key]; !ok {
			t.Errorf("there is no text %q", key)
		}
	}
	for key := range texts {
		if !used[key] {
			t.Errorf("the text %q is nobody's", key)
		}
	}
}

func note(used map[string]bool, pattern *regexp.Regexp, text string) {
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		used[match[1]] = true
	}
}

// topicNames are the topics of all codes.
func topicNames() map[model.Code]string {
	all := map[model.Code]string{}
	for _, code := range model.Codes {
		all[code] = topic(code)
	}
	return all
}

// TestEveryCodeHasATopic makes sure that people are told something of each code, and that no row says what the kind
// says too.
func TestEveryCodeHasATopic(t *testing.T) {
	for code, name := range topicNames() {
		if name == "" {
			t.Errorf("nobody is told of %s", code)
		}
	}
	for code, name := range topics {
		if !slices.Contains(model.Codes, code) || kindTopics[code.Kind()] == name {
			t.Errorf("the topic of %s says nothing", code)
		}
	}
}

func TestChooseLanguage(t *testing.T) {
	c := ourTexts(t)
	for _, test := range []struct{ uiLocales, accept, want string }{
		{"", "", "en"},
		{"", "de", "de"},
		{"", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"", "fr,de;q=0.5", "de"},
		{"", "fr", "en"},
		{"", "en;q=0.1,de;q=0.9", "de"},
		{"", "*", "en"},
		{"de", "en", "de"},
		{"fr de-CH en", "en", "de"},
		{"fr", "de", "de"},
		{"not_a-language! de", "", "de"},
		{"x-klingon", "de", "de"},
		{"", "completely broken;;;,=", "en"},
		{"", "zz-ZZ,de;q=0.4", "de"},
	} {
		if got := c.choose(test.uiLocales, test.accept).tag.String(); got != test.want {
			t.Errorf("ui_locales %q and Accept-Language %q give %s, want %s", test.uiLocales, test.accept, got, test.want)
		}
	}
}

// FuzzChooseLanguage: whatever is asked for, the answer is a language that we have, and soon.
func FuzzChooseLanguage(f *testing.F) {
	for _, seed := range [][2]string{{"de en", "de;q=0.5"}, {"", "en-a-" + strings.Repeat("b-", 200)}, {"i-default x", "*;q=0"}, {"\xff", "\x00,,;"}} {
		f.Add(seed[0], seed[1])
	}
	c, err := newCatalogue(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uiLocales, accept string) {
		if s := c.choose(uiLocales, accept); s == nil || !slices.Contains(c.languages, s) {
			t.Errorf("%q and %q give %v", uiLocales, accept, s)
		}
	})
}

// TestOwnLanguages: a folder adds languages and changes single texts.
func TestOwnLanguages(t *testing.T) {
	c, err := newCatalogue(fstest.MapFS{
		"ar.json":    {Data: []byte(`{"login.title": "تسجيل الدخول", "account.active.days": {"zero":"0 {n}","one":"واحد","two":"اثنان","few":"{n} few","many":"{n} many","other":"{n} other"}}`)},
		"de.json":    {Data: []byte(`{"login.title": "Herein"}`)},
		"pt-BR.json": {Data: []byte(`{"login.title": "Entrar"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string][3]string{
		"ar": {"تسجيل الدخول", "rtl", "Password"}, "de": {"Herein", "ltr", "Passwort"}, "pt": {"Entrar", "ltr", "Password"}, "en": {"Sign in", "ltr", "Password"},
	} {
		s := c.choose("", accept)
		if got := [3]string{s.text("login.title"), s.direction(), s.text("login.password")}; got != want {
			t.Errorf("%s: %v, want %v", accept, got, want)
		}
	}
	arabic := c.choose("", "ar")
	for n, want := range map[int]string{1: "واحد", 2: "اثنان", 3: "3 few", 11: "11 many", 100: "100 other"} {
		if got := arabic.count("account.active.days", n); got != want {
			t.Errorf("%d days are %q, want %q", n, got, want)
		}
	}
	if got := arabic.count("account.active.hours", 1); got != "Active 1 hour ago" {
		t.Errorf("a text that is missing is %q", got)
	}
	for name, file := range map[string][2]string{
		"unknown text":        {"fr.json", `{"login.colour": "bleu"}`},
		"a place too many":    {"fr.json", `{"login.title": "{client}"}`},
		"a place is missing":  {"fr.json", `{"login.for": "vers"}`},
		"no language":         {"texts.json", `{}`},
		"no JSON":             {"fr.json", `{`},
		"plural without rest": {"fr.json", `{"account.active.days": {"one": "{n}"}}`},
	} {
		if _, err := newCatalogue(fstest.MapFS{file[0]: {Data: []byte(file[1])}}); err == nil || !strings.Contains(err.Error(), filepath.Base(file[0])) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRichTexts(t *testing.T) { // HTTP-9
	s := ourTexts(t).languages[0]
	if got := s.rich("consent.title", "client", `<b>"{account}"`); got != `Continue to <bdi>&lt;b&gt;&#34;{account}&#34;</bdi>?` {
		t.Errorf("got %s", got)
	}
}
