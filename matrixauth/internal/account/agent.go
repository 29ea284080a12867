package account

import "strings"

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

// describeAgent says in a few words what browser a User-Agent header is of, so that people know theirs
// again. It is empty for one that nobody would know.
func describeAgent(agent string) string {
	find := func(names [][2]string) string {
		for _, name := range names {
			if strings.Contains(agent, name[0]) {
				return name[1]
			}
		}
		return ""
	}
	browser, system := find(browserNames), find(systemNames)
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + ", " + system
}
