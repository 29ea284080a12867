package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Deactivate deactivates a user as an administrator of the homeserver does, without our knowledge.
func (s *Synapse) Deactivate(localpart string) {
	s.change(localpart, func(u *User) { s.delete(u, params{}) })
}

// Lock sets the homeserver's own lock of a user as an administrator of it does.
func (s *Synapse) Lock(localpart string, locked bool) {
	s.change(localpart, func(u *User) { u.Locked = locked })
}

// DeleteDevices deletes devices of a user as an administrator of the homeserver does.
func (s *Synapse) DeleteDevices(localpart string, ids ...string) {
	s.change(localpart, func(u *User) {
		for _, id := range ids {
			delete(u.Devices, id)
		}
	})
}

// AddDevice gives a user a device of which we know nothing, as an application service does.
func (s *Synapse) AddDevice(localpart, id string) {
	s.change(localpart, func(u *User) { s.upsertDevice(u, params{"device_id": id}) })
}

func (s *Synapse) change(localpart string, f func(*User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[localpart]; u != nil {
		f(u)
	}
}

// Remove makes the homeserver forget a user.
func (s *Synapse) Remove(localpart string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, localpart)
}

// Backup copies what the homeserver has; restore puts it in the place of what it has then, as a database
// that is restored from a backup does.
func (s *Synapse) Backup() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[string]User{}
	for name, u := range s.users {
		kept[name] = clone(u)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users = map[string]*User{}
		for name, u := range kept {
			one := clone(&u)
			s.users[name] = &one
		}
	}
}

const adminScope = "urn:synapse:admin:*"

// admin serves what there is of the administration API about one user.
func (s *Synapse) admin(r *http.Request) result {
	who, res := s.requester(r)
	if res != nil {
		return *res
	}
	if !slices.Contains(who.scope, adminScope) {
		return matrixError(http.StatusForbidden, "M_FORBIDDEN", "You are not a server admin")
	}
	rest := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), adminUsers), "/")
	for i := range rest {
		plain, err := url.PathUnescape(rest[i])
		if err != nil {
			return unrecognized
		}
		rest[i] = plain
	}
	localpart, server, ok := strings.Cut(strings.TrimPrefix(rest[0], "@"), ":")
	if !ok || !strings.HasPrefix(rest[0], "@") {
		return matrixError(http.StatusBadRequest, "M_INVALID_PARAM", "Expected UserID string to start with '@'")
	}
	if server != s.config.ServerName {
		return matrixError(http.StatusBadRequest, "M_UNKNOWN", "Can only look up local users")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[localpart]
	if u == nil {
		return noUser
	}
	switch {
	case len(rest) == 1:
		return s.adminUser(r, u)
	case len(rest) == 2 && rest[1] == "devices" && r.Method == http.MethodGet:
		return result{status: http.StatusOK, body: map[string]any{"devices": listDevices(u), "total": len(u.Devices)}}
	case len(rest) == 3 && rest[1] == "devices" && r.Method == http.MethodDelete:
		delete(u.Devices, rest[2])
		return done
	}
	return unrecognized
}

func (s *Synapse) adminUser(r *http.Request, u *User) result {
	if r.Method == http.MethodPut {
		var body struct{ Locked, Deactivated *bool }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return matrixError(http.StatusBadRequest, "M_NOT_JSON", "Content not JSON.")
		}
		if body.Deactivated != nil && *body.Deactivated {
			s.delete(u, params{})
		}
		if body.Locked != nil {
			u.Locked = *body.Locked
		}
	} else if r.Method != http.MethodGet {
		return unrecognized
	}
	return result{status: http.StatusOK, body: map[string]any{
		"name": "@" + u.Localpart + ":" + s.config.ServerName, "deactivated": u.Deactivated, "locked": u.Locked, "suspended": u.Suspended,
	}}
}

// listDevices returns the list of a user's devices in the form of both APIs.
func listDevices(u *User) []map[string]any {
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(u.Devices)) {
		list = append(list, map[string]any{
			"user_id": u.Localpart, "device_id": id, "display_name": u.Devices[id], "last_seen_ip": nil, "last_seen_ts": nil,
		})
	}
	return list
}
