package model

import (
	"slices"
	"strings"
)

// The names of the grant types. GrantTypes says what each is.
const (
	GrantCode    = "authorization_code"
	GrantRefresh = "refresh_token"
)

// ResponseCode is the response type of authorization codes.
const ResponseCode = "code"

// GrantType is a row of the catalogue of grant types, the ways to get tokens (RFC 6749 section 1.3). The metadata,
// the rules of registration and the token endpoint read it.
type GrantType struct {
	// Name is the value of grant_type.
	Name string
	// ResponseType is the response type that leads to it: a client that registers for the one needs the other, and
	// redirect URIs. Empty for a grant type that no redirect leads to.
	ResponseType string
	// Unregistered reports whether a client may use it that did not register for it.
	Unregistered bool
	// Begins reports whether it begins a session, as a login does.
	Begins bool
}

// GrantTypes is the catalogue: every grant type that we have, in the order of the metadata.
var GrantTypes = []GrantType{
	{Name: GrantCode, ResponseType: ResponseCode, Begins: true},
	// A client that did not register for it may refresh too, as it was given a refresh token (TOK-4).
	{Name: GrantRefresh, Unregistered: true},
}

// DefaultGrantTypes are those of a client that registers and names none (REG-21).
var DefaultGrantTypes = []string{GrantCode}

// FindGrantType finds a grant type by its name.
func FindGrantType(name string) (GrantType, bool) {
	i := slices.IndexFunc(GrantTypes, func(g GrantType) bool { return g.Name == name })
	if i < 0 {
		return GrantType{}, false
	}
	return GrantTypes[i], true
}

// GrantTypeNames returns the names of all grant types.
func GrantTypeNames() (names []string) {
	for _, g := range GrantTypes {
		names = append(names, g.Name)
	}
	return names
}

// ResponseTypes returns the response types that lead to some grant types, each once. It is never nil.
func ResponseTypes(grantTypes []string) []string {
	types := []string{}
	for _, g := range GrantTypes {
		if g.ResponseType != "" && slices.Contains(grantTypes, g.Name) && !slices.Contains(types, g.ResponseType) {
			types = append(types, g.ResponseType)
		}
	}
	return types
}

// OneOf lists values for a person who must choose one: "a, b or c".
func OneOf[S ~string](values []S) string {
	var text strings.Builder
	for i, value := range values {
		switch {
		case i > 0 && i == len(values)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(value))
	}
	return text.String()
}
