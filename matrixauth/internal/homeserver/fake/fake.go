// Package fake is a strict Synapse in memory, for tests of what calls `/_synapse/mas/*`. Every status,
// error code and effect that it has was seen at Synapse 1.136.0 and 1.163.2; package contract holds the
// cases that both it and they must pass.
package fake

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
)

// Config sets up a Synapse. Zero fields mean the defaults.
type Config struct {
	// ServerName is its server_name; the default is example.test.
	ServerName string
	// Secret is the one of its matrix_authentication_service section; the default is "secret".
	Secret string
	// Version is what it says to be and, where versions differ, does. The default is 1.163.2. One below
	// the floor lacks the API.
	Version homeserver.Version
	// NoDelegation leaves the section out, and with it the API.
	NoDelegation bool
	// Keys has its listener serve its signing keys too, and with them the server name.
	Keys bool
	// Exclusive is the prefix of localparts that an application service has for itself; the default is
	// "bridge_".
	Exclusive string
}

// Synapse is the homeserver, as an http.Handler. It is safe for concurrent use.
type Synapse struct {
	config Config

	mu       sync.Mutex
	endpoint string
	users    map[string]*User
	calls    []Call
	outage   func(http.ResponseWriter, *http.Request)
	lost     int
	gate     *Gate
}

// User is a user of the homeserver.
type User struct {
	Localpart string
	// DisplayName and AvatarURL are nil if there is none.
	DisplayName, AvatarURL *string
	// Emails are in canonical form, sorted.
	Emails      []string
	Locked      bool
	Suspended   bool
	Deactivated bool
	// Erased reports whether the user was deactivated with erase.
	Erased bool
	// CrossSigningResets counts the calls that allowed one.
	CrossSigningResets int
	// Devices holds the display names by device id; nil for a device without a name.
	Devices map[string]*string
}

// Call is a request that reached the homeserver and was answered.
type Call struct {
	// Op is the last segment of the path.
	Op     string
	Method string
	// Localpart and DeviceID are those of the query or the body, empty without.
	Localpart, DeviceID string
	// Body is the JSON body, nil without.
	Body map[string]any
	// Status is that of the answer.
	Status int
}

// New makes a homeserver without users.
func New(c Config) *Synapse {
	if c.ServerName == "" {
		c.ServerName = "example.test"
	}
	if c.Secret == "" {
		c.Secret = "secret"
	}
	if c.Version == (homeserver.Version{}) {
		c.Version = homeserver.Version{Major: 1, Minor: 163, Patch: 2}
	}
	if c.Exclusive == "" {
		c.Exclusive = "bridge_"
	}
	return &Synapse{config: c, users: map[string]*User{}}
}

// Seed puts a user there, in place of one of the same localpart.
func (s *Synapse) Seed(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seeded := clone(&u)
	s.users[u.Localpart] = &seeded
}

// Users lists all users by localpart.
func (s *Synapse) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []User
	for _, localpart := range slices.Sorted(maps.Keys(s.users)) {
		list = append(list, clone(s.users[localpart]))
	}
	return list
}

// User finds a user; ok is false for none.
func (s *Synapse) User(localpart string) (u User, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.users[localpart]
	if !ok {
		return User{}, false
	}
	return clone(found), true
}

// Devices lists the device ids of a user, sorted.
func (s *Synapse) Devices(localpart string) []string {
	u, _ := s.User(localpart)
	return slices.Sorted(maps.Keys(u.Devices))
}

// Calls lists the calls so far, or those of the given operations, in the order of their answers.
// Requests of an outage and those that were given up before an answer are not among them.
func (s *Synapse) Calls(ops ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return len(ops) > 0 && !slices.Contains(ops, c.Op) })
}

// ForgetCalls empties the list of calls.
func (s *Synapse) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func clone(u *User) User {
	c := *u
	c.Emails = slices.Clone(u.Emails)
	c.Devices = maps.Clone(u.Devices)
	if c.Devices == nil {
		c.Devices = map[string]*string{}
	}
	return c
}

// result is an answer before it is written.
type result struct {
	status int
	body   any
	// html is a page of the web server under Synapse; body is not used then.
	html bool
}

func matrixError(status int, errcode, text string) result {
	return result{status: status, body: map[string]string{"errcode": errcode, "error": text}}
}

var (
	done         = result{status: http.StatusOK, body: struct{}{}}
	created      = result{status: http.StatusCreated, body: struct{}{}}
	noContent    = result{status: http.StatusNoContent}
	noUser       = matrixError(http.StatusNotFound, "M_NOT_FOUND", "User not found")
	unrecognized = matrixError(http.StatusNotFound, "M_UNRECOGNIZED", "Unrecognized request")
)

// ServeHTTP answers as Synapse does on a listener for clients.
func (s *Synapse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Synapse, too, has a request in full before it begins. Here it also lets the server notice at a
	// gate that the caller is gone.
	data, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	if !s.pass(w, r) {
		return
	}
	if r.Method == http.MethodOptions {
		s.write(w, r, noContent)
		return
	}
	op, ours := strings.CutPrefix(r.URL.Path, "/_synapse/mas/")
	if !ours || s.config.NoDelegation || s.config.Version.Less(homeserver.MinVersion) {
		s.write(w, r, s.other(r))
		return
	}
	call := Call{Op: op, Method: r.Method}
	res := s.answer(r, &call)
	if s.settle(call, res) {
		panic(http.ErrAbortHandler)
	}
	s.write(w, r, res)
}

// other answers what does not belong to the API.
func (s *Synapse) other(r *http.Request) result {
	if r.URL.Path == "/_synapse/admin/v1/server_version" && r.Method == http.MethodGet {
		return result{status: http.StatusOK, body: map[string]string{"server_version": s.config.Version.String()}}
	}
	if s.config.Keys && r.URL.Path == "/_matrix/key/v2/server" && r.Method == http.MethodGet {
		return result{status: http.StatusOK, body: map[string]any{"server_name": s.config.ServerName, "verify_keys": map[string]any{}}}
	}
	if serve := s.tokenAPI(r); serve != nil {
		return serve()
	}
	return unrecognized
}

// settle records a call and reports whether its answer gets lost.
func (s *Synapse) settle(call Call, res result) (lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Status = res.status
	s.calls = append(s.calls, call)
	if s.lost == 0 {
		return false
	}
	s.lost--
	return true
}

func (s *Synapse) write(w http.ResponseWriter, r *http.Request, res result) {
	w.Header().Set("Server", "Synapse/"+s.config.Version.String())
	if res.html {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(res.status)
		_, _ = w.Write([]byte("<html><body><h1>No Such Resource</h1></body></html>"))
		return
	}
	if res.body == nil || r.Method == http.MethodHead {
		w.WriteHeader(res.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(res.status)
	_ = json.NewEncoder(w).Encode(res.body)
}
