package client

import (
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// loopbackHosts are the only spellings of loopback that native clients may use (REG-13). Others, such
// as 127.1, mean the same to some parsers and something else to others.
var loopbackHosts = []string{"localhost", "127.0.0.1", "[::1]"}

// MatchRedirect reports whether a request may send its answer to uri. Addresses are compared as strings:
// whatever is normalised or parsed here and read in another way by a browser would let codes go astray
// (AUTHZ-4, RFC 9700 section 2.1). The one exception is the port of a native client's loopback
// address, as the system hands it out when the client starts (AUTHZ-5, RFC 8252 section 7.3).
func MatchRedirect(c model.Client, uri string) bool {
	if slices.Contains(c.Metadata.RedirectURIs, uri) {
		return true
	}
	if c.Metadata.ApplicationType != model.NativeApplication {
		return false
	}
	asked, ok := parseLoopback(uri)
	if !ok {
		return false
	}
	return slices.ContainsFunc(c.Metadata.RedirectURIs, func(registered string) bool {
		r, ok := parseLoopback(registered)
		return ok && r == asked
	})
}

// loopback is a loopback address without its port.
type loopback struct {
	host string
	// rest is path and query as they are written.
	rest string
}

// parseLoopback takes a loopback address apart without a parser: everything but the port is compared
// byte by byte.
func parseLoopback(uri string) (loopback, bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return loopback{}, false
	}
	for _, host := range loopbackHosts {
		rest, ok := strings.CutPrefix(after, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			if rest, ok = cutPort(port); !ok {
				return loopback{}, false
			}
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return loopback{}, false // localhost.evil.org
		}
		return loopback{host, rest}, true
	}
	return loopback{}, false
}

// cutPort cuts a port as systems write it: 1 to 65535, without zeros before it.
func cutPort(s string) (rest string, ok bool) {
	n, i := 0, 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if n = n*10 + int(s[i]-'0'); n == 0 || n > 65535 {
			return "", false
		}
	}
	return s[i:], i > 0
}
