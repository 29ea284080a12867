package model

import (
	"net/netip"
	"strings"
)

// Network returns what an address is limited and known by: an IPv4 address, or the /64 of an IPv6 one, as a
// customer gets a whole /64 (ENUM-4). What is not an address stands for itself.
func Network(ip string) string {
	if place := within(ip, 64); place != "" {
		return place
	}
	return ip
}

// Site returns what a customer may have at most: the /48 of an IPv6 address (RFC 6177 section 2). Any other is
// its own network.
func Site(ip string) string {
	if place := within(ip, 48); place != "" {
		return place
	}
	return ip
}

// Place returns the network of an address, and empty for what is not an address: nobody is known by that.
func Place(ip string) string { return within(ip, 64) }

func within(ip string, bits int) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// IsLoopback reports whether a host, by name or address and without a port, is this machine by its loopback.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
