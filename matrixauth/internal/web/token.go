package web

import (
	"net/http"
	"strings"
)

// TokenParam is the parameter that the Client-Server API allowed for access tokens until v1.19.
const TokenParam = "access_token"

// Bearer returns the access token of a request to a route of ours: the Authorization header, or else the
// query parameter. What the homeserver would read in a request that goes on to it is package gateway's
// business.
func Bearer(r *http.Request) (token string, ok bool) {
	return BearerOf(r.Header.Get("Authorization"), r.URL.RawQuery)
}

// BearerOf is Bearer for an Authorization header and a query that were taken from a request.
func BearerOf(authorization, query string) (token string, ok bool) {
	if token, ok = bearerIn(authorization); ok {
		return token, true
	}
	token, _ = FirstParam(query, TokenParam)
	return token, token != ""
}

// BearerHeader returns the token of the Authorization header alone (RFC 6750 section 2.1).
func BearerHeader(r *http.Request) (token string, ok bool) {
	return bearerIn(r.Header.Get("Authorization"))
}

func bearerIn(authorization string) (token string, ok bool) {
	scheme, token, found := strings.Cut(authorization, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token = strings.TrimSpace(token)
	return token, token != ""
}

// FirstParam returns the first value of a parameter in a query or form, read as Synapse's HTTP library
// does: a semicolon parts as an ampersand does, an item without "=" is none, an escape that is broken
// stays as it stands, and any number of items is read. A token that Synapse finds must not pass us
// unseen. name must be plain ASCII.
func FirstParam(form, name string) (value string, found bool) {
	for form != "" {
		item := form
		if i := strings.IndexAny(form, "&;"); i >= 0 {
			item, form = form[:i], form[i+1:]
		} else {
			form = ""
		}
		key, value, ok := strings.Cut(item, "=")
		// A key that is longer than all of the name's bytes escaped is another's, and not worth the look.
		if !ok || len(key) < len(name) || len(key) > 3*len(name) {
			continue
		}
		if unescape(key) == name {
			return unescape(value), true
		}
	}
	return "", false
}

// unescape undoes the encoding of forms, and lets stand what it cannot read.
func unescape(text string) string {
	return UnescapePath(strings.ReplaceAll(text, "+", " "))
}

// UnescapePath undoes the encoding of paths, and lets stand what it cannot read. It costs nothing where
// there is none.
func UnescapePath(text string) string {
	at := nextEscape(text, 0)
	if at < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	from := 0
	for ; at >= 0; at = nextEscape(text, from) {
		b.WriteString(text[from:at])
		b.WriteByte(unhex(text[at+1])<<4 | unhex(text[at+2]))
		from = at + 3
	}
	b.WriteString(text[from:])
	return b.String()
}

// nextEscape returns the index of the next escape at or behind from; -1 if there is none.
func nextEscape(text string, from int) int {
	for i := from; i+2 < len(text); i++ {
		if text[i] == '%' && isHex(text[i+1]) && isHex(text[i+2]) {
			return i
		}
	}
	return -1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a digit for which isHex holds.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}
