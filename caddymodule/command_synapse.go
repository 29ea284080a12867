package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// delegation is what Synapse must know of this configuration.
func (s site) delegation() (matrixauth.Delegation, error) {
	d := matrixauth.Delegation{Endpoint: s.synapseEndpoint(), Secret: s.config.Secret}
	switch {
	case s.given.Matrix.SecretFile != "":
		path, err := caddy.NewReplacer().ReplaceOrErr(s.given.Matrix.SecretFile, true, true)
		if err != nil {
			return d, err
		}
		if d.SecretPath, err = filepath.Abs(path); err != nil {
			return d, err
		}
	case s.given.Matrix.Secret == "":
		d.SecretPath = s.secretFile
		secret, err := matrixauth.ReadSecret(s.secretFile)
		if errors.Is(err, os.ErrNotExist) {
			return d, fmt.Errorf("the secret is not generated yet (%s); start the server once", s.secretFile)
		}
		if err != nil {
			return d, err
		}
		d.Secret = secret
	}
	return d, nil
}

// synapseEndpoint is the address at which Synapse finds us: the internal listener, or the issuer if
// there is none.
func (s site) synapseEndpoint() string {
	if s.listenDefault {
		return "http://localhost:8080/"
	}
	if len(s.listen) == 0 {
		return strings.TrimSuffix(s.config.Issuer, "/") + "/"
	}
	host, port, err := net.SplitHostPort(s.listen[0])
	if err != nil {
		return "http://" + s.listen[0] + "/"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

func synapseConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "synapse-config", Short: "Prints the block for Synapse's homeserver.yaml", Args: cobra.NoArgs}
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		d, err := s.delegation()
		if err != nil {
			return err
		}
		var out strings.Builder
		out.WriteString(d.Block())
		out.WriteString("\n# These settings keep Synapse from starting beside the block and must go from homeserver.yaml:\n")
		for _, r := range matrixauth.SettingsToRemove() {
			fmt.Fprintf(&out, "#   %s: %s\n", r.Key, r.Why)
		}
		remark := "Synapse's user must be able to read " + d.SecretPath
		if d.SecretPath == "" {
			remark = "the block holds the secret itself; with secret_file in the Caddyfile it names a file instead"
		}
		if err := say(cmd.ErrOrStderr(), "%s", remark); err != nil {
			return err
		}
		return sayText(cmd.OutOrStdout(), out.String())
	})
	return cmd
}
