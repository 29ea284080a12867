package account

import (
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// browserNames and systemNames are looked for in this order: many browsers call themselves by the names
// of others too.
var (
	browserNames = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systemNames = [][2]string{
		{"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// browserToken begins the User-Agent headers of browsers, whose own names come later in it.
const browserToken = "Mozilla/"

// maxProduct bounds the name that a program gives itself, in characters.
const maxProduct = 40

// describeAgent returns in a few words what browser or program a User-Agent header is of, so that people
// know theirs again: "Firefox, Linux", "matrix-nio/0.26". It is empty for one that nobody would know.
func describeAgent(agent string) string {
	name, system := product(agent), nameIn(agent, systemNames)
	if name == "" || system == "" {
		return name + system
	}
	return name + ", " + system
}

// browserOf is describeAgent for what a stranger may have done, in mails and on pages: it knows browsers alone, as what programs
// call themselves is a stranger's word (MAIL-11).
func browserOf(agent string) string {
	if !strings.HasPrefix(agent, browserToken) {
		return ""
	}
	return describeAgent(agent)
}

// product returns the browser's name, or what a program calls itself before the comment of its header (RFC
// 9110 section 10.1.5). It is a stranger's word.
func product(agent string) string {
	if strings.HasPrefix(agent, browserToken) {
		return nameIn(agent, browserNames)
	}
	before, _, _ := strings.Cut(agent, "(")
	name := model.PlainText(before)
	if all := []rune(name); len(all) > maxProduct {
		return strings.TrimSpace(string(all[:maxProduct])) + "…"
	}
	return name
}

func nameIn(agent string, names [][2]string) string {
	for _, name := range names {
		if strings.Contains(agent, name[0]) {
			return name[1]
		}
	}
	return ""
}
