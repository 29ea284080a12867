package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
)

const routesCheck = "public routes"

// Routes asks the public address what clients ask, and tells our answers from Synapse's.
func (d *Visit) Routes(ctx context.Context) {
	const check = routesCheck
	issuer, err := url.Parse(d.Public.URL)
	if err != nil {
		d.bad(check, "issuer", err.Error(), "issuer", "write an address")
		return
	}
	origin := issuer.Scheme + "://" + issuer.Host
	const change = "let all of the site's requests pass matrix_auth before any reverse_proxy, also those of a proxy in front of Caddy"
	login, err := d.get(ctx, origin, d.at(compat.LoginEndpoint), "")
	if err != nil {
		if !d.certificate(err, origin) {
			d.bad(check, "unreachable", "the issuer's address cannot be reached: "+explain(err), "issuer "+d.Issuer, "see that its name resolves to this machine, and that its port is open")
		}
		return
	}
	if d.otherSignIns(ctx, issuer) {
		return
	}
	if !d.isOurLogin(login) {
		d.bad(check, "login", "GET "+d.at(compat.LoginEndpoint)+" is answered by somebody else", origin, change)
		return
	}
	logout, err := d.send(ctx, http.MethodPost, origin, d.at(compat.LogoutEndpoint), oauth.ProbePrefix+"logout")
	if err != nil || logout.status != http.StatusUnauthorized || logout.text("errcode") != "M_UNKNOWN_TOKEN" {
		d.bad(check, "logout", "POST "+d.at(compat.LogoutEndpoint)+" is answered by somebody else", origin, change)
		return
	}
	if metadata, err := d.get(ctx, origin, d.at(oauth.AuthMetadataEndpoint), ""); err != nil || metadata.text("token_endpoint") != d.Public.URL+oauth.TokenEndpoint.Path {
		d.bad(check, "auth-metadata", "auth_metadata, by which clients find the way to sign in, is answered by somebody else", origin, change)
		return
	}
	if own, err := d.get(ctx, origin, d.at(oauth.DiscoveryEndpoint), ""); err != nil || own.text("issuer") != d.Public.URL {
		d.bad(check, "discovery", "the discovery document at the issuer is not ours", d.Public.URL+oauth.DiscoveryEndpoint.Path, change)
		return
	}
	if well, err := d.webClients(ctx, origin); err != nil {
		d.bad(check, "unreachable", "the issuer's address cannot be reached: "+explain(err), "issuer "+d.Issuer, "see that its name resolves to this machine, and that its port is open")
	} else if well {
		d.good(check, "login, logout, auth_metadata and discovery at %s reach us, and web clients can read them", origin)
	}
}

// otherSignIns sees whether somebody on the way to us wants a sign-in of their own, or keeps clients out: in
// another proxy, which the configuration of this one does not show.
func (d *Visit) otherSignIns(ctx context.Context, issuer *url.URL) (found bool) {
	const check = routesCheck
	change := fmt.Sprintf("let clients pass there without it: all of /_matrix, and at the issuer's host %s, /%s, /%s and /%s",
		wellKnownPath, oauth.AuthorizationEndpoint.Path, oauth.APIPath, page.AccountPath)
	origin := issuer.Scheme + "://" + issuer.Host
	for _, sample := range SampleRequests(d.Issuer) {
		if sample.Method == http.MethodPost {
			continue // it would count, and meets nothing else than what browsers ask before it
		}
		what, where := "requests of clients such as "+sample.Method+" "+sample.Path, origin+sample.Path
		answer, err := d.send(ctx, sample.Method, origin, sample.Path, "")
		if err != nil {
			d.bad(check, "cut-off", what+" get no answer: "+explain(err), where, change)
			return true
		}
		target, err := issuer.Parse(answer.header.Get("Location"))
		elsewhere := isRedirect(answer.status) && (err != nil || target.Host != issuer.Host || target.Scheme != issuer.Scheme || !strings.HasPrefix(target.Path, issuer.Path))
		switch {
		case answer.text("errcode") != "" || answer.text("error") != "":
			continue // that is the API's own
		case answer.status == http.StatusUnauthorized, answer.status == http.StatusProxyAuthRequired:
			d.bad(check, "password", fmt.Sprintf("%s are asked for a password of another kind (status %d), and no client knows that", what, answer.status), where, change)
		case answer.status == http.StatusForbidden:
			d.bad(check, "forbidden", what+" are refused by somebody on the way", where, change)
		case elsewhere && target != nil && target.Scheme != issuer.Scheme && target.Host == issuer.Host:
			d.bad(check, "other-scheme", "the issuer is "+issuer.Scheme+", and the site sends clients on to "+target.Scheme, "issuer "+d.Issuer, "write the address at which the site answers")
		case elsewhere:
			d.bad(check, "redirected", what+" are sent elsewhere, as by a sign-in of another kind", where, change)
		default:
			continue
		}
		return true
	}
	return false
}

// Guard tries the homeserver's API for us from outside, with a secret that is none, also below a
// path that somebody on the way may take off. Our refusal is the only answer that is well: any other
// came from whom the guard is to keep strangers from, or says that it was not asked. Whoever is not let
// in at all by a proxy in front of us is well too.
func (d *Visit) Guard(ctx context.Context) {
	const check = "guard"
	issuer, err := url.Parse(d.Public.URL)
	if err != nil {
		return // Routes says so
	}
	origin := issuer.Scheme + "://" + issuer.Host
	for _, prefix := range []string{"", "/matrix-auth-doctor", "/matrix-auth-doctor%2F..%2F"} {
		path := prefix + homeserver.QueryUserPath + "?localpart=nobody"
		answer, err := d.get(ctx, origin, path, oauth.ProbePrefix+"secret")
		if err != nil {
			return // Routes says so
		}
		if errcode := answer.text("errcode"); answer.status == http.StatusNotFound && errcode == refusal || errcode == "" && (isRefusal(answer.status) || isRedirect(answer.status)) {
			continue
		}
		d.bad(check, "open", fmt.Sprintf("Synapse's API for us is open: %s is answered with status %d %s", path, answer.status, answer.text("errcode")), origin,
			"let all of the site's requests pass matrix_auth before any reverse_proxy, and take no path prefix off before it")
		return
	}
	d.good(check, "Synapse's API for us is closed at %s", origin)
}

// refusal is the errcode of our refusal at the edge. Synapse refuses a wrong secret with another.
const refusal = "M_UNRECOGNIZED"

// isRefusal reports whether a proxy keeps somebody from a path by a status.
func isRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusMethodNotAllowed
}

// isOurLogin reports whether this is our answer to GET /login: exactly the flows that we serve.
func (d *Visit) isOurLogin(a answer) bool {
	flows, ok := a.body["flows"].([]any)
	if !ok || a.status != http.StatusOK || len(flows) != 1 {
		return false
	}
	flow, ok := flows[0].(map[string]any)
	return ok && len(flow) == 1 && flow["type"] == "m.login.password"
}
