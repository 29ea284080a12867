package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestResolveClients replaces the placeholders of clients and reads their secrets, without a word of
// them in what goes wrong.
func TestResolveClients(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PORTAL_SECRET", secret)
	t.Setenv("PORTAL_SHORT", "hunter2")
	t.Setenv("PORTAL_FILE", file)
	t.Setenv("PORTAL_URI", "https://portal.example.com/callback")
	redirects := []string{"{env.PORTAL_URI}"}
	right := matrixauth.Client{ID: "portal", Secret: secret, RedirectURIs: []string{"https://portal.example.com/callback"}}
	for name, test := range map[string]struct {
		client  Client
		problem string
	}{
		"a_secret_of_the_environment":   {Client{ID: "portal", RedirectURI: redirects, Secret: "{env.PORTAL_SECRET}"}, ""},
		"a_secret_of_a_file":            {Client{ID: "portal", RedirectURI: redirects, SecretFile: "{env.PORTAL_FILE}"}, ""},
		"a_secret_of_a_file_by_name":    {Client{ID: "portal", RedirectURI: redirects, Secret: "{file." + file + "}"}, ""},
		"a_secret_that_is_nowhere":      {Client{ID: "portal", RedirectURI: redirects, Secret: "{env.NOWHERE}"}, "client portal secret: "},
		"a_file_that_is_nowhere":        {Client{ID: "portal", RedirectURI: redirects, SecretFile: file + "x"}, "client portal secret_file: "},
		"both":                          {Client{ID: "portal", RedirectURI: redirects, Secret: "x", SecretFile: file}, "client portal secret: "},
		"a_secret_that_turns_out_short": {Client{ID: "portal", RedirectURI: redirects, Secret: "{env.PORTAL_SHORT}"}, "client portal secret: must have"},
		"an_address_that_turns_out_bad": {Client{ID: "portal", RedirectURI: []string{"{env.PORTAL_FILE}"}, Secret: secret}, "client portal redirect_uri: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := Settings{Issuer: "https://matrix.example.com", Matrix: Homeserver{Homeserver: "example.com"}, Client: []Client{test.client}}
			r, err := s.resolve()
			if test.problem == "" {
				if diff := cmp.Diff([]matrixauth.Client{right}, r.config.Clients); diff != "" || err != nil {
					t.Errorf("(-want +got)\n%s %v", diff, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}
