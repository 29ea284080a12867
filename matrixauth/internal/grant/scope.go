package grant

import (
	"slices"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/session"
)

func invalidScope(text string) error {
	return model.Errorf(model.InvalidScope, "%s", text)
}

// parseScope returns which of the asked scope tokens can be granted, in the spelling and order in which
// they were asked for (SCOPE-4), and the device among them. Tokens that we do not know are left out:
// clients ask for "openid" and for what is yet to come (SCOPE-8, SCOPE-16). Without a device there is a
// session only for administration (SCOPE-2, AMB-6). Errors are InvalidScope.
func parseScope(asked string) (granted, deviceID string, err error) {
	if len(asked) > bound.ScopeLength {
		return "", "", invalidScope("the scope is too long")
	}
	if !scopeSyntax(asked) {
		return "", "", invalidScope("the scope holds characters that no scope has")
	}
	var kept []string
	deviceless := false
	for token := range strings.FieldsSeq(asked) {
		scope, value, known := model.FindScope(token)
		switch {
		case !known:
			continue
		case scope.Device && deviceID != "" && value != deviceID:
			return "", "", invalidScope("the scope names two devices")
		case scope.Device:
			if err := checkDevice(value); err != nil {
				return "", "", err
			}
			deviceID = value
		}
		deviceless = deviceless || scope.Deviceless
		if !slices.Contains(kept, token) {
			kept = append(kept, token)
		}
	}
	for _, scope := range model.Scopes {
		if scope.Required && !slices.ContainsFunc(kept, func(token string) bool { return model.HasScope(scope.Token, token) }) {
			return "", "", invalidScope("the scope must hold " + scope.Token)
		}
	}
	if deviceID == "" && !deviceless {
		return "", "", invalidScope("the scope must name a device: " + model.ScopeDevicePrefix + "<device id>")
	}
	return strings.Join(kept, " "), deviceID, nil
}

// scopeSyntax holds RFC 6749 section 3.3: printable ASCII but for the quotation mark and the backslash
// (SCOPE-5).
func scopeSyntax(scope string) bool {
	for _, c := range []byte(scope) {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func checkDevice(id string) error {
	if id == "" {
		return invalidScope("the scope names an empty device")
	}
	if err := session.CheckDevice(id); err != nil {
		return invalidScope(err.Error())
	}
	return nil
}
