package model

import "testing"

func TestNetwork(t *testing.T) { // ENUM-4
	for ip, want := range map[string][2]string{
		"192.0.2.1":                 {"192.0.2.1", "192.0.2.1"},
		"::ffff:192.0.2.1":          {"192.0.2.1", "192.0.2.1"},
		"2001:db8:1:2:3:4:5:6":      {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:2:ffff:ffff::1": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"fe80::1%eth0":              {"fe80::/64", "fe80::/48"},
		"127.0.0.1":                 {"127.0.0.1", "127.0.0.1"},
		"":                          {"", ""},
		"@":                         {"@", "@"},
	} {
		if got := Network(ip); got != want[0] {
			t.Errorf("%s is limited as %s, want %s", ip, got, want[0])
		}
		if got := Site(ip); got != want[1] {
			t.Errorf("the site of %s is %s, want %s", ip, got, want[1])
		}
		place := want[0]
		if ip == "" || ip == "@" {
			place = ""
		}
		if got := Place(ip); got != place {
			t.Errorf("%s is known as %q, want %q", ip, got, place)
		}
	}
}
