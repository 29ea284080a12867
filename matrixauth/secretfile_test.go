package matrixauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// TestSecretOfSynapse refuses the secrets that no header can bring to Synapse.
func TestSecretOfSynapse(t *testing.T) {
	for secret, ok := range map[string]bool{
		"correct-horse~battery!":     true,
		" trimmed-at-both-ends \r\n": true,
		"correct horse":              false,
		"correct\thorse":             false,
		"two\nlines":                 false,
		"schlüssel":                  false,
		"nul\x00":                    false,
	} {
		_, err := matrixauth.ParseSecret("secret", []byte(secret))
		if (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
