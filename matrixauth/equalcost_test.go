package matrixauth_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestEqualCost: a login that fails tells by nothing whether its account exists: same status, headers
// and body, same number of hashes and of queries (ENUM-1, PW-3, LEG-20, LEG-21, LEG-29).
func TestEqualCost(t *testing.T) {
	h := house.New(t, house.Unlimited)
	h.Add("alice", "gone", "locked")
	h.Login("alice", nil) // alice is known at the office, from which all of this comes
	known := h.Browser()
	known.SignIn("alice", "")
	house.Act(h, matrixauth.AddUser, matrixauth.NewUser{Localpart: "nopass", Email: "nopass@example.org"})
	house.Act(h, matrixauth.AddEmail, matrixauth.NameAndEmail{Name: matrixauth.Name{User: "alice"}, Email: "alice@example.org"})
	house.Act(h, matrixauth.DeactivateUser, matrixauth.Deactivation{Name: matrixauth.Name{User: "gone"}})
	house.Act(h, matrixauth.LockUser, matrixauth.Name{User: "locked"})
	h.Settle()
	name := func(user, clear string) string { return house.LoginBody(user, clear, nil) }
	email := func(address, clear string) string {
		return house.LoginBody("", clear, house.Object{"identifier": house.Object{"type": "m.id.thirdparty", "medium": "email", "address": address}})
	}
	long := strings.Repeat("p", 5000)
	for _, group := range []struct {
		name   string
		want   house.Cost
		bodies map[string]string
	}{
		{"a password", house.Cost{Hashes: 1, Statements: 3}, map[string]string{
			"known name":           name("alice", "wrong"),
			"unknown name":         name("nobody", "wrong"),
			"known full id":        name("@alice:"+house.ServerName, "wrong"),
			"unknown full id":      name("@nobody:"+house.ServerName, "wrong"),
			"id of another server": name("@alice:elsewhere.test", "wrong"),
			"right password of an id of another server": name("@alice:elsewhere.test", house.AlicesPassword),
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
		{"a password that is too long", house.Cost{Hashes: 0, Statements: 3}, map[string]string{
			"known name": name("alice", long), "unknown name": name("nobody", long), "without a password": name("nopass", long),
			"deactivated": name("gone", long), "known email": email("alice@example.org", long), "unknown email": email("nobody@example.org", long),
		}},
	} {
		var first *house.Answer
		for c, body := range group.bodies {
			// From where alice is known and from where nobody is, by the network and by the browser.
			for where, come := range map[string]house.Call{
				"": {}, "/known browser": {Header: known.CookieHeader()}, "/elsewhere": {IP: "203.0.113.77"},
				"/known browser elsewhere": {Header: known.CookieHeader(), IP: "203.0.113.77"}, "/nowhere": {IP: "@"},
			} {
				t.Run(group.name+"/"+c+where, func(t *testing.T) {
					come.Method, come.Path, come.Body = "POST", house.LoginPath, body
					a, spent := h.Measure(come)
					if spent != group.want {
						t.Errorf("it cost %+v, want %+v", spent, group.want)
					}
					if a.Status != http.StatusForbidden || a.Body != house.WrongPass {
						t.Errorf("got %d %s", a.Status, a.Body)
					}
					a.Header.Del("Date")
					if first == nil {
						first = &a
					}
					if !maps.EqualFunc(a.Header, first.Header, func(x, y []string) bool { return strings.Join(x, "\n") == strings.Join(y, "\n") }) {
						t.Errorf("headers differ: %v and %v", a.Header, first.Header)
					}
				})
			}
		}
	}
}
