package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
)

// pageOrigin is the origin of the web client in whose name the doctor asks: that of a stranger, as every
// web client is one to a homeserver.
const pageOrigin = "https://client.invalid"

// obstacle is what keeps a web page from an answer.
type obstacle struct{ fault, what, where, change string }

func obstructed(fault, what, where, change string) *obstacle {
	return &obstacle{fault, what, where, change}
}

const allowOrigin = "Access-Control-Allow-Origin"

// openUp is what an operator writes in the site that answers.
const openUp = "header " + allowOrigin + " *"

// maxRedirects is how many redirects a browser follows (Fetch, section 4.4).
const maxRedirects = 20

// readAsPage gets an address as a script of a web page does, by the standard Fetch: mode "cors", no
// credentials. It goes on where a browser stops, so that all obstacles are told at once; a page can read the
// answer only if there are none. An error means that nobody can.
func (d *Visit) readAsPage(ctx context.Context, address string) (got answer, found []*obstacle, err error) {
	at, err := url.Parse(address)
	if err != nil {
		return got, nil, err
	}
	origin := pageOrigin
	for hop := 0; ; hop++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
		if err != nil {
			return got, found, err
		}
		pageHeaders(request.Header, origin)
		if got, err = d.do(request); err != nil {
			return got, found, err
		}
		if o := checkCORS(got, origin); o != nil {
			found = append(found, o)
		}
		target := got.header.Get("Location")
		if !isRedirect(got.status) || target == "" {
			return got, found, nil
		}
		next, o := followRedirect(at, target, hop)
		if o != nil {
			return got, append(found, o), nil
		}
		if next.Scheme != at.Scheme || next.Host != at.Host {
			origin = "null" // whoever is led on by a stranger comes from nowhere (Fetch, section 4.4)
		}
		at = next
	}
}

func pageHeaders(h http.Header, origin string) {
	h.Set("Origin", origin)
	h.Set("Accept", "*/*")
	h.Set("Sec-Fetch-Mode", "cors")
	h.Set("Sec-Fetch-Site", "cross-site")
	h.Set("Sec-Fetch-Dest", "empty")
}

func isRedirect(status int) bool {
	return slices.Contains([]int{301, 302, 303, 307, 308}, status)
}

// checkCORS does the CORS check of Fetch, section 4.10, and a look at caches, which may give one web client
// the answer that was made for another.
func checkCORS(a answer, origin string) *obstacle {
	where := a.at.String()
	what := "the answer"
	if isRedirect(a.status) {
		what = "the redirect"
	}
	values := a.header.Values(allowOrigin)
	value := strings.Trim(strings.Join(values, ", "), " \t")
	switch {
	case value == "*":
		return nil
	case value == "":
		return obstructed("cors-missing", what+" lacks the header "+allowOrigin+", so browsers keep it from web clients", where, openUp)
	case len(values) > 1, strings.Contains(value, ","):
		return obstructed("cors-doubled", fmt.Sprintf("%s has %s more than once (%s), so browsers keep it from web clients", what, allowOrigin, value), where,
			"let it be set once; in front of what sets it already: header >"+allowOrigin+" *")
	case value != origin:
		return obstructed("cors-one-origin", fmt.Sprintf("%s lets only pages of %s read it, and people use other web clients too", what, value), where, openUp)
	case keeps(a.header) && !varies(a.header):
		return obstructed("cors-cached", what+" is made for one web client and lacks Vary: Origin, so that a cache gives it to another, which may not read it", where,
			openUp+", which is right for every web client; or header Vary Origin")
	}
	return nil
}

// keeps reports whether a cache may give an answer again without asking (RFC 9111 section 4.2).
func keeps(h http.Header) bool {
	control := strings.ToLower(strings.Join(h.Values("Cache-Control"), ","))
	fresh := h.Get("Expires") != "" || h.Get("Last-Modified") != ""
	for directive := range strings.SplitSeq(control, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return false
		case "max-age", "s-maxage":
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			fresh = err == nil && seconds > 0
		}
	}
	return fresh
}

