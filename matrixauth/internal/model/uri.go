package model

import (
	"slices"
	"strings"
)

// browserSchemes are the schemes whose addresses browsers run, or open themselves, instead of handing them to an
// application. A link or a form of ours that leads to one would run somebody else's script in our page, or show what
// looks like it.
var browserSchemes = []string{"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "view-source", "ws", "wss"}

// IsBrowserScheme reports whether browsers run addresses of a scheme, or open them themselves (REG-35). The web's own
// schemes, http and https, are none of these.
func IsBrowserScheme(scheme string) bool {
	return slices.Contains(browserSchemes, strings.ToLower(scheme))
}
