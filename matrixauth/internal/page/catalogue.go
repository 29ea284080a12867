package page

import (
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
	"sync"

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
	messages func() map[string]message
	// base has what is left out; nil in our texts of the fallback.
	base *texts
}

// ours are our texts by their languages' tags. A language is parsed when it is first asked for, once in a process: most
// servers need few of them, and a start or a reload must not wait for all.
var ours = func() map[string]func() map[string]message {
	all := map[string]func() map[string]message{}
	entries, err := languages.ReadDir("languages")
	if err != nil {
		panic(err) // it is part of the program
	}
	for _, entry := range entries {
		all[strings.TrimSuffix(entry.Name(), ".json")] = sync.OnceValue(func() map[string]message { return parseOurs(entry.Name()) })
	}
	return all
}()

func parseOurs(name string) map[string]message {
	data, err := languages.ReadFile("languages/" + name)
	if err != nil {
		panic(err) // as above
	}
	var texts map[string]message
	if err := json.Unmarshal(data, &texts); err != nil {
		panic(fmt.Errorf("%s: %w", name, err)) // a test reads them all
	}
	return texts
}

// catalogue is all languages, the fallback first.
type catalogue struct {
	languages []*texts
	matcher   language.Matcher
}

// newCatalogue joins our languages with those of an operator, which lie over them: a file named by a language's
// tag, such as fr.json or pt-BR.json, adds that language or changes single texts of ours.
func newCatalogue(folder fs.FS) (*catalogue, error) {
	theirs, err := readFolder(folder)
	if err != nil {
		return nil, err
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(ours)), maps.Keys(theirs))
	slices.SortFunc(names, func(a, b string) int {
		if (a == fallback) != (b == fallback) {
			if a == fallback {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	c := &catalogue{}
	var tags []language.Tag
	for _, name := range slices.Compact(names) {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, err
		}
		var s *texts
		if len(c.languages) > 0 {
			s = c.languages[0]
		}
		if messages, ok := ours[name]; ok {
			s = &texts{tag: tag, messages: messages, base: s}
		}
		if messages, ok := theirs[name]; ok {
			s = &texts{tag: tag, messages: func() map[string]message { return messages }, base: s}
		}
		c.languages, tags = append(c.languages, s), append(tags, tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// readFolder reads the texts of an operator, by the tags of their languages.
func readFolder(folder fs.FS) (map[string]map[string]message, error) {
	all := map[string]map[string]message{}
	if folder == nil {
		return all, nil
	}
	names, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := readTexts(folder, name, all); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
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
	for key, text := range texts {
		original, ok := ours[fallback]()[key]
		if !ok {
			return fmt.Errorf("there is no text %q", key)
		}
		if err := comparePlaces(original, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if into[tag.String()] == nil {
		into[tag.String()] = map[string]message{}
	}
	maps.Copy(into[tag.String()], texts)
	return nil
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

// Languages lists the languages of the pages, as BCP 47 tags.
func (p *Pages) Languages() []string {
	names := make([]string, len(p.catalogue.languages))
	for i, s := range p.catalogue.languages {
		names[i] = s.tag.String()
	}
	return names
}

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
	if text, ok := s.messages()[key]; ok || s.base == nil {
		return text, s
	}
	return s.base.find(key)
}

// text returns a text with its values, which are pairs of a name and a value.
func (s *texts) text(key string, pairs ...string) string {
	found, _ := s.find(key)
	return fill(found["other"], pairs, s.isolate)
}

// leftToRight are the places whose values are written from left to right in every language: Matrix IDs, addresses, names
// of hosts and devices.
var leftToRight = []string{"account", "address", "device", "email", "host", "id", "server", "username"}

// rich returns a text as HTML. Each value is kept from mixing its direction of writing with that of the
// text around it.
func (s *texts) rich(key string, pairs ...string) template.HTML {
	text, _ := s.find(key)
	isolate := func(name, value string) string {
		if slices.Contains(leftToRight, name) {
			return `<bdi dir="ltr">` + html.EscapeString(value) + "</bdi>"
		}
		return "<bdi>" + html.EscapeString(value) + "</bdi>"
	}
	return template.HTML(fill(html.EscapeString(text["other"]), pairs, isolate)) // both parts are escaped
}

// The signs of Unicode that set a piece of text apart from the direction around it (UAX #9): one that is written from left
// to right, one whose first letter decides, and the end of both.
const (
	leftToRightIsolate = "\u2066"
	firstStrongIsolate = "\u2068"
	endOfIsolate       = "\u2069"
)

// isolate sets a value of a place apart in plain text, as rich does in HTML. In a text that is written from right to left,
// "@alice:example.com" would end in its @ otherwise. Texts from left to right have no need of it, and stay free of signs
// that nobody sees.
func (s *texts) isolate(name, value string) string {
	if s.direction() == "ltr" {
		return value
	}
	if slices.Contains(leftToRight, name) {
		return leftToRightIsolate + value + endOfIsolate
	}
	return firstStrongIsolate + value + endOfIsolate
}

// count returns a text in the form for a number.
func (s *texts) count(key string, n int) string {
	text, of := s.find(key)
	form := text[pluralNames[plural.Cardinal.MatchPlural(of.tag, n, 0, 0, 0, 0)]]
	if form == "" {
		form = text["other"]
	}
	return fill(form, []string{"n", fmt.Sprint(n)}, func(_, value string) string { return value })
}

var pluralNames = map[plural.Form]string{plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other"}

func fill(text string, pairs []string, show func(name, value string) string) string {
	list := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, "{"+pairs[i]+"}", show(pairs[i], pairs[i+1]))
	}
	return strings.NewReplacer(list...).Replace(text)
}
