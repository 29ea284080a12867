package page

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

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

// TestLanguagesAreComplete: every language of ours has every text and no other, with the same places, and with exactly
// those plural forms that the language has.
func TestLanguagesAreComplete(t *testing.T) {
	c := ourTexts(t)
	if c.languages[0].tag.String() != fallback || len(c.languages) < 2 {
		t.Fatalf("the first language is %s of %d", c.languages[0].tag, len(c.languages))
	}
	english := c.languages[0].messages()
	for _, s := range c.languages {
		for _, problem := range problems(s.tag, s.messages(), english) {
			t.Errorf("%s: %s", s.tag, problem)
		}
		if s.tag.String() == fallback {
			continue
		}
		for key, text := range s.messages() {
			if original := english[key]["other"]; text["other"] == original && strings.Contains(original, " ") {
				t.Errorf("%s did not translate %q", s.tag, key)
			}
		}
	}
}

// TestLanguageProblems: what the texts of a language may lack is found.
func TestLanguageProblems(t *testing.T) {
	english := map[string]message{"a": {"other": "to {client}"}, "n": {"one": "{n} day", "other": "{n} days"}}
	for want, texts := range map[string]map[string]message{
		"lacks a":                             {"n": {"one": "{n} день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}},
		"has z, which nobody asks for":        {"a": {"other": "{client}"}, "n": {"one": "{n} день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}, "z": {"other": "z"}},
		"a: {client} is missing":              {"a": {"other": "client"}, "n": {"one": "{n} день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}},
		"a: there are braces left":            {"a": {"other": "{client} {Client}"}, "n": {"one": "{n} день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}},
		"a has the forms few, other":          {"a": {"few": "{client}", "other": "{client}"}, "n": {"one": "{n} день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}},
		"n has the forms one, other":          {"a": {"other": "{client}"}, "n": {"one": "{n} день", "other": "{n} дня"}},
		"n lacks {n} in one, which 21 is too": {"a": {"other": "{client}"}, "n": {"one": "день", "few": "{n} дни", "many": "{n} дней", "other": "{n} дня"}},
	} {
		if got := problems(language.Russian, texts, english); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	french := map[string]message{"a": {"other": "{client}"}, "n": {"one": "{n} jour", "many": "{n} de jours", "other": "{n} jours"}}
	if got := problems(language.French, french, english); len(got) != 1 {
		t.Errorf("a form for millions alone: %q", got)
	}
}

// problems returns what is wrong with the texts of a language.
func problems(tag language.Tag, texts, english map[string]message) (all []string) {
	numbers := formsOf(tag)
	for key, original := range english {
		text, ok := texts[key]
		if !ok {
			all = append(all, "lacks "+key)
			continue
		}
		if err := comparePlaces(original, text); err != nil {
			all = append(all, fmt.Sprintf("%s: %v", key, err))
		}
		want := []string{"other"}
		if len(original) > 1 {
			want = slices.Sorted(maps.Keys(numbers))
		}
		if got := slices.Sorted(maps.Keys(text)); !slices.Equal(got, want) {
			all = append(all, fmt.Sprintf("%s has the forms %s and needs %s", key, strings.Join(got, ", "), strings.Join(want, ", ")))
			continue
		}
		for form, wording := range text {
			if strings.ContainsAny(place.ReplaceAllString(wording, ""), "{}｛｝") {
				all = append(all, key+": there are braces left")
			}
			if of := numbers[form]; len(original) > 1 && len(of) > 1 && !strings.Contains(wording, "{n}") {
				all = append(all, fmt.Sprintf("%s lacks {n} in %s, which %d is too", key, form, of[1]))
			}
		}
	}
	for key := range texts {
		if _, ok := english[key]; !ok {
			all = append(all, "has "+key+", which nobody asks for")
		}
	}
	return all
}

// formsOf returns the plural forms of a language with the first numbers of each, as far as our numbers go, and "other",
// which every text has.
func formsOf(tag language.Tag) map[string][]int {
	forms := map[string][]int{"other": nil}
	for n := range 1000 {
		form := pluralNames[plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0)]
		forms[form] = append(forms[form], n)
	}
	return forms
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
	for _, name := range []string{"view.go", "activity.go", "links.go", "weak.go"} {
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
	for _, texts := range []map[model.Action]string{tellings, browserTellings, {"": adminTelling}} {
		for _, key := range texts {
			used[key] = true
		}
	}
	for _, key := range actorTellings {
		used[key] = true
	}
	for _, section := range Sections {
		used[section.Text] = true
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
	texts := ours[fallback]()
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

// everyLanguage is a catalogue with the languages that we have or may have, whichever there are.
func everyLanguage(t testing.TB) *catalogue {
	t.Helper()
	folder := fstest.MapFS{}
	for _, name := range []string{"ar", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt-BR", "ru", "uk", "zh-Hans"} {
		folder[name+".json"] = &fstest.MapFile{Data: []byte("{}")}
	}
	c, err := newCatalogue(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChooseLanguage(t *testing.T) {
	c := everyLanguage(t)
	for _, test := range []struct{ uiLocales, accept, want string }{
		{"", "", "en"},
		{"", "de", "de"},
		{"", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"", "eo,de;q=0.5", "de"},
		{"", "eo", "en"},
		{"", "en;q=0.1,de;q=0.9", "de"},
		{"", "*", "en"},
		{"de", "en", "de"},
		{"eo de-CH en", "en", "de"},
		{"eo", "de", "de"},
		{"not_a-language! de", "", "de"},
		{"x-klingon", "de", "de"},
		{"", "completely broken;;;,=", "en"},
		{"", "zz-ZZ,de;q=0.4", "de"},

		// A region takes the language that there is of it.
		{"", "en-GB", "en"}, {"", "fr-CA,en;q=0.1", "fr"}, {"", "es-MX,en;q=0.1", "es"}, {"", "es-419,en;q=0.1", "es"},
		{"", "it-CH", "it"}, {"", "nl-BE", "nl"}, {"", "pl-PL", "pl"}, {"", "ru-RU", "ru"}, {"", "ja-JP", "ja"},
		{"", "uk-UA,uk;q=0.9,ru;q=0.8,en;q=0.7", "uk"}, {"", "ar-EG,en;q=0.1", "ar"}, {"", "pt", "pt-BR"},
		{"", "pt-PT,pt;q=0.9,en;q=0.8", "pt-BR"}, {"pt-PT", "en", "pt-BR"},

		// Traditional characters are not simplified ones: those only if nothing else is asked for.
		{"", "zh", "zh-Hans"}, {"", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"}, {"", "zh-SG", "zh-Hans"},
		{"", "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7", "en"}, {"", "zh-HK,ja;q=0.5", "ja"}, {"", "zh-Hant,zh", "zh-Hans"},
		{"", "zh-TW,zh-CN;q=0.9,en;q=0.8", "zh-Hans"}, {"zh-TW", "zh-TW,zh;q=0.9,en;q=0.8", "en"}, {"", "zh-CN,zh-TW;q=0.9,zh;q=0.8", "zh-Hans"},

		// A script in common is no language in common.
		{"", "fa", "en"}, {"", "bg", "en"}, {"", "sr", "en"}, {"fa", "bg", "en"},
		// What people of a language mostly read too gives way to what they ask for.
		{"", "be,en;q=0.5", "en"}, {"", "gsw,fr;q=0.5", "fr"}, {"", "gsw", "de"},
	} {
		if got := c.choose(test.uiLocales, test.accept).tag.String(); got != test.want {
			t.Errorf("ui_locales %q and Accept-Language %q give %s, want %s", test.uiLocales, test.accept, got, test.want)
		}
	}
	for _, s := range c.languages {
		if got := c.choose("", s.tag.String()+",en;q=0.5"); got != s {
			t.Errorf("who asks for %s gets %s", s.tag, got.tag)
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
		"ar.json": {Data: []byte(`{"login.title": "تسجيل الدخول", "account.active.days": {"zero":"0 {n}","one":"واحد","two":"اثنان","few":"{n} few","many":"{n} many","other":"{n} other"}}`)},
		"de.json": {Data: []byte(`{"login.title": "Herein"}`)},
		"fa.json": {Data: []byte(`{"login.title": "ورود"}`)},
		"eo.json": {Data: []byte(`{"login.title": "Ensaluti"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string][3]string{
		"ar": {"تسجيل الدخول", "rtl", c.choose("", "ar").text("login.password")}, "de": {"Herein", "ltr", "Passwort"},
		"fa": {"ورود", "rtl", "Password"}, "en-ZA": {"Sign in", "ltr", "Password"}, "eo": {"Ensaluti", "ltr", "Password"},
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
	if got := c.choose("", "eo").count("account.active.hours", 1); got != "Active 1 hour ago" {
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
