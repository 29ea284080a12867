package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestConsentHeadline: the heading says who asks. A name that is somebody else's address is not who asks.
func TestConsentHeadline(t *testing.T) { // AUTHZ-19, HTTP-9
	h := house.WithApp(t)
	b := h.SignedInAs("alice")
	for name, want := range map[string]string{
		"Element": "Element", "app.element.io": "app.example.org", "Element (https://app.element.io)": "app.example.org", "@admin:example.test": "app.example.org", "app.example.org": "app.example.org",
	} {
		id := h.Register(model.NewID(h.Clock.Now()), "", func(m *model.ClientMetadata) { m.Name = name })
		request := b.Request(house.Params(id))
		asked, login := b.Get(house.ConsentPath+"?request="+request), h.Browser().Get("/account/login?request="+request)
		if !strings.Contains(house.Shown(asked), "Continue to "+want+" ?") || !strings.Contains(asked.Body, "<title>Continue to "+want+"?") || !strings.Contains(house.Shown(login), "to continue to "+want) {
			t.Errorf("%s: %s\n%s", name, house.Shown(asked), house.Shown(login))
		}
		if want != name && strings.Contains(asked.Body+login.Body, name) {
			t.Errorf("%s is shown", name)
		}
		b.Consent(house.Params(id, "scope", house.DeviceScope("NEXT")))
		if text := house.Shown(b.Get("/account/")); want != name && strings.Contains(text, name) {
			t.Errorf("the account page shows %s", text)
		}
	}
}
