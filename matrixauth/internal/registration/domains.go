package registration

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Domains are the domains of mail addresses that people can register with (MAIL-14). A pattern is a domain in which * stands
// for one label and ** for one or several. Banned ones count before allowed ones; if none is allowed by name, all that are
// not banned are.
type Domains struct{ Banned, Allowed []string }

// CheckDomainPattern checks a pattern of Domains and returns it as it is compared: in small letters, and in the form that the
// Domain Name System has.
func CheckDomainPattern(pattern string) (string, error) {
	wrong := errors.New("write a domain such as example.com, *.example.com for one name below it, or **.example.com for any")
	labels := strings.Split(strings.TrimSuffix(pattern, "."), ".")
	for i, label := range labels {
		if label == "*" || label == "**" {
			continue
		}
		plain, err := idna.Lookup.ToASCII(label)
		if err != nil || plain == "" {
			return "", wrong
		}
		labels[i] = plain
	}
	return strings.Join(labels, "."), nil
}

// Allow reports whether people can register with an address, by the part behind its last @.
func (d Domains) Allow(address string) bool {
	domain := strings.TrimSuffix(address[strings.LastIndexByte(address, '@')+1:], ".")
	if plain, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = plain
	}
	labels := strings.Split(strings.ToLower(domain), ".")
	match := func(pattern string) bool { return matchLabels(strings.Split(pattern, "."), labels) }
	return !slices.ContainsFunc(d.Banned, match) && (len(d.Allowed) == 0 || slices.ContainsFunc(d.Allowed, match))
}

// matchLabels reports whether a pattern means a domain. A pattern has a few labels, and a domain 127 at most.
func matchLabels(pattern, labels []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(labels) == 0 || labels[0] == "" || pattern[0] != "*" && pattern[0] != labels[0] {
			return false
		}
		pattern, labels = pattern[1:], labels[1:]
	}
	if len(pattern) == 0 {
		return len(labels) == 0
	}
	for n := 1; n <= len(labels); n++ {
		if matchLabels(pattern[1:], labels[n:]) {
			return true
		}
	}
	return false
}
