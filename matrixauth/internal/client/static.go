package client

import (
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// staticID is how a client of the configuration may be called: characters that no encoding changes, as
// the id stands in addresses and in Basic credentials (REG-28).
var staticID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,255}$`)

// anyScheme is the scheme of an absolute address.
var anyScheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):.`)

// CheckID returns what is wrong with the id of a client of the configuration; nothing if it is right.
func CheckID(id string) (problem string) {
	if !staticID.MatchString(id) {
		return "a client id has 1 to 255 letters, digits and . _ ~ - and nothing else"
	}
	return ""
}

// CheckURI returns what is wrong with the client_uri of a client of the configuration.
func CheckURI(uri string) (problem string) {
	scheme, host, problem := splitWeb(uri)
	if problem == "" && scheme != "https" && !slices.Contains(loopbackHosts, host) {
		return notHTTPS
	}
	return problem
}

// CheckRedirect returns what is wrong with a redirect URI of a client of the configuration. Its operator
// vouches for the client, so that any host and any scheme of an application will do (REG-36); what
// would send a code in clear, or to no application, will not.
func CheckRedirect(kind model.ApplicationType, uri string) (problem string) {
	switch {
	case !plain(uri):
		return notPlain
	case strings.Contains(uri, "#"):
		return hasFragment
	}
	parts := anyScheme.FindStringSubmatch(uri)
	if parts == nil {
		return "must be an absolute address"
	}
	switch scheme := strings.ToLower(parts[1]); {
	case scheme == "https" || scheme == "http":
		scheme, host, problem := splitWeb(uri)
		if problem == "" && scheme == "http" && !slices.Contains(loopbackHosts, host) {
			return notLoopback
		}
		return problem
	case model.IsBrowserScheme(scheme): // REG-35
		return "has a scheme that browsers open themselves"
	case kind != model.NativeApplication:
		return "must be https, as only native clients have schemes of their own"
	}
	return ""
}
