package matrixauth

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// TestEqualCost: a login that fails tells by nothing whether its account exists: same status, headers
// and body, same number of hashes and of queries (ENUM-1, PW-3, LEG-20, LEG-21, LEG-29).
func TestEqualCost(t *testing.T) {
	h := newHouse(t, unlimited)
	h.add("alice", "gone", "locked")
	h.login("alice", nil) // alice is known at the office, from which all of this comes
	known := h.guest()
	known.signIn("alice", "")
	act(h, AddUser, NewUser{Localpart: "nopass", Email: "nopass@example.org"})
	act(h, AddEmail, NameAndEmail{Name: Name{User: "alice"}, Email: "alice@example.org"})
	act(h, DeactivateUser, Deactivation{Name: Name{User: "gone"}})
	act(h, LockUser, Name{User: "locked"})
	h.settle()
	name := func(user, clear string) string { return loginBody(user, clear, nil) }
	email := func(address, clear string) string {
		return loginBody("", clear, object{"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": address}})
	}
	long := strings.Repeat("p", 5000)
	for _, group := range []struct {
		name   string
		want   cost
		bodies map[string]string
	}{
		{"a password", cost{1, 3}, map[string]string{
			"known name":           name("alice", "wrong"),
			"unknown name":         name("nobody", "wrong"),
			"known full id":        name("@alice:"+serverName, "wrong"),
			"unknown full id":      name("@nobody:"+serverName, "wrong"),
			"id of another server": name("@alice:elsewhere.test", "wrong"),
			"right password of an id of another server": name("@alice:elsewhere.test", alicesPassword),
			"without a password":                        name("nopass", "wrong"),
			"deactivated":                               name("gone", "wrong"),
			"locked":                                    name("locked", "wrong"),
			"known email":                               email("alice@example.org", "wrong"),
			"email without a password":                  email("nopass@example.org", "wrong"),
			"unknown email":                             email("nobody@example.org", "wrong"),
			"name that cannot be":                       name("' \r\n", "wrong"),
			"known name, no password":                   name("alice", ""),
			"unknown name, no password":                 name("nobody", ""),
		}},
		{"a password that is too long", cost{0, 3}, map[string]string{
			"known name": name("alice", long), "unknown name": name("nobody", long), "without a password": name("nopass", long),
			"deactivated": name("gone", long), "known email": email("alice@example.org", long), "unknown email": email("nobody@example.org", long),
		}},
	} {
		var first *answer
		for c, body := range group.bodies {
			// From where alice is known and from where nobody is, by the network and by the browser.
			for where, come := range map[string]call{
				"": {}, "/known browser": {header: known.cookieHeader()}, "/elsewhere": {ip: "203.0.113.77"},
				"/known browser elsewhere": {header: known.cookieHeader(), ip: "203.0.113.77"}, "/nowhere": {ip: "@"},
			} {
				t.Run(group.name+"/"+c+where, func(t *testing.T) {
					come.method, come.path, come.body = "POST", loginPath, body
					a, spent := h.measure(come)
					if spent != group.want {
						t.Errorf("it cost %+v, want %+v", spent, group.want)
					}
					if a.status != http.StatusForbidden || a.body != wrongPass {
						t.Errorf("got %d %s", a.status, a.body)
					}
					a.header.Del("Date")
					if first == nil {
						first = &a
					}
					if !maps.EqualFunc(a.header, first.header, func(x, y []string) bool { return strings.Join(x, "\n") == strings.Join(y, "\n") }) {
						t.Errorf("headers differ: %v and %v", a.header, first.header)
					}
				})
			}
		}
	}
}
