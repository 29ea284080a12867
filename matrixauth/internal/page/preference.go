package page

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// maxPreference bounds what is read of a list of languages, which anybody may send.
const maxPreference = 512

// choose picks the language for a visitor: what the app asked for by ui_locales, else what the browser
// asks for, else the fallback. A language that is only near to one that is asked for is taken if the lists name nothing
// better; one of which all that is known is that it has the same script is not, as Arabic would be for a Persian.
func (c *catalogue) choose(uiLocales, acceptLanguage string) *texts {
	var wanted []language.Tag
	for name := range strings.FieldsSeq(clip(uiLocales)) {
		if tag, err := language.Parse(name); err == nil {
			wanted = append(wanted, tag)
		}
	}
	wanted = append(wanted, accepted(clip(acceptLanguage))...)
	_, i, sure := c.matcher.Match(sameScript(wanted)...)
	if sure == language.No {
		return c.languages[0]
	}
	return c.languages[i]
}

// sameScript reads a language without script or region as the one that was asked for before it. Browsers add such names by
// themselves: the "zh" of "zh-TW, zh, en" is no wish for the simplified characters, which "zh" alone would be.
func sameScript(wanted []language.Tag) []language.Tag {
	first := map[language.Base]language.Tag{}
	read := make([]language.Tag, len(wanted))
	for i, tag := range wanted {
		base, _ := tag.Base()
		earlier, ok := first[base]
		if !ok {
			first[base] = tag
		}
		read[i] = tag
		if ok && tag.String() == base.String() {
			script, _ := earlier.Script()
			if composed, err := language.Compose(base, script); err == nil {
				read[i] = composed
			}
		}
	}
	return read
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
