package password

import (
	"crypto/sha256"
	_ "embed"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// common is the list of common passwords, by the first bytes of their hashes. lists/README.md says where it comes from.
//
//go:embed lists/common.bin
var common string

// commonMark is the number of bytes of each hash.
const commonMark = 5

// isCommon reports whether a password in small letters is on the list, as it is or with up to four digits and signs
// before or behind it: "dragon", "dragon99!".
func isCommon(small string) bool {
	const addedMost = 4
	if isListed(small) {
		return true
	}
	core := strings.TrimFunc(small, func(r rune) bool { return !unicode.IsLetter(r) })
	return core != "" && utf8.RuneCountInString(small)-utf8.RuneCountInString(core) <= addedMost && isListed(core)
}

func isListed(small string) bool {
	sum := sha256.Sum256([]byte(small))
	mark := string(sum[:commonMark])
	at := func(i int) string { return common[i*commonMark : (i+1)*commonMark] }
	n := len(common) / commonMark
	i := sort.Search(n, func(i int) bool { return at(i) >= mark })
	return i < n && at(i) == mark
}
