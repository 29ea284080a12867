package password

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/match"
)

// The bounds of what an estimate may cost. Its time grows with the square of the length, and with the number of ways in which
// digits and signs can stand for letters, which are a thousand in a password made up to have them all.
const (
	estimateMost = 100           // bytes
	estimateWork = 100 * 100 * 8 // bytes squared, times ways
)

// tooGuessable returns why a password in its normal form has a lower score than least; empty if it has not. Of a long password
// only the beginning is judged, which can but lower its score.
func tooGuessable(normal string, words []string, least int) Reason {
	if least <= 0 {
		return ""
	}
	result := zxcvbn.PasswordStrength(beginning(normal), words)
	if result.Score >= least {
		return ""
	}
	return mainPattern(result.Sequence)
}

// beginning returns as much of a password as can be judged with the work that is allowed.
func beginning(normal string) string {
	judged := cut(normal, estimateMost)
	for ways := leetWays(judged); len(judged)*len(judged)*ways > estimateWork; ways = leetWays(judged) {
		judged = cut(judged, len(judged)-1)
	}
	return judged
}

// leet are the letters for which digits and signs stand in zxcvbn, with these.
var leet = []string{"4@", "8", "({[<", "3", "69", "1!|", "1|7", "0", "$5", "+7", "%", "2"}

// leetWays returns no less than the number of ways in which zxcvbn reads the digits and signs of a password as letters. A sign
// that may stand for two letters has two ways for the second.
func leetWays(password string) int {
	ways, seen := 1, ""
	for _, signs := range leet {
		n := 0
		for _, sign := range signs {
			if !strings.ContainsRune(password, sign) {
				continue
			}
			n++
			if strings.ContainsRune(seen, sign) {
				n++
			}
			seen += string(sign)
		}
		ways *= max(1, n)
	}
	return ways
}

// patterns are the reasons for what zxcvbn finds in a password.
var patterns = map[string]Reason{
	"repeat": Repeats, "sequence": Sequence, "spatial": Keyboard, "date": Date, "regex": Date, "dictionary": FewWords,
}

// mainPattern returns the reason for the kind of pattern that makes up most of a password, if that is most of it.
func mainPattern(sequence []*match.Match) Reason {
	lengths, whole := map[Reason]int{}, 0
	for _, m := range sequence {
		n := utf8.RuneCountInString(m.Token)
		whole += n
		if m.DictionaryName == "user_inputs" {
			lengths[Personal] += n
		} else if reason, ok := patterns[m.Pattern]; ok {
			lengths[reason] += n
		}
	}
	// Of two that make up as much it is always the same one.
	for _, reason := range slices.Backward(Reasons) {
		if 2*lengths[reason] > whole {
			return reason
		}
	}
	return Guessable
}
