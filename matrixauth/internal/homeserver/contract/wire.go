package contract

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

const mas = "/_synapse/mas/"

// wireCase is one request as it goes over the wire. In path and body, USER is the localpart of an
// existing user with the device DEV, NEW one of nobody's.
type wireCase struct {
	name, method, path, body string
	// authorization is the header; empty means the right one, "-" none.
	authorization string
	status        int
	// errcode is the code in the answer; empty means none. old is that of 1.136.0 where it differs.
	errcode, old string
	// oldStatus is the status of 1.136.0 where it differs.
	oldStatus int
	// page says that the answer is not JSON.
	page bool
}

func (r *run) wire(t *testing.T) {
	user := r.name("wire")
	r.provision(t, homeserver.ProvisionUser{Localpart: user})
	for i, c := range r.wireCases() {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.client.UpsertDevice(t.Context(), user, "DEV", "")
			must(t, err)
			fill := strings.NewReplacer("USER", user, "NEW", r.name(fmt.Sprintf("new%d", i)))
			authorization := c.authorization
			if authorization == "" {
				authorization = "Bearer " + r.Secret
			}
			got := r.exchange(t, c.method, fill.Replace(c.path), fill.Replace(c.body), authorization)
			r.check(t, c, got)
		})
	}
}

func (r *run) check(t *testing.T, c wireCase, got reply) {
	t.Helper()
	status, errcode := c.status, c.errcode
	if !r.modern() && c.oldStatus != 0 {
		status, errcode = c.oldStatus, c.old
	} else if !r.modern() && c.old != "" {
		errcode = c.old
	}
	if got.status != status || got.errcode() != errcode {
		t.Errorf("%s %s %s: %d %q; want %d %q", c.method, c.path, c.body, got.status, got.body, status, errcode)
	}
	// Installed inside a git checkout, Synapse adds the branch to its version.
	server, isSynapse := strings.CutPrefix(got.header.Get("Server"), "Synapse/")
	if version, err := homeserver.ParseVersion(server); !isSynapse || err != nil || version != r.Version {
		t.Errorf("Server header is %q; want Synapse/%s", got.header.Get("Server"), r.Version)
	}
	if status == http.StatusNoContent {
		return
	}
	if json := strings.HasPrefix(got.header.Get("Content-Type"), "application/json"); json == c.page {
		t.Errorf("Content-Type is %q", got.header.Get("Content-Type"))
	}
}

// post, get make a case from an operation.
func post(name, op, body string, status int, errcode string) wireCase {
	return wireCase{name: name, method: http.MethodPost, path: mas + op, body: body, status: status, errcode: errcode}
}

func get(name, op, query string, status int, errcode string) wireCase {
	return wireCase{name: name, method: http.MethodGet, path: mas + op + query, status: status, errcode: errcode}
}

// as1136 returns the error code of 1.136.0, which another validation library chose.
func (c wireCase) as1136(errcode string) wireCase {
	c.old = errcode
	return c
}

// before1150 is for what 1.136.0 ignores.
func (c wireCase) before1150(status int) wireCase {
	c.oldStatus = status
	return c
}

func (c wireCase) by(authorization string) wireCase {
	c.authorization = authorization
	return c
}

func (c wireCase) asPage() wireCase {
	c.page = true
	return c
}

func (r *run) wireCases() (cases []wireCase) {
	cases = append(cases, doorCases()...)
	cases = append(cases, bodyCases()...)
	cases = append(cases, userCases()...)
	cases = append(cases, nameCases(r.ServerName)...)
	cases = append(cases, deviceCases()...)
	if r.Exclusive != "" {
		cases = append(cases,
			get("an_appservice's_name_is_not_available", "is_localpart_available", "?localpart="+r.Exclusive, 400, "M_EXCLUSIVE"),
			post("an_appservice's_name_is_not_given_out", "provision_user", `{"localpart":"`+r.Exclusive+`"}`, 400, "M_EXCLUSIVE"))
	}
	return cases
}
