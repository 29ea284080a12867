package matrixauth_test

import (
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/testkit/house"

	"github.com/google/go-cmp/cmp"
)

func TestConfigOfClients(t *testing.T) {
	good := matrixauth.Client{ID: "portal", RedirectURIs: []string{"https://portal.example.com/cb"}}
	config := matrixauth.Config{ServerName: house.ServerName, Issuer: house.Issuer, Clients: []matrixauth.Client{
		good, good,
		{ID: "a b", AuthMethod: "client_secret_jwt", ApplicationType: "x", Secret: "short", URI: "http://x.example", RedirectURIs: []string{"https://u:hunter2@x.example/"}},
	}}.WithDefaults()
	var got []string
	for _, p := range config.Validate() {
		got = append(got, p.Error())
	}
	want := []string{
		`client portal: is there twice`,
		`client a b: a client id has 1 to 255 letters, digits and . _ ~ - and nothing else`,
		`client a b application_type: "x" is not known; write web or native`,
		`client a b auth_method: "client_secret_jwt" is not known; write none, client_secret_basic or client_secret_post`,
		`client a b secret: must have 16 characters or more`,
		`client a b redirect_uri: the address must not hold a user name or password`,
		`client a b uri: "http://x.example" must be an https address`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
