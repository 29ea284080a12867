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
	// The two scopes that nearly every session has are answered without building a string: this
	// runs on each request that the homeserver asks about.
	switch scope {
	case ScopeAPI:
		return ScopeAPI + " " + ScopeAPIUnstable
	case ScopeAPI + " " + ScopeSynapseAdmin:
		return ScopeAPI + " " + ScopeAPIUnstable + " " + ScopeSynapseAdmin
	}
	out := make([]string, 0, 4)
	for _, token := range strings.Fields(scope) {
		switch {
		case token == ScopeAPI, token == ScopeAPIUnstable:
			out = append(out, ScopeAPI, ScopeAPIUnstable)
		case strings.HasPrefix(token, ScopeDevicePrefix), strings.HasPrefix(token, ScopeDevicePrefixUnstable):
		default:
			out = append(out, token)
		}
	}
	return strings.Join(out, " ")
}

// HasScope tells whether a scope holds a token.
func HasScope(scope, token string) bool {
	for t := range strings.FieldsSeq(scope) {
		if t == token {
			return true
		}
	}
	return false
}
