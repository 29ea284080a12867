package grant

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const (
	api       = model.ScopeAPI
	apiOld    = model.ScopeAPIUnstable
	device    = model.ScopeDevicePrefix
	deviceOld = model.ScopeDevicePrefixUnstable
	admin     = model.ScopeSynapseAdmin
)

var scopeCases = map[string]struct{ asked, granted, device string }{
	"stable":                            {api + " " + device + "AAABBBCCCDDD", api + " " + device + "AAABBBCCCDDD", "AAABBBCCCDDD"},      // SCOPE-1
	"unstable, as older clients ask":    {apiOld + " " + deviceOld + "AAAA", apiOld + " " + deviceOld + "AAAA", "AAAA"},                  // SCOPE-3
	"both spellings of one device":      {api + " " + device + "A " + deviceOld + "A", api + " " + device + "A " + deviceOld + "A", "A"}, // SCOPE-4
	"openid is left out":                {"openid " + api + " " + device + "A", api + " " + device + "A", "A"},                           // SCOPE-8
	"what is yet to come is left out":   {api + " urn:matrix:client:rooms:is_joined " + device + "A", api + " " + device + "A", "A"},     // SCOPE-16
	"a token twice is granted once":     {api + " " + api + " " + device + "A", api + " " + device + "A", "A"},
	"a short device id":                 {api + " " + device + "A", api + " " + device + "A", "A"}, // SCOPE-6
	"a device id of 255":                {api + " " + device + strings.Repeat("x", 255), api + " " + device + strings.Repeat("x", 255), strings.Repeat("x", 255)},
	"administration beside a device":    {api + " " + admin + " " + device + "A", api + " " + admin + " " + device + "A", "A"},
	"administration without a device":   {api + " " + admin, api + " " + admin, ""},         // AMB-6
	"two devices":                       {api + " " + device + "A " + device + "B", "", ""}, // SCOPE-2
	"two devices in two spellings":      {api + " " + device + "A " + deviceOld + "B", "", ""},
	"no device":                         {api, "", ""},
	"no API":                            {device + "A", "", ""}, // SCOPE-12
	"nothing":                           {"", "", ""},
	"nothing that we know":              {"openid profile", "", ""},
	"an empty device":                   {api + " " + device, "", ""},
	"a device id of 256":                {api + " " + device + strings.Repeat("x", 256), "", ""},
	"a quotation mark":                  {api + " " + device + `A"`, "", ""}, // SCOPE-5
	"a backslash":                       {api + " " + device + `A\`, "", ""},
	"a letter beyond ASCII":             {api + " " + device + "Ä", "", ""},
	"a line break":                      {api + "\n" + device + "A", "", ""},
	"a device like a cross-signing key": {api + " " + device + strings.Repeat("A", 43), "", ""}, // SCOPE-17
	"a scope without end":               {api + " " + device + "A " + strings.Repeat("x ", 2000), "", ""},
}

func TestScope(t *testing.T) {
	for name, c := range scopeCases {
		t.Run(name, func(t *testing.T) {
			granted, id, err := parseScope(c.asked)
			if c.granted == "" {
				if model.AsError(err).Code != model.InvalidScope {
					t.Fatalf("got %q, %v, want invalid_scope", granted, err)
				}
				return
			}
			if err != nil || granted != c.granted || id != c.device {
				t.Errorf("got %q on %q, %v", granted, id, err)
			}
		})
	}
}

// FuzzScope holds what must be true of any scope: what is granted was asked for, holds the API and at
// most one device, and is granted again when it is asked for.
func FuzzScope(f *testing.F) {
	for _, c := range scopeCases {
		f.Add(c.asked)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		granted, id, err := parseScope(asked)
		if err != nil {
			if model.AsError(err).Code != model.InvalidScope || granted != "" {
				t.Fatalf("%q: %q, %v", asked, granted, err)
			}
			return
		}
		for token := range strings.FieldsSeq(granted) {
			if !model.HasScope(asked, token) {
				t.Fatalf("%q was granted and not asked for in %q", token, asked)
			}
			if scope, found, ok := model.FindScope(token); ok && scope.Device && found != id {
				t.Fatalf("%q grants %q beside %q", asked, found, id)
			}
		}
		if !strings.Contains(model.IntrospectedScope(granted), apiOld) {
			t.Fatalf("%q opens nothing at the homeserver", granted)
		}
		if again, sameID, err := parseScope(granted); err != nil || again != granted || sameID != id {
			t.Fatalf("%q became %q, %v", granted, again, err)
		}
	})
}
