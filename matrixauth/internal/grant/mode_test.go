package grant

import (
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// TestMode: a form is posted to web pages alone; the other modes go anywhere (AUTHZ-9).
func TestMode(t *testing.T) {
	const web, native = "https://app.example.org/callback", "org.example.app:/callback"
	for _, test := range []struct {
		asked, redirectURI string
		want               model.ResponseMode
		refused            bool
	}{
		{"", web, model.ModeQuery, false},
		{"", native, model.ModeQuery, false},
		{"query", native, model.ModeQuery, false},
		{"fragment", native, model.ModeFragment, false},
		{"fragment", web, model.ModeFragment, false},
		{"form_post", web, model.ModeFormPost, false},
		{"form_post", "http://127.0.0.1:8080/callback", model.ModeFormPost, false},
		{"form_post", native, model.ModeQuery, true},
		{"web_message", web, model.ModeQuery, true},
	} {
		mode, err := Ask{ResponseMode: test.asked}.Mode(test.redirectURI)
		if mode != test.want || (err != nil) != test.refused {
			t.Errorf("%q to %s: %s, %v", test.asked, test.redirectURI, mode, err)
		}
	}
}
