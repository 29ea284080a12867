package caddymodule

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// readSecret reads a secret from a file that the configuration names. Links are followed: that is how
// containers hand secrets in. Its errors name the file and never its content.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, matrixauth.MaxSecret+1))
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	return matrixauth.ParseSecret(path, data)
}

func timeOf(d caddy.Duration) time.Duration { return time.Duration(d) }
