package model

import "strings"

// The scope tokens that we know, in their stable and their older spelling (SCOPE-1..4).
const (
	ScopeAPI                  = "urn:matrix:client:api:*"
	ScopeAPIUnstable          = "urn:matrix:org.matrix.msc2967.client:api:*"
	ScopeDevicePrefix         = "urn:matrix:client:device:"
	ScopeDevicePrefixUnstable = "urn:matrix:org.matrix.msc2967.client:device:"
	ScopeSynapseAdmin         = "urn:synapse:admin:*"
)

// CompatScope is the scope of a compatibility session: the whole Client-Server API, with Synapse's
// administration API if admin.
func CompatScope(admin bool) string {
	if admin {
		return ScopeAPI + " " + ScopeSynapseAdmin
	}
	return ScopeAPI
}

// IntrospectedScope is the scope as the homeserver must see it: Synapse 1.136.0 knows only the older
// spelling of the API scope and refuses the stable one alone, so both are given whenever either is
// there (SYN-6). Device scopes are left to the device_id member.
func IntrospectedScope(scope string) string {
	api, admin, rest := false, false, ""
	for token := range strings.FieldsSeq(scope) {
		switch {
		case token == ScopeAPI, token == ScopeAPIUnstable:
			api = true
		case token == ScopeSynapseAdmin:
			admin = true
		case !isDeviceScope(token):
			rest += " " + token
		}
	}
	// Nearly every session is one of the first two, for which no string is built: this runs on each
	// request that the homeserver asks about.
	switch {
	case api && !admin && rest == "":
		return ScopeAPI + " " + ScopeAPIUnstable
	case api && admin && rest == "":
		return ScopeAPI + " " + ScopeAPIUnstable + " " + ScopeSynapseAdmin
	}
	if admin {
		rest = " " + ScopeSynapseAdmin + rest
	}
	if api {
		rest = " " + ScopeAPI + " " + ScopeAPIUnstable + rest
	}
	return strings.TrimPrefix(rest, " ")
}

// KnownScope tells the scope tokens that we grant or refuse. Others mean nothing to us (SCOPE-16).
func KnownScope(token string) bool {
	return token == ScopeAPI || token == ScopeAPIUnstable || token == ScopeSynapseAdmin || isDeviceScope(token)
}

func isDeviceScope(token string) bool {
	return strings.HasPrefix(token, ScopeDevicePrefix) || strings.HasPrefix(token, ScopeDevicePrefixUnstable)
}

// HasScope reports whether a scope holds a token, in whichever spelling either has it: both mean the same
// (SCOPE-3).
func HasScope(scope, token string) bool {
	kind, rest := splitScope(token)
	for t := range strings.FieldsSeq(scope) {
		if k, r := splitScope(t); k == kind && r == rest {
			return true
		}
	}
	return false
}

// splitScope returns the stable spelling of what a token is about, and the rest of it, without making a
// string.
func splitScope(token string) (kind, rest string) {
	if token == ScopeAPIUnstable {
		return ScopeAPI, ""
	}
	for _, prefix := range []string{ScopeDevicePrefix, ScopeDevicePrefixUnstable} {
		if id, ok := strings.CutPrefix(token, prefix); ok {
			return ScopeDevicePrefix, id
		}
	}
	return token, ""
}
