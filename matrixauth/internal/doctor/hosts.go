package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/compat"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/oauth"
)

const (
	// maxHosts bounds how many hosts are asked.
	maxHosts = 20
	// hostTimeout bounds what one of them may take: not every one that is configured can be reached.
	hostTimeout = 3 * time.Second
)

// Site is a site of the embedding server.
type Site struct {
	// Address is what clients write, such as https://example.com.
	Address string
	// Network and Listener are where the server listens for it. The site is asked there, whatever its name resolves to.
	Network, Listener string
}

// Hosts asks the server name's host, and the other sites of the embedding server, for Synapse's client API.
// A bogus token shows whether our Synapse is behind it: Synapse asks us about that very token. One that passes
// matrix_auth is well; past it, locked users and ended sessions go on, and clients may lose their keys.
func (d *Visit) Hosts(ctx context.Context) {
	const check = "other hosts"
	var sites []Site
	if d.named { // else clients do not get there either
		sites = append(sites, Site{Address: "https://" + d.ServerName})
	}
	if d.Sites != nil {
		sites = append(sites, d.Sites()...)
	}
	own, seen, bad := originOf(d.Issuer), map[Site]bool{}, false
	for _, site := range sites {
		if len(seen) == maxHosts || seen[site] || originOf(site.Address) == own {
			continue
		}
		seen[site] = true
		if d.leadsPast(ctx, site) {
			bad = true
			d.bad(check, "unguarded", "the client API at "+site.Address+" leads to Synapse past matrix_auth: locked users and ended sessions go on there for a while, and clients of live ones may lose their keys", site.Address,
				"write a bare matrix_auth in that site, before its reverse_proxy; a proxy of another kind must send these requests to this Caddy")
		}
	}
	if !bad {
		d.good(check, "no other host is known that leads to Synapse past matrix_auth")
	}
}

// leadsPast reports whether a site leads to our Synapse and not through us.
func (d *Visit) leadsPast(ctx context.Context, site Site) bool {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	at := d
	if site.Listener != "" {
		client := &http.Client{CheckRedirect: d.client.CheckRedirect, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, site.Network, site.Listener)
			},
			// Nothing but a bogus token goes to a listener of our own.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		}}
		at = &Visit{Config: d.Config, client: client}
	}
	login, err := at.get(ctx, site.Address, d.at(compat.LoginEndpoint), "")
	if err != nil || d.isOurLogin(login) {
		return false // nobody gets there, or all pass us
	}
	token := oauth.ProbePrefix + rand.Text()
	if _, err := at.get(ctx, site.Address, homeserver.WhoamiPath, token); err != nil {
		return false
	}
	_, asked := d.Probes.Find(token)
	return asked
}

// originOf returns scheme, host and port of an address, in one form for equal ones.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return rootOf(&url.URL{Scheme: u.Scheme, Host: u.Host}, strings.ToLower(u.Hostname()))
}
