package synapseconfig

import (
	"fmt"
	"strings"
)

// Block returns the YAML that delegates Synapse's logins to endpoint, with LF line breaks. If secretPath is
// not empty the block names that file and secret is not used; else secret stands in the block.
func Block(endpoint, secret, secretPath string) string {
	lines := []string{
		keyMAS + ":",
		"  enabled: true",
		"  endpoint: " + quote(endpoint),
	}
	if secretPath != "" {
		lines = append(lines, "  secret_path: "+quote(secretPath))
	} else {
		lines = append(lines, "  secret: "+quote(secret))
	}
	return strings.Join(lines, "\n") + "\n"
}

// MaskedBlock is Block with the secret masked, if it stands in the block.
func MaskedBlock(endpoint, secretPath string) string { return Block(endpoint, mask, secretPath) }

// quote writes text as a double-quoted YAML scalar in printable ASCII, which every YAML reader takes alike.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02X`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
