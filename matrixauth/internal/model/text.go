package model

import (
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// PlainText makes a text of somebody else fit to be shown among ours: without control characters,
// without those that turn the direction of the text around them, without those that nobody sees, and
// without piles of marks that cover the lines above and below (HTTP-9). White space becomes one space. A
// text with nothing to see is empty, so that nobody has a name that looks like none.
func PlainText(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner:
			return r // Persian and Hindi words, and emoji, are written with them
		case IsInvisible(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	if !strings.ContainsFunc(text, visible) {
		return ""
	}
	return strings.Join(strings.Fields(unpile(text)), " ")
}

// IsInvisible reports whether nobody sees a character where it stands, white space aside: control characters, format
// characters, those that turn the direction of the text among them, separators of lines, letters that are blank, and
// the blank of Braille. Joiners are among them, though they change how their neighbours look.
func IsInvisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) || r == brailleBlank
}

// maxMarks is how many marks may stand on one letter. Three are written in Hebrew with its accents and in
// Tibetan; more are not written, but piled up.
const maxMarks = 3

// unpile leaves out the marks that stand on nothing, or on a letter that has enough of them.
func unpile(text string) string {
	marks := maxMarks // nothing stands before the text that could bear one
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			marks = maxMarks
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner: // it is no letter either
		case !unicode.In(r, unicode.Mn, unicode.Me):
			marks = 0
		case marks == maxMarks:
			return -1
		default:
			marks++
		}
		return r
	}, text)
}

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
	brailleBlank       = '\u2800'
)

func visible(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)
}

// namesAnother reports whether a word of a name is an address that is not host: that of a website, a mail
// address or a Matrix id. It would rather take a name for an address than the other way round, as the
// host that is shown in its place is right in any case.
func namesAnother(name, host string) bool {
	// As people see it: compatibility forms of letters are letters, and what looks like a dot is one.
	seen := strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("\u00b7\u2022\u2027\u2219\u22c5\u3002\u30fb\uff61", r):
			return '.'
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner:
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	for word := range strings.FieldsSeq(seen) {
		if isAccount(word) || isAddress(strings.Trim(word, "()[],;")) {
			return true
		}
		for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return r != '.' && !nameRune(r) }) {
			if part = strings.Trim(part, ".-_"); isHost(part) && !strings.EqualFold(part, host) {
				return true
			}
		}
	}
	return false
}

// isAccount reports whether a text is a mail address or a Matrix id.
func isAccount(word string) bool {
	_, server, found := strings.Cut(word, "@")
	return found && strings.ContainsAny(server, ".:")
}

// isAddress reports whether a text is an IP address.
func isAddress(word string) bool {
	_, err := netip.ParseAddr(word)
	return err == nil && len(word) > len("::")
}

// isHost reports whether a word has the form of a host: an IP address, or labels of which the last one is
// of letters, as every top level domain is. The number of a version is none.
func isHost(word string) bool {
	if isAddress(word) {
		return true
	}
	labels := strings.Split(word, ".")
	for _, label := range labels {
		if label == "" {
			return false
		}
	}
	top := labels[len(labels)-1]
	if len(labels) < 2 || len([]rune(top)) < 2 {
		return false
	}
	return strings.HasPrefix(strings.ToLower(top), "xn--") || strings.IndexFunc(top, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) < 0
}

// nameRune reports whether a label of a host may hold a character, in any script.
func nameRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) || r == '-' || r == '_'
}
