package page

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed languages/*.json
var languages embed.FS

// fallback is the language of visitors who ask for none that we have, and of texts that a language of
// an operator leaves out.
const fallback = "en"

// message is a text in one language: its plural forms by their CLDR names, or "other" alone. Places
// for values are words in braces.
type message map[string]string

// UnmarshalJSON reads a string, or an object of plural forms.
func (m *message) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*m = message{"other": text}
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(data, &forms); err != nil {
		return err
	}
	if forms["other"] == "" {
		return fmt.Errorf(`plural forms need "other"`)
	}
	*m = forms
	return nil
}

// texts are the texts of one language.
type texts struct {
	tag      language.Tag
	messages map[string]message
	// base has what is left out; nil in the fallback itself.
	base *texts
}

// catalogue is all languages, the fallback first.
type catalogue struct {
	languages []*texts
	matcher   language.Matcher
}

// newCatalogue reads our languages and, over them, those of an operator: a file named by a language's
// tag, such as fr.json or pt-BR.json, adds that language or changes single texts of ours.
func newCatalogue(folder fs.FS) (*catalogue, error) {
	ours, err := fs.Sub(languages, "languages")
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]message{}
	for _, source := range []fs.FS{ours, folder} {
		if source == nil {
			continue
		}
		names, err := fs.Glob(source, "*.json")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := readTexts(source, name, all); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return assemble(all)
}

func readTexts(source fs.FS, name string, into map[string]map[string]message) error {
	tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
	if err != nil {
		return fmt.Errorf("a file of texts is named by its language, such as fr.json: %w", err)
	}
	data, err := fs.ReadFile(source, name)
	if err != nil {
		return err
	}
	var texts map[string]message
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	known := into[fallback]
	if known == nil && tag.String() != fallback {
		known, err = englishTexts()
		if err != nil {
			return err
		}
	}
	for key, text := range texts {
		original, ok := known[key]
		if known != nil && !ok {
			return fmt.Errorf("there is no text %q", key)
		}
		if known != nil {
			if err := comparePlaces(original, text); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	if into[tag.String()] == nil {
		into[tag.String()] = map[string]message{}
	}
	maps.Copy(into[tag.String()], texts)
	return nil
}

// englishTexts returns those that every other file is compared with.
func englishTexts() (map[string]message, error) {
	data, err := languages.ReadFile("languages/" + fallback + ".json")
	if err != nil {
		return nil, err
	}
	var texts map[string]message
	return texts, json.Unmarshal(data, &texts)
}

// place is a place for a value in a text.
var place = regexp.MustCompile(`\{[a-z]+\}`)

// comparePlaces makes sure that no form of a text names a value that there is not. It may leave the
// number out: "one minute ago" needs none.
func comparePlaces(original, text message) error {
	known := place.FindAllString(original["other"], -1)
	for form, wording := range text {
		for _, found := range place.FindAllString(wording, -1) {
			if !slices.Contains(known, found) {
				return fmt.Errorf("%s is not given to this text", found)
			}
		}
		for _, needed := range known {
			if !strings.Contains(wording, needed) && (form == "other" || needed != "{n}") {
				return fmt.Errorf("%s is missing", needed)
			}
		}
	}
	return nil
}

func assemble(all map[string]map[string]message) (*catalogue, error) {
	c := &catalogue{}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if (a == fallback) != (b == fallback) {
			if a == fallback {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	tags := make([]language.Tag, 0, len(names))
	for _, name := range names {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, err
		}
		s := &texts{tag: tag, messages: all[name]}
		if len(c.languages) > 0 {
			s.base = c.languages[0]
		}
		c.languages, tags = append(c.languages, s), append(tags, tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// Languages lists the languages of the pages, as BCP 47 tags.
func (p *Pages) Languages() []string {
	names := make([]string, len(p.catalogue.languages))
	for i, s := range p.catalogue.languages {
		names[i] = s.tag.String()
	}
	return names
}

// maxPreference bounds what is read of a list of languages, which anybody may send.
const maxPreference = 512

// choose picks the language for a visitor: what the app asked for by ui_locales, else what the browser
// asks for, else the fallback.
func (c *catalogue) choose(uiLocales, acceptLanguage string) *texts {
	var wanted []language.Tag
	for name := range strings.FieldsSeq(clip(uiLocales)) {
		if tag, err := language.Parse(name); err == nil {
			wanted = append(wanted, tag)
		}
	}
	if _, i, sure := c.matcher.Match(wanted...); len(wanted) > 0 && sure > language.No {
		return c.languages[i]
	}
	_, i, _ := c.matcher.Match(accepted(clip(acceptLanguage))...)
	return c.languages[i]
}

// accepted reads an Accept-Language header. Its entries are read one by one: a language that nobody
// knows must not cost those beside it.
func accepted(header string) []language.Tag {
	type entry struct {
		tag     language.Tag
		quality float32
	}
	var entries []entry
	for text := range strings.SplitSeq(header, ",") {
		tags, qualities, err := language.ParseAcceptLanguage(text)
		if err == nil && len(tags) == 1 {
			entries = append(entries, entry{tags[0], qualities[0]})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(b.quality, a.quality) })
	tags := make([]language.Tag, len(entries))
	for i, e := range entries {
		tags[i] = e.tag
	}
	return tags
}

func clip(list string) string { return list[:min(len(list), maxPreference)] }

// rightToLeft are the scripts that are written from right to left.
var rightToLeft = []string{"Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"}

// direction returns the direction of writing, as HTML names it.
func (s *texts) direction() string {
	script, _ := s.tag.Script()
	if slices.Contains(rightToLeft, script.String()) {
		return "rtl"
	}
	return "ltr"
}

func (s *texts) find(key string) (message, *texts) {
	if text, ok := s.messages[key]; ok || s.base == nil {
		return text, s
	}
	return s.base.find(key)
}

// text returns a text with its values, which are pairs of a name and a value.
func (s *texts) text(key string, pairs ...string) string {
	found, _ := s.find(key)
	return fill(found["other"], pairs, func(value string) string { return value })
}

// rich returns a text as HTML. Each value is kept from mixing its direction of writing with that of the
// text around it.
func (s *texts) rich(key string, pairs ...string) template.HTML {
	text, _ := s.find(key)
	isolate := func(value string) string { return "<bdi>" + html.EscapeString(value) + "</bdi>" }
	return template.HTML(fill(html.EscapeString(text["other"]), pairs, isolate)) // both parts are escaped
}

// count returns a text in the form for a number.
func (s *texts) count(key string, n int) string {
	text, of := s.find(key)
	form := text[pluralNames[plural.Cardinal.MatchPlural(of.tag, n, 0, 0, 0, 0)]]
	if form == "" {
		form = text["other"]
	}
	return fill(form, []string{"n", fmt.Sprint(n)}, func(value string) string { return value })
}

var pluralNames = map[plural.Form]string{plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other"}

func fill(text string, pairs []string, show func(string) string) string {
	list := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, "{"+pairs[i]+"}", show(pairs[i+1]))
	}
	return strings.NewReplacer(list...).Replace(text)
}
