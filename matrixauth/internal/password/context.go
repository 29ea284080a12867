package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// The bounds of what the context of a password may cost. A word has three characters at least, as every password has
// shorter ones.
const (
	contextWordLeast = 3
	contextWordMost  = 64
	contextWordsMost = 64
)

// contextWords returns the words of what a password must not be made of, longest first, in small letters: what letters and
// digits are between other characters, and the whole without these.
func contextWords(about []string) (words []string) {
	add := func(word string) {
		if n := utf8.RuneCountInString(word); n >= contextWordLeast && n <= contextWordMost && len(words) < contextWordsMost && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for _, text := range about {
		parts := strings.FieldsFunc(fold(cut(text, bound.Identifier)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
		add(strings.Join(parts, ""))
		for _, part := range parts {
			add(part)
		}
	}
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// madeOf reports whether a password in small letters is hardly more than words of the context, forwards or backwards, with at
// most eight letters and digits besides, of which two are letters, and eight signs: "alice", "ecila.example 31-12-2024",
// "a.smith@example.com".
func madeOf(small string, words []string) bool {
	const eachMost, lettersMost = 8, 2
	rest := cut(small, bound.Identifier)
	if len(rest) < len(small) {
		return false // it is longer than any name
	}
	found := false
	for _, word := range words {
		for _, w := range []string{word, reverse(word)} {
			if strings.Contains(rest, w) {
				found, rest = true, strings.ReplaceAll(rest, w, "")
			}
		}
	}
	letters, digits, signs := 0, 0, 0
	for _, r := range rest {
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsNumber(r):
			digits++
		default:
			signs++
		}
	}
	return found && letters <= lettersMost && letters+digits <= eachMost && signs <= eachMost
}

func reverse(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}
