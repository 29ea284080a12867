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

// errNotGenerated says that there is no secret yet.
var errNotGenerated = errors.New("the secret is not generated yet")

// delegation is what Synapse must know of this configuration. live is the database of the running server,
// empty if none is known: beside it lies the secret if the server's user has another data directory than the
// one who runs the command. Its path is told then, and the file left alone.
func (s site) delegation(live string) (matrixauth.Delegation, error) {
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
		if errors.Is(err, os.ErrNotExist) && live != "" && live != s.database {
			d.SecretPath = matrixauth.SecretFile(live)
			return d, nil
		}
		if errors.Is(err, os.ErrNotExist) {
			return d, fmt.Errorf("%w (%s); start the server once", errNotGenerated, s.secretFile)
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
		d, err := s.delegation("")
		if errors.Is(err, errNotGenerated) {
			operator, _, failed := s.reachServer(cmd.Context(), cmd)
			switch {
			case failed == nil:
				d, err = s.delegation(operator.Database())
				err = errors.Join(err, operator.Close())
			case !errors.Is(failed, matrixauth.ErrNoServer):
				err = failed
			}
		}
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