func varies(h http.Header) bool {
	for name := range strings.SplitSeq(strings.Join(h.Values("Vary"), ","), ",") {
		if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Origin") {
			return true
		}
	}
	return false
}

// followRedirect returns where a redirect leads, or why a browser does not follow it.
func followRedirect(at *url.URL, target string, hop int) (*url.URL, *obstacle) {
	next, err := at.Parse(target)
	if err != nil || next.Host == "" || next.Scheme != "http" && next.Scheme != "https" || next.User != nil {
		return nil, obstructed("redirect-broken", "the redirect leads to what is not an address of a site", at.String(), "redir to an address that begins with https://")
	}
	if at.Scheme == "https" && next.Scheme == "http" && !trustedUnencrypted(next.Hostname()) {
		return nil, obstructed("redirect-insecure", "the redirect leads to "+next.Scheme+"://"+next.Host+", where nothing protects it, so browsers do not follow", at.String(),
			"redir to an address that begins with https://")
	}
	if hop >= maxRedirects {
		return nil, obstructed("redirect-endless", fmt.Sprintf("more than %d redirects follow one another", maxRedirects), at.String(), "answer there, in place of a redirect")
	}
	next.Fragment = ""
	return next, nil
}

// trustedUnencrypted reports whether a browser trusts a host without encryption.
func trustedUnencrypted(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost")
}

// preflight asks whether a page may make a request that is none of the simple ones: with a JSON body, or a
// token (Fetch, section 4.8).
func (d *Visit) preflight(ctx context.Context, address, method, header string) (found []*obstacle, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodOptions, address, nil)
	if err != nil {
		return nil, err
	}
	pageHeaders(request.Header, pageOrigin)
	request.Header.Set("Access-Control-Request-Method", method)
	request.Header.Set("Access-Control-Request-Headers", header)
	answer, err := d.do(request)
	if err != nil {
		return nil, err
	}
	where := "OPTIONS " + address
	if answer.status < 200 || answer.status > 299 {
		return []*obstacle{obstructed("preflight-refused", fmt.Sprintf("what a browser asks before a request of a web client is answered with status %d", answer.status), where,
			"let OPTIONS pass to matrix_auth, without a password")}, nil
	}
	if o := checkCORS(answer, pageOrigin); o != nil {
		o.where = where
		found = append(found, o)
	}
	allowed := strings.Split(strings.Join(answer.header.Values("Access-Control-Allow-Headers"), ","), ",")
	if !slices.ContainsFunc(allowed, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), header) }) {
		found = append(found, obstructed("preflight-header", "web clients may not send the header "+header, where, "take away what sets Access-Control-Allow-Headers in front of matrix_auth"))
	}
	return found, nil
}

// webClients sees that web clients may read what they need, as it comes through all proxies (LEG-5, LEG-6,
// DISC-12).
func (d *Visit) webClients(ctx context.Context, origin string) (well bool, err error) {
	var found []*obstacle
	for _, path := range []string{homeserver.VersionsPath, d.at(compat.LoginEndpoint), d.at(oauth.AuthMetadataEndpoint), d.at(oauth.DiscoveryEndpoint)} {
		answer, obstacles, err := d.readAsPage(ctx, origin+path)
		if err != nil {
			return false, err
		}
		if answer.status < http.StatusInternalServerError { // Synapse that is down is found elsewhere
			found = append(found, obstacles...)
		}
	}
	for _, ask := range []struct{ path, method, header string }{
		{d.at(compat.LoginEndpoint), http.MethodPost, "content-type"},
		{d.at(oauth.RegistrationEndpoint), http.MethodPost, "content-type"},
		{d.at(compat.LogoutEndpoint), http.MethodPost, "authorization"},
	} {
		obstacles, err := d.preflight(ctx, origin+ask.path, ask.method, ask.header)
		if err != nil {
			return false, err
		}
		found = append(found, obstacles...)
	}
	told := map[string]int{}
	for _, o := range found {
		if told[o.fault]++; told[o.fault] == 1 {
			d.bad(routesCheck, o.fault, o.what, o.where, o.change)
		}
	}
	return len(found) == 0, nil
}
