package limit

import "net/netip"

// Network is the key by which a client address is limited: an IPv4 address, or the /64 of an IPv6
// one, as a customer gets a whole /64 (ENUM-4). What is no address stands for itself.
func Network(ip string) string { return within(ip, 64) }

// Site is what a customer may have at most: the /48 of an IPv6 address (RFC 6177 section 2). Any other is
// its own network.
func Site(ip string) string { return within(ip, 48) }

func within(ip string, bits int) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ip
	}
	return prefix.String()
}
