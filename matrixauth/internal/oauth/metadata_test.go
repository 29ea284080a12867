package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"
)

// TestMetadata: one document, wherever somebody looks for it.
func TestMetadata(t *testing.T) {
	for _, c := range []struct {
		name, issuer, base string
		public, inside     []string
	}{
		{
			"at the root", "https://" + house.IssuerHost, "https://" + house.IssuerHost + "/",
			[]string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
			[]string{"/.well-known/openid-configuration"},
		},
		{
			"under a path", "https://" + house.IssuerHost + "/auth", "https://" + house.IssuerHost + "/auth/", // DISC-10
			[]string{"/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth", "/.well-known/oauth-authorization-server/auth/",
				"/auth/.well-known/oauth-authorization-server"},
			[]string{"/.well-known/openid-configuration", "/auth/.well-known/openid-configuration"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := house.New(t, func(config *matrixauth.Config) { config.Issuer = c.issuer })
			want := strings.ReplaceAll(house.MetadataText(), house.Issuer, c.base)
			look := func(inside bool, paths ...string) {
				for _, path := range paths {
					a := h.Do(house.Call{Path: path, Inside: inside})
					if a.Status != http.StatusOK || a.Body != want { // DISC-9, DISC-23
						t.Errorf("%s: got %d %s", path, a.Status, a.Body)
					}
					if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" { // DISC-12
						t.Errorf("%s: Access-Control-Allow-Origin is %q", path, got)
					}
					if got := a.Header.Get("Cache-Control"); got != "public, max-age=600" || a.Header.Get("Pragma") != "" { // DISC-11
						t.Errorf("%s: Cache-Control is %q", path, got)
					}
				}
			}
			look(false, c.public...)
			look(true, c.inside...)
			look(false, house.EndpointNamed("auth_metadata").Paths...) // DISC-1, DISC-8
			for _, path := range house.EndpointNamed("auth_issuer").Paths {
				h.Do(house.Call{Path: path}).Shows(t, http.StatusOK, `{"issuer":"`+c.base+`"}`)
			}
			if h.Passed.Load() != 0 {
				t.Error("the homeserver was asked") // SYN-22
			}
			everyEndpointIsThere(t, h, want)
		})
	}
}

// everyEndpointIsThere walks what the document advertises (DISC-24).
func everyEndpointIsThere(t *testing.T, h *house.House, text string) {
	t.Helper()
	var document map[string]any
	h.Must(json.Unmarshal([]byte(text), &document))
	for name, value := range document {
		address, isText := value.(string)
		if !isText {
			continue
		}
		if !strings.HasPrefix(address, "https://") || strings.ContainsAny(address, "?#") { // DISC-6, DISC-15
			t.Errorf("%s is %q", name, address)
		}
		if name == "issuer" {
			continue
		}
		before := h.Passed.Load()
		method := http.MethodPost
		if name == "authorization_endpoint" || strings.HasSuffix(name, "account_management_uri") {
			method = http.MethodGet
		}
		if a := h.Do(house.Call{Method: method, Path: strings.TrimPrefix(address, "https://"+house.IssuerHost)}); h.Passed.Load() != before || a.Status == http.StatusNotFound || a.Status == http.StatusMethodNotAllowed {
			t.Errorf("%s: nothing is at %s: %d", name, address, a.Status)
		}
	}
	for name, needed := range map[string][]string{ // DISC-3
		"response_types_supported": {"code"}, "grant_types_supported": {"authorization_code", "refresh_token"},
		"response_modes_supported": {"query", "fragment"}, "code_challenge_methods_supported": {"S256"},
		"token_endpoint_auth_methods_supported": {"none"}, // DISC-19
	} {
		list, _ := document[name].([]any)
		for _, value := range needed {
			if !slices.Contains(list, any(value)) {
				t.Errorf("%s lacks %s", name, value)
			}
		}
		if slices.Contains(list, any("plain")) { // DISC-4
			t.Error("plain is advertised")
		}
	}
}

// TestOperatorsPages: the metadata names the operator's terms and policy where they were given, and nothing
// where they were not (DISC-20).
func TestOperatorsPages(t *testing.T) {
	for want, change := range map[string]house.Change{
		"https://example.org/terms https://example.org/privacy": func(c *matrixauth.Config) {
			c.Branding.Terms, c.Branding.Privacy = "https://example.org/terms", "https://example.org/privacy"
		},
		"<nil> <nil>": func(*matrixauth.Config) {},
	} {
		h := house.New(t, change)
		d := h.Do(house.Call{Path: "/.well-known/openid-configuration"}).Document(t)
		if got := fmt.Sprint(d["op_tos_uri"], " ", d["op_policy_uri"]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
