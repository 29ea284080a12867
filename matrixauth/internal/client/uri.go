package client

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// webURI takes an http or https address apart. It is stricter than any parser: no user name, no
// percent signs in the host, no other spelling of an address, so that no browser can read it in
// another way than we do.
var webURI = regexp.MustCompile(`^(https?)://([A-Za-z0-9.-]+|\[::1\])(:[0-9]{1,5})?([/?#].*)?$`)

// privateScheme is a URI scheme as RFC 3986 section 3.1 has it, in lower case.
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// numeric is a last label by which browsers take a host for an IPv4 address, whatever stands before it.
var numeric = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

const (
	notPlain     = "must be written in ASCII without spaces, its host in xn-- form"
	notHTTPS     = "must be an https address"
	hasUser      = "must not hold a user name or password"
	notBelow     = "must be on the host of client_uri or below it"
	hasFragment  = "must not have a fragment"
	notLoopback  = "must be https, or http on localhost, 127.0.0.1 or [::1]"
	notScheme    = "must have a scheme that begins with the labels of the client_uri host in reverse, such as com.example.app:/callback for https://example.com"
	hasAuthority = "must have a single slash or none behind its scheme, such as com.example.app:/callback"
)

// home is the host of client_uri. All other addresses of a client are checked against it.
type home struct {
	host string
	// loopback is a home for development: http is allowed there.
	loopback bool
}

// home reads a client_uri, or says what is wrong with it (REG-6).
func (c *Clients) home(uri string) (h home, problem string) {
	scheme, host, problem := splitWeb(uri)
	if problem != "" {
		return h, problem
	}
	if c.config.AllowHTTP && slices.Contains(loopbackHosts, host) {
		return home{host: host, loopback: true}, ""
	}
	switch labels := strings.Split(host, "."); {
	case scheme != "https":
		return h, notHTTPS
	case slices.Contains(labels, ""), host == "[::1]":
		return h, "must have a host name"
	case numeric.MatchString(labels[len(labels)-1]):
		return h, "must have a host name and not an IP address" // REG-34
	}
	// Below a public suffix everybody may have a host: "subdomain" would span strangers (REG-38). A name
	// without a dot is one too.
	if suffix, _ := publicsuffix.PublicSuffix(host); suffix == host {
		return h, "must not have a public suffix as its host, such as github.io"
	}
	return home{host: host}, ""
}

// splitWeb returns scheme and host of an http or https address. The host is in lower case and without
// the dot that may end it.
func splitWeb(uri string) (scheme, host, problem string) {
	if !plain(uri) {
		return "", "", notPlain
	}
	parts := webURI.FindStringSubmatch(uri)
	if parts == nil {
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			end := strings.IndexAny(rest+"/", "/?#")
			if strings.Contains(rest[:end], "@") {
				return "", "", hasUser
			}
		}
		return "", "", notHTTPS
	}
	return parts[1], strings.TrimSuffix(strings.ToLower(parts[2]), "."), ""
}

// contains reports whether a host is the home or below it, label by label: notexample.com is not below
// example.com (REG-7).
func (h home) contains(host string) bool {
	if h.loopback {
		return host == h.host
	}
	prefix, ok := strings.CutSuffix(host, h.host)
	if !ok {
		return false
	}
	return prefix == "" || strings.HasSuffix(prefix, ".") && !slices.Contains(strings.Split(strings.TrimSuffix(prefix, "."), "."), "")
}

// checkPage checks the address of a page of the client (REG-7).
func (h home) checkPage(uri string) (problem string) {
	scheme, host, problem := splitWeb(uri)
	switch {
	case problem != "":
		return problem
	case scheme != "https" && !h.loopback:
		return notHTTPS
	case !h.contains(host):
		return notBelow
	}
	return ""
}

// checkWeb checks the redirect URI of a web client (REG-8).
func (h home) checkWeb(uri string) (problem string) {
	if strings.Contains(uri, "#") {
		return hasFragment
	}
	return h.checkPage(uri)
}

// checkNative checks the redirect URI of a native client: an https address that the system gives to
// the client (REG-15), loopback (REG-13), or a scheme of its own (REG-10).
func (h home) checkNative(uri string) (problem string) {
	scheme, rest, ok := strings.Cut(uri, ":")
	switch {
	case !plain(uri):
		return notPlain
	case strings.Contains(uri, "#"):
		return hasFragment
	case strings.HasPrefix(uri, "https://"):
		return h.checkWeb(uri)
	case strings.EqualFold(scheme, "http"), strings.EqualFold(scheme, "https"):
		if _, ok := parseLoopback(uri); !ok {
			return notLoopback
		}
		return ""
	case !ok || rest == "" || !h.owns(scheme):
		return notScheme
	case strings.HasPrefix(rest, "//"): // REG-11
		return hasAuthority
	}
	return ""
}

// owns reports whether a scheme begins with the home's labels in reverse. Labels are compared, and not
// letters: com.examplefoo is not example.com's (REG-10). As a home has two labels or more, no scheme
// without a dot passes, and none that browsers run or open themselves (REG-12, REG-35). Systems
// compare schemes without regard to case, and so do we.
func (h home) owns(scheme string) bool {
	scheme = strings.ToLower(scheme)
	if h.loopback || !privateScheme.MatchString(scheme) {
		return false
	}
	labels, reversed := strings.Split(scheme, "."), strings.Split(h.host, ".")
	slices.Reverse(reversed)
	return len(labels) >= len(reversed) && slices.Equal(labels[:len(reversed)], reversed) && !slices.Contains(labels, "")
}

// plain reports whether a text has only characters that an address may be written with, percent signs
// before two hexadecimal digits included (RFC 3986 section 2). Others are read by every parser in its
// own way.
func plain(uri string) bool {
	for i := 0; i < len(uri); i++ {
		switch c := uri[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) >= 0:
		case c == '%' && i+2 < len(uri) && hex(uri[i+1]) && hex(uri[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
