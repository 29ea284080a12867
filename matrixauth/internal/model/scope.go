package model

import (
	"slices"
	"strings"
)

// The spellings of the scopes that we grant (SCOPE-1..4). Scopes says what each means.
const (
	ScopeAPI                  = "urn:matrix:client:api:*"
	ScopeAPIUnstable          = "urn:matrix:org.matrix.msc2967.client:api:*"
	ScopeDevicePrefix         = "urn:matrix:client:device:"
	ScopeDevicePrefixUnstable = "urn:matrix:org.matrix.msc2967.client:device:"
	ScopeSynapseAdmin         = "urn:synapse:admin:*"
)

// Scope is a row of the catalogue of scopes.
type Scope struct {
	// Token is the stable spelling, in which a scope is compared and remembered. That of a Device is a prefix,
	// which the device id follows.
	Token string
	// Aliases are older spellings that mean the same (SCOPE-3).
	Aliases []string
	// Required reports whether every request must ask for it (SCOPE-2).
	Required bool
	// Device reports whether it names the device of the session. Such a scope is another one at each sign-in: it is
	// left out of what a consent remembers, and of what metadata and introspection tell.
	Device bool
	// Deviceless reports whether a request for it may name no device (AMB-6).
	Deviceless bool
	// Admin reports whether it is only for accounts that may administer the homeserver, whose owner has just given
	// their password (SCOPE-13).
	Admin bool
	// Remembered reports whether a consent to it may stand for later requests (AUTHZ-18).
	Remembered bool
	// Text is the key of what the consent page says of it; empty for one that the page shows in another way.
	Text string
	// introspected are the spellings that the homeserver is told (SYN-6).
	introspected string
}

// Scopes is the catalogue: every scope that we grant, in the order in which the consent page tells of them. Any
// other means nothing to us (SCOPE-16).
var Scopes = []*Scope{scopeAPI, scopeDevice, scopeAdmin}

var (
	// Synapse 1.136.0 knows only the older spelling of the API scope and refuses the stable one alone (SYN-6).
	scopeAPI = &Scope{
		Token: ScopeAPI, Aliases: []string{ScopeAPIUnstable}, Required: true, Remembered: true, Text: "consent.scope.api",
		introspected: ScopeAPI + " " + ScopeAPIUnstable,
	}
	scopeDevice = &Scope{Token: ScopeDevicePrefix, Aliases: []string{ScopeDevicePrefixUnstable}, Device: true, Remembered: true}
	scopeAdmin  = &Scope{Token: ScopeSynapseAdmin, Deviceless: true, Admin: true, Text: "consent.scope.admin", introspected: ScopeSynapseAdmin}
)

// FindScope finds a scope token in the catalogue, whichever spelling it has. value is what follows the prefix of
// a Device.
func FindScope(token string) (found *Scope, value string, ok bool) {
	for _, s := range Scopes {
		if value, ok := s.match(token, s.Token); ok {
			return s, value, true
		}
		for _, alias := range s.Aliases {
			if value, ok := s.match(token, alias); ok {
				return s, value, true
			}
		}
	}
	return nil, "", false
}

func (s *Scope) match(token, spelling string) (value string, ok bool) {
	if s.Device {
		return strings.CutPrefix(token, spelling)
	}
	return "", token == spelling
}

// SupportedScopes returns the scopes that the metadata tells of, in every spelling. Those of devices have no end.
func SupportedScopes() (tokens []string) {
	for _, s := range Scopes {
		if !s.Device {
			tokens = append(append(tokens, s.Token), s.Aliases...)
		}
	}
	return tokens
}

// ScopesIn lists the scopes of the catalogue that a scope holds, each once.
func ScopesIn(scope string) (held []*Scope) {
	for _, s := range Scopes {
		if holds(scope, func(other *Scope) bool { return other == s }) {
			held = append(held, s)
		}
	}
	return held
}

// Administers reports whether a scope grants administration of the homeserver (SCOPE-13).
func Administers(scope string) bool { return holds(scope, func(s *Scope) bool { return s.Admin }) }

// Rememberable reports whether a consent to all of a scope may stand for later requests (AUTHZ-18).
func Rememberable(scope string) bool {
	return !holds(scope, func(s *Scope) bool { return !s.Remembered })
}

func holds(scope string, is func(*Scope) bool) bool {
	for token := range strings.FieldsSeq(scope) {
		if s, _, ok := FindScope(token); ok && is(s) {
			return true
		}
	}
	return false
}

// RememberedScope returns what a consent to a scope is remembered by: its tokens in their stable spelling, each once,
// without the device, which is another one at each sign-in.
func RememberedScope(scope string) string {
	var kept []string
	for token := range strings.FieldsSeq(scope) {
		if s, _, ok := FindScope(token); ok {
			if s.Device {
				continue
			}
			token = s.Token
		}
		if !slices.Contains(kept, token) {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, " ")
}

// CompatScope returns the scope of a compatibility session: the whole Client-Server API, with Synapse's
// administration API if admin.
func CompatScope(admin bool) string {
	if admin {
		return ScopeAPI + " " + ScopeSynapseAdmin
	}
	return ScopeAPI
}

// Of nearly every session the homeserver is told one of these two, for which no string is built: this runs on
// each request that it asks about.
var (
	introspectedAPI      = scopeAPI.introspected
	introspectedAPIAdmin = scopeAPI.introspected + " " + scopeAdmin.introspected
)

// IntrospectedScope returns the scope as the homeserver must see it: each scope in all the spellings that a version of
// Synapse looks for, whichever was granted (SYN-6). Devices are left to the device_id member; tokens that are not
// in the catalogue stay at the end.
func IntrospectedScope(scope string) string {
	api, admin, plain := false, false, true
	for token := range strings.FieldsSeq(scope) {
		s, _, _ := FindScope(token)
		api, admin = api || s == scopeAPI, admin || s == scopeAdmin
		plain = plain && (s == scopeAPI || s == scopeAdmin || s == scopeDevice)
	}
	switch {
	case api && plain && !admin:
		return introspectedAPI
	case api && plain:
		return introspectedAPIAdmin
	}
	var told []string
	for _, s := range Scopes {
		if s.introspected != "" && holds(scope, func(other *Scope) bool { return other == s }) {
			told = append(told, s.introspected)
		}
	}
	for token := range strings.FieldsSeq(scope) {
		if _, _, ok := FindScope(token); !ok {
			told = append(told, token)
		}
	}
	return strings.Join(told, " ")
}

// HasScope reports whether a scope holds a token, in whichever spelling either has it: both mean the same
// (SCOPE-3).
func HasScope(scope, token string) bool {
	asked, value, known := FindScope(token)
	for t := range strings.FieldsSeq(scope) {
		if s, v, ok := FindScope(t); known && ok && s == asked && v == value || !known && t == token {
			return true
		}
	}
	return false
}
