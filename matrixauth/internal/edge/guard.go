package edge

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// guardedFirst and guardedSecond are the first segments of the paths of the homeserver's API for us,
// /_synapse/mas. Its secret must not be tried from outside (SYN-14).
const (
	guardedFirst  = "_synapse"
	guardedSecond = "mas"
)

// isHidden reports whether a request target is none that may go on: one that leads to the homeserver's API
// for us, or one without a path, such as "x:a_synapse/mas/query_user". Go takes that for an address and a
// proxy sends what is behind the colon; Synapse cuts the first letter off whatever it be, and has its path.
// No client means such a target (RFC 9112 section 3.2).
func isHidden(target *url.URL) bool {
	return target.Opaque != "" || isGuarded(target.Path)
}

// isGuarded reports whether a path leads to the homeserver's API for us, or would after a later handler has removed a
// prefix: the two segments are looked for everywhere, and the first may have anything before it. Doubled slashes,
// dots, capitals and repeated escapes are resolved first, as others may resolve them too.
func isGuarded(p string) bool {
	p = unescapePath(p)
	if !mentionsSynapse(p) {
		return false
	}
	// With what dots take back, and without it: not everybody resolves them.
	return hasGuarded(p) || hasGuarded(path.Clean(p))
}

func hasGuarded(p string) bool {
	first := false
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." {
			continue
		}
		if first && strings.EqualFold(segment, guardedSecond) {
			return true
		}
		start := len(segment) - len(guardedFirst)
		first = start >= 0 && strings.EqualFold(segment[start:], guardedFirst)
	}
	return false
}

// mentionsSynapse reports whether a path may lead to the guarded API, at hardly any cost for those that
// do not.
func mentionsSynapse(p string) bool {
	for {
		i := strings.IndexByte(p, guardedFirst[0])
		if i < 0 || len(p)-i < len(guardedFirst) {
			return false
		}
		if p = p[i:]; strings.EqualFold(p[:len(guardedFirst)], guardedFirst) {
			return true
		}
		p = p[1:]
	}
}

// maxUnescape bounds how often a path is decoded.
const maxUnescape = 8

// unescapePath decodes a path that was decoded once until nothing is left to decode. Nearly all have no
// escape in them any more, and cost nothing.
func unescapePath(p string) string {
	for range maxUnescape {
		decoded := web.UnescapePath(p)
		if decoded == p {
			return p
		}
		p = decoded
	}
	return p
}

// checkedPaths are what the homeserver takes access tokens at: the client API, the older half of its
// content repository, and all that Synapse has of its own, the administration before all. They have no
// slash before them: the prefix that a later handler takes off may end anywhere.
var checkedPaths = []string{web.ClientAPIPath[1:], "_matrix/media/", guardedFirst + "/"}

// isChecked reports whether the gateway checks requests to a path, or would have after a handler behind ours
// has taken a prefix off.
func isChecked(p string) bool {
	p = unescapePath(p)
	if !strings.Contains(p, "_matrix") && !strings.Contains(p, "_synapse") {
		return false
	}
	return hasChecked(p) || hasChecked(path.Clean(p))
}

func hasChecked(p string) bool {
	for _, checked := range checkedPaths {
		if strings.Contains(p, checked) {
			return true
		}
	}
	return false
}

// withhold removes from a request that goes on what only browsers, we and the homeserver exchange: the cookies of our
// pages, with which any backend of the host could act as the person signed in, and the header by which the homeserver
// would trust a proxy's word on who the user is (NEW-13).
func withhold(r *http.Request) {
	web.StripCookies(r.Header)
	for name := range r.Header {
		if isUserIdentifier(name) {
			delete(r.Header, name)
		}
	}
}

// isUserIdentifier reports whether a header is X-Matrix-User-Identifier, in every spelling that somebody may take for it: there
// are servers to which an underscore in a header's name is a hyphen.
func isUserIdentifier(name string) bool {
	const wanted = "x-matrix-user-identifier"
	if len(name) != len(wanted) {
		return false
	}
	for i := range len(wanted) {
		c := name[i]
		switch {
		case c == '_':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != wanted[i] {
			return false
		}
	}
	return true
}
