// Package contract holds the cases that a homeserver must pass for package homeserver to work with it.
// The same table judges the fake and real Synapses, so that the fake cannot drift from what it stands for.
package contract

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// Target is a homeserver with matrix_authentication_service enabled, and how to reach it. Its listener serves
// its signing keys too.
type Target struct {
	Endpoint   *url.URL
	Secret     string
	ServerName string
	// Version is what the homeserver must say to be.
	Version homeserver.Version
	// Exclusive is a localpart that an application service of the homeserver has for itself; empty if
	// there is none, and then its cases are left out.
	Exclusive string
	// Introspector is whom the homeserver asks about access tokens.
	Introspector *Introspector
}

// Run runs all cases. Each makes users of its own under random names, so that a homeserver can be judged
// more than once and by several tests at a time. It never skips. A Synapse with a new database must have
// ended its background updates: until then 1.157.1 and later answer reactivate_user with 500.
func Run(t *testing.T, target Target) {
	r := &run{Target: target, http: &http.Client{Transport: &http.Transport{}}, prefix: "c" + strings.ToLower(rand.Text()[:10])}
	t.Cleanup(r.http.CloseIdleConnections)
	r.client = homeserver.New(homeserver.Config{Endpoint: target.Endpoint, Secret: target.Secret, ServerName: target.ServerName, HTTP: r.http})
	version, err := r.client.Version(t.Context())
	if err != nil || version != target.Version {
		t.Fatalf("Version() = %v, %v; want %v", version, err, target.Version)
	}
	t.Run("wire", r.wire)
	t.Run("client", r.calls)
	t.Run("token", r.tokens)
}

type run struct {
	Target
	http   *http.Client
	client *homeserver.Client
	prefix string
}

// between is a version between the two that the cases are about.
var between = homeserver.Version{Major: 1, Minor: 150}

// modern reports whether the homeserver behaves as 1.163.2 does, or else as 1.136.0.
func (r *run) modern() bool { return !r.Version.Less(between) }

// reply is what came over the wire.
type reply struct {
	status int
	header http.Header
	body   string
}

// errcode returns the Matrix error code of a reply, empty without one.
func (p reply) errcode() string {
	var body struct{ Errcode string }
	if json.Unmarshal([]byte(p.body), &body) != nil {
		return ""
	}
	return body.Errcode
}

// exchange makes one HTTP request. An authorization of "-" is none.
func (r *run) exchange(t *testing.T, method, path, body, authorization string) reply {
	t.Helper()
	reference, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	address := r.Endpoint.JoinPath(reference.Path)
	address.RawQuery = reference.RawQuery
	req, err := http.NewRequestWithContext(t.Context(), method, address.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "-" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{status: res.StatusCode, header: res.Header, body: string(data)}
}

// name makes the localpart of a case's own user.
func (r *run) name(label string) string { return r.prefix + "-" + label }

// provision makes a user that a case needs.
func (r *run) provision(t *testing.T, p homeserver.ProvisionUser) {
	t.Helper()
	created, err := r.client.ProvisionUser(t.Context(), p)
	if err != nil || !created {
		t.Fatalf("ProvisionUser(%q) = %v, %v; want a new user", p.Localpart, created, err)
	}
}

// wantReason checks that an error is an Error of this reason and one of these error codes.
func wantReason(t *testing.T, err error, reason homeserver.Reason, errcodes ...string) {
	t.Helper()
	var e *homeserver.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v; want an *Error with reason %q", err, reason)
	}
	if e.Reason != reason || (len(errcodes) > 0 && !slices.Contains(errcodes, e.Errcode)) {
		t.Errorf("error is %v (%s); want reason %q, code one of %q", e, e.Errcode, reason, errcodes)
	}
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with makes a client that differs from the right one.
func (r *run) with(change func(*homeserver.Config)) *homeserver.Client {
	c := homeserver.Config{Endpoint: r.Endpoint, Secret: r.Secret, ServerName: r.ServerName, HTTP: r.http}
	change(&c)
	return homeserver.New(c)
}

// query reads a user.
func (r *run) query(t *testing.T, localpart string) homeserver.User {
	t.Helper()
	user, err := r.client.QueryUser(t.Context(), localpart)
	must(t, err)
	return user
}
