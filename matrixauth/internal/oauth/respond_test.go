package oauth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// FuzzAddress: whatever the state, the registered address stands at the front to the letter, nothing of
// the response breaks out of its parameter, and the state comes back as it was (AUTHZ-10, AUTHZ-11).
func FuzzAddress(f *testing.F) {
	redirects := []string{"https://app.example/cb", "https://app.example/cb?own=1", "https://app.example/cb?", "org.example.app:/cb", "http://127.0.0.1:49152/?a=b"}
	for i, state := range []string{"", "a b+c", "%zz", "x&code=evil", "#f", "a;b", "\r\nX-Evil: 1", "\x00\xff", "é\u202e", ":element-desktop-ssoid:x", "//evil.example/"} {
		f.Add(i, state, "AbC123", i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, which int, state, code string, fragment bool) {
		request := model.Redirect{RedirectURI: redirects[uint(which)%uint(len(redirects))], State: state, HasState: true, ResponseMode: model.ModeQuery}
		if fragment {
			request.ResponseMode = model.ModeFragment
		}
		door := &Door{Config: Config{Issuer: "https://auth.example/"}}
		got := address(request, door.complete(request, []field{{"code", code}}))
		response, ok := strings.CutPrefix(got, request.RedirectURI)
		if !ok {
			t.Fatalf("%q does not begin with %q", got, request.RedirectURI)
		}
		for _, c := range []byte(response) {
			if c <= ' ' || c > '~' || strings.IndexByte(`"<>\^{|}'`, c) >= 0 {
				t.Fatalf("%q holds %q", got, c)
			}
		}
		values, err := url.ParseQuery(strings.TrimLeft(response, "?#&"))
		if err != nil || len(values) != 3 || len(values["state"]) != 1 || values.Get("state") != state || values.Get("code") != code || values.Get("iss") != "https://auth.example/" {
			t.Fatalf("%q gives %v: %v", got, values, err)
		}
		if fragment != strings.Contains(response, "#") {
			t.Fatalf("%q has the wrong mode", got)
		}
		if strings.Contains(response, "+") {
			t.Fatalf("%q has a plus, which some read as a space", got)
		}
	})
}
