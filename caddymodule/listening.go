package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// listenSubject returns what an address that cannot be opened is about.
func listenSubject(address string) string { return "internal_listen " + address }

// listen opens the listeners for the homeserver, or takes them over from the old configuration. Of
// the default addresses one may be missing, as not every machine has both families.
func (a *App) listen() error {
	for _, address := range a.settings.listen {
		l, err := acquireListener(address, portOfSite(a.sites(), address), http.HandlerFunc(a.serveInside), a.logger)
		if err != nil {
			return err
		}
		a.listeners = append(a.listeners, l)
	}
	a.excuseMissingDefault()
	var errs []error
	for _, l := range a.listeners {
		err := l.refused()
		if err != nil && !tolerable(listenSubject(l.server.address)) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, l := range a.listeners {
		if err := l.refused(); err != nil {
			a.tolerate(listenSubject(l.server.address), err)
			a.logger.Error("the homeserver cannot ask us at one address; it is tried until it is open", "error", err)
		}
		l.server.persist()
	}
	return nil
}

// excuseMissingDefault lets one of the default addresses be missing if the machine does not have it and the other one
// is open. It is tried all the same: IPv6 may come up later.
func (a *App) excuseMissingDefault() {
	if !a.settings.listenDefault {
		return
	}
	open, absent := 0, (*listener)(nil)
	for _, l := range a.listeners {
		switch err := l.refused(); {
		case err == nil:
			open++
		case errors.Is(err, errNoSuchAddress):
			absent = l
		}
	}
	if open > 0 && absent != nil {
		a.logger.Info("this machine has only one of the loopback addresses", "address", absent.server.address)
		absent.spare = true
	}
}

// checkPorts refuses addresses whose port a site needs.
func (a *App) checkPorts(sites *caddyhttp.App) error {
	var errs []error
	for _, address := range a.settings.listen {
		if site := portOfSite(sites, address); site != "" && !tolerable(listenSubject(address)) {
			errs = append(errs, fmt.Errorf("internal_listen: %w", siteConflict(address, site)))
		}
	}
	return errors.Join(errs...)
}

// serveInside answers the homeserver.
func (a *App) serveInside(w http.ResponseWriter, r *http.Request) {
	if inside := a.inside.Load(); inside != nil {
		(*inside).ServeHTTP(w, r)
		return
	}
	a.settings.config.UnreadyInside(w, r)
}

// notListening returns the addresses at which the homeserver should reach us and cannot.
func (a *App) notListening() []string {
	var addresses []string
	for _, l := range a.listeners {
		if l.refused() != nil {
			addresses = append(addresses, l.server.address)
		}
	}
	return addresses
}

// listenCheck is the name of a check.
const listenCheck = "internal listener"

// listenFindings returns a finding for each address for the homeserver: whether it is open.
func (a *App) listenFindings() []matrixauth.Finding {
	var findings []matrixauth.Finding
	var open []string
	for _, l := range a.listeners {
		if err := l.refused(); err != nil {
			findings = append(findings, matrixauth.Wrong(listenCheck, "closed", err.Error()+"; it is tried every "+lastPause.String(),
				"internal_listen "+l.server.address, "free the address, or write another one; if you do not know the program that has it, take a new secret, as Synapse tells the present one to whoever answers there"))
			continue
		}
		if l.server.isOpen() {
			open = append(open, l.server.address)
		}
	}
	if len(findings) == 0 && len(open) > 0 {
		findings = append(findings, matrixauth.Well(listenCheck, "Synapse can ask us at %s", strings.Join(open, " and ")))
	}
	return findings
}

// portOfSite returns the address of a site that needs the port of one of ours; empty if there is none. Ours
// would take it from the site, if it came first.
func portOfSite(sites *caddyhttp.App, address string) string {
	host, port, err := net.SplitHostPort(address)
	if sites == nil || err != nil {
		return ""
	}
	for _, server := range sites.Servers {
		for _, listen := range server.Listen {
			listen, err := caddy.NewReplacer().ReplaceOrErr(listen, true, true)
			if err != nil {
				continue // Caddy says so itself
			}
			site, err := caddy.ParseNetworkAddressWithDefaults(listen, "tcp", 0)
			if err != nil || !strings.HasPrefix(site.Network, "tcp") || !overlap(host, site.Host) {
				continue
			}
			for offset := range site.PortRangeSize() {
				if _, taken, err := net.SplitHostPort(site.JoinHostPort(offset)); err == nil && taken == port {
					return listen
				}
			}
		}
	}
	return ""
}

// overlap reports whether one port cannot be opened at both hosts.
func overlap(a, b string) bool {
	x, y := placeOf(a), placeOf(b)
	return x == "" || y == "" || x == y
}

// placeOf writes a host so that two of one place are equal: empty for all addresses, and localhost for every
// address of the loopback that is usual.
func placeOf(host string) string {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return strings.ToLower(host)
	}
	if ip.IsUnspecified() {
		return ""
	}
	return ip.Unmap().String()
}
