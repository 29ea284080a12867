package web

import (
	"net/http"
	"slices"
	"strings"
)

// StripCookies takes the cookies of our pages out of a request that goes on to somebody else, whatever
// prefix they have: one from before the issuer's path or scheme changed may still stand for a session.
// All else stays byte for byte. It costs a look where there are none of ours.
func StripCookies(h http.Header) {
	lines := h["Cookie"]
	if !slices.ContainsFunc(lines, mayHoldOurs) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if rest, some := withoutOurs(line); some {
			kept = append(kept, rest)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func mayHoldOurs(line string) bool { return strings.Contains(line, browserCookieName) }

// withoutOurs returns a Cookie header without our cookies, and false if nothing else was in it.
func withoutOurs(line string) (rest string, some bool) {
	if !mayHoldOurs(line) {
		return line, true
	}
	var b strings.Builder
	kept, taken := 0, 0
	for pair := range strings.SplitSeq(line, ";") {
		if isOurs(pair) {
			taken++
			continue
		}
		if kept == 0 && taken > 0 {
			pair = strings.TrimLeft(pair, " \t") // what stood between it and ours
		} else if kept > 0 {
			b.WriteByte(';')
		}
		b.WriteString(pair)
		kept++
	}
	return b.String(), taken == 0 || strings.Trim(b.String(), " \t;") != ""
}

// isOurs reports whether a pair of a Cookie header is one of ours.
func isOurs(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name = strings.Trim(name, " \t")
	for _, prefix := range []string{"__Host-", "__Secure-"} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			name = rest
			break
		}
	}
	return slices.Contains(ourCookies, name)
}
