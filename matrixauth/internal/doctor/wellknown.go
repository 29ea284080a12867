package doctor

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
)

const (
	wellKnownCheck = "well-known"
	// wellKnownPath is what the paths of RFC 8615 begin with, and clientPath where clients look that are given a
	// server name (C-S "Well-known URIs").
	wellKnownPath = "/.well-known/"
	clientPath    = wellKnownPath + "matrix/client"
)

// WellKnown follows the way of a client that is given only the server name. The document is read as
// a web client's browser reads it (DISC-21, DISC-22); what stricter readers refuse is told too.
func (d *Visit) WellKnown(ctx context.Context) {
	const check = wellKnownCheck
	where := "https://" + d.ServerName + clientPath
	change := fmt.Sprintf(`serve there {"m.homeserver":{"base_url":%q}} with the header Access-Control-Allow-Origin: *`, strings.TrimSuffix(d.Issuer, "/"))
	answer, obstacles, err := d.readAsPage(ctx, where)
	if err != nil {
		if !d.certificate(err, where) {
			d.bad(check, "unreachable", "clients that are given only the server name do not find this homeserver: "+explain(err), where, change)
		}
		return
	}
	d.named = true
	before := len(d.Findings)
	for _, o := range obstacles {
		d.bad(check, o.fault, o.what, o.where, o.change)
	}
	where = answer.at.String()
	switch {
	case isRedirect(answer.status) && len(obstacles) > 0:
		return // it leads to nothing that could be looked at
	case answer.status < 200 || answer.status > 299:
		d.bad(check, "missing", fmt.Sprintf("the document is not there (status %d)", answer.status), where, change)
		return
	case answer.body == nil:
		d.bad(check, "no-json", "the document is not a JSON object: "+answer.mistake.Error(), where, change)
		return
	}
	if answer.marked {
		d.bad(check, "byte-order-mark", "the document begins with a byte order mark, which browsers pass over and many other clients do not", where, "save it as UTF-8 without a byte order mark")
	}
	if answer.foreign {
		d.bad(check, "no-utf-8", "the document is not in UTF-8, which browsers pass over and many other clients do not", where, "save it as UTF-8")
	}
	if !answer.isJSON() {
		d.bad(check, "content-type", fmt.Sprintf("the document says that it is %q and not application/json, and not every client reads past that", answer.header.Get("Content-Type")), where, "header Content-Type application/json")
	}
	d.baseURL(ctx, answer, where, change)
	d.delegatedIssuer(answer, where)
	if len(d.Findings) == before {
		d.good(check, "%s leads to us", where)
	}
}

// baseURL goes where the document sends clients.
func (d *Visit) baseURL(ctx context.Context, document answer, where, change string) {
	const check = wellKnownCheck
	home, _ := document.body["m.homeserver"].(map[string]any)
	base, _ := home["base_url"].(string)
	if base == "" {
		d.bad(check, "base-url-missing", "the document has no base_url in m.homeserver", where, change)
		return
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.bad(check, "base-url-broken", fmt.Sprintf("its base_url %q is not an address of a site", withoutUser(base)), where, change)
		return
	}
	login, err := d.get(ctx, strings.TrimRight(base, "/"), d.at(compat.LoginEndpoint), "")
	if err != nil || !d.isOurLogin(login) {
		reason := ""
		if err != nil {
			reason = ": " + explain(err)
		}
		d.bad(check, "base-url", fmt.Sprintf("it sends clients to %s, where we do not answer%s", base, reason), where, change)
	}
}

// delegatedIssuer finds the name of another authentication service, which older clients go to.
func (d *Visit) delegatedIssuer(document answer, where string) {
	for _, name := range []string{"org.matrix.msc2965.authentication", "m.authentication"} {
		member, there := document.body[name]
		if !there {
			continue
		}
		object, _ := member.(map[string]any)
		issuer, _ := object["issuer"].(string)
		account, _ := object["account"].(string)
		change := fmt.Sprintf(`take %s out, or write {"issuer":%q,"account":%q}`, name, d.Public.URL, d.Public.URL+page.AccountPath)
		switch {
		case !sameSite(issuer, d.Public.URL):
			d.bad(wellKnownCheck, "stale-issuer", fmt.Sprintf("%s names another authentication service (%s), which older clients go to", name, withoutUser(issuer)), where, change)
		case account != "" && !sameSite(account, d.Public.URL+page.AccountPath):
			d.bad(wellKnownCheck, "stale-account", fmt.Sprintf("%s sends people who manage their account to %s", name, withoutUser(account)), where, change)
		}
	}
}

// sameSite compares addresses but for the slash at the end.
func sameSite(a, b string) bool {
	return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
}
