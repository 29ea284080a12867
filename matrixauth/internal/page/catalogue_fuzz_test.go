package page

import (
	"slices"
	"testing"
)

// FuzzChoose: whatever a browser or an app asks for, a language is found, and it is one of ours.
func FuzzChoose(f *testing.F) {
	for _, pair := range [][2]string{{"", ""}, {"de", "en"}, {"xx de-AT", "fr;q=0.5"}, {"-", "de;q=x,,;"}, {"en-US-x-a", "*"}, {"\xff", "zh-Hans-CN-u-co-pinyin"}, {"de_DE", "i-klingon, art-x"}} {
		f.Add(pair[0], pair[1])
	}
	c, err := newCatalogue(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uiLocales, acceptLanguage string) {
		if got := c.choose(uiLocales, acceptLanguage); !slices.Contains(c.languages, got) {
			t.Errorf("%q and %q give %v", uiLocales, acceptLanguage, got)
		}
	})
}
