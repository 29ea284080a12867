package password

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// DefaultMinScore is the least score of a new password if the operator chose none: 10^8 guesses, which is out of reach
// for whoever tries passwords at a door, and takes time of whoever has a stolen hash.
const DefaultMinScore = 3

// MaxScore is the best score that a password can have.
const MaxScore = 4

// PolicyConfig says what a new password must be like.
type PolicyConfig struct {
	// MinLength is the least number of characters; what is below bound.PasswordLeast means that.
	MinLength int
	// MinScore is the least score of zxcvbn, from 0, which any password has, to MaxScore.
	MinScore int
	// Blocklist is the path of a file with more passwords that are refused, for which CheckBlocklist found nothing wrong;
	// empty for none.
	Blocklist string
	// BlocklistFailed is told why the file could not be read. The password was judged without it. It may be nil.
	BlocklistFailed func(error)
}

// Policy judges new passwords: one for every place where a password is set (PW-5, PW-6). It says nothing of passwords that
// accounts have already. It is safe for concurrent use.
type Policy struct{ config PolicyConfig }

// NewPolicy makes a Policy.
func NewPolicy(c PolicyConfig) *Policy {
	c.MinLength = max(c.MinLength, bound.PasswordLeast)
	if c.BlocklistFailed == nil {
		c.BlocklistFailed = func(error) {}
	}
	return &Policy{c}
}

// MinLength returns the least number of characters, for what pages say beside the field.
func (p *Policy) MinLength() int { return p.config.MinLength }

// Check judges a new password, and returns a *WeakError for one that is refused. about is what the password must not be
// made of: the user name, the display name, addresses, the server name. Its cost is bounded by that of about two hashes,
// whatever the password; callers take a turn for it (Hasher.InTurn).
func (p *Policy) Check(clear string, about ...string) error {
	if err := p.checkForm(clear, p.config.MinLength); err != nil {
		return err
	}
	// Guessers do not care for capitals; as the hash is made of the normal form, that is what is judged.
	normal := string(normalize(clear))
	small, words := strings.ToLower(normal), contextWords(about)
	switch {
	case madeOf(small, words):
		return p.weak(Personal)
	case isCommon(small), p.isBlocked(normal, small):
		return p.weak(Common)
	}
	if reason := tooGuessable(normal, words, p.config.MinScore); reason != "" {
		return p.weak(reason)
	}
	return nil
}

// Same reports whether two passwords are one, however they are typed.
func Same(a, b string) bool { return equal(normalize(a), normalize(b)) }

// CheckFloor judges what no operator can go against: that a password is text, and neither shorter than
// bound.PasswordLeast nor longer than bound.PasswordMost (PW-4, PW-5). It returns a *WeakError.
func (p *Policy) CheckFloor(clear string) error { return p.checkForm(clear, bound.PasswordLeast) }

func (p *Policy) checkForm(clear string, least int) error {
	switch {
	case len(clear) > bound.PasswordMost:
		return p.weak(TooLong)
	case !utf8.ValidString(clear) || strings.ContainsRune(clear, 0):
		// No client could send it: what they send is JSON or a form in UTF-8.
		return p.weak(NotText)
	case utf8.RuneCountInString(clear) < least || utf8.RuneCount(normalize(clear)) < least:
		// There are characters whose normal form has eighteen, and sequences whose normal form has one.
		return &WeakError{Reason: TooShort, least: least}
	}
	return nil
}

func (p *Policy) weak(reason Reason) error {
	return &WeakError{Reason: reason, least: p.config.MinLength}
}

// isBlocked reports whether the operator's file has a password, as it was typed or in small letters.
func (p *Policy) isBlocked(normal, small string) bool {
	if p.config.Blocklist == "" {
		return false
	}
	found, err := inBlocklist(p.config.Blocklist, normal, small)
	if err != nil {
		p.config.BlocklistFailed(err)
	}
	return found
}

// cut returns the longest beginning of a text that has at most n bytes and only whole characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// fold returns a text as words of the context are compared.
func fold(text string) string { return strings.ToLower(norm.NFKC.String(text)) }
