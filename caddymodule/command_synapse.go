package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
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
		return s.printBlock(cmd, d)
	})
	synapseFlags(cmd)
	cmd.Flags().String("secret-path", "", "The path at which Synapse finds the file of the secret, if it is another there than here")
	return cmd
}

// printBlock prints the block alone to standard output, which can so become a file of Synapse's, and says to
// standard error what else is to be done.
func (s site) printBlock(cmd *cobra.Command, d matrixauth.Delegation) error {
	endpoint, err := endpointFlag(cmd)
	if err != nil {
		return err
	}
	d.Endpoint = cmp.Or(endpoint, d.Endpoint)
	path, err := cmd.Flags().GetString("secret-path")
	if err != nil {
		return err
	}
	d.SecretPath = cmp.Or(path, d.SecretPath)
	remarks, err := s.obstacles(cmd)
	if err != nil {
		return err
	}
	if endpoint == "" && !s.synapseIsNear() && isLoopback(hostOf(d.Endpoint)) {
		remarks = append(remarks, fmt.Sprintf("Synapse is at %s, from where %s may not lead here; name the address that does with --endpoint", s.config.Endpoint, d.Endpoint))
	}
	if d.SecretPath == "" {
		remarks = append(remarks, "the block holds the secret itself: nobody but Synapse's user should be able to read the file that it goes into; with secret_file in the Caddyfile it names a file instead")
	} else {
		remarks = append(remarks, "Synapse's user must be able to read "+d.SecretPath)
	}
	for _, remark := range remarks {
		if err := sayText(cmd.ErrOrStderr(), visibleLines(remark, "  ")+"\n"); err != nil {
			return err
		}
	}
	return sayText(cmd.OutOrStdout(), d.Block())
}

// obstacles says what in Synapse's configuration must go before it takes the block: with file and line where
// the files are known, else all that may be there.
func (s site) obstacles(cmd *cobra.Command) ([]string, error) {
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return nil, err
	}
	var remarks []string
	if len(files.paths) > 0 {
		found, err := matrixauth.FindObstacles(files.paths, s.config.ServerName)
		if err == nil {
			for _, o := range found {
				remarks = append(remarks, fmt.Sprintf("%s: %s\n%s", o.Where, o.What, o.Change))
			}
			if len(found) == 0 {
				remarks = append(remarks, "nothing in "+strings.Join(files.paths, ", ")+" must go")
			}
			return remarks, nil
		}
		if !files.found {
			return nil, err
		}
		remarks = append(remarks, "Synapse's configuration could not be looked at: "+err.Error())
	}
	lines := []string{"these settings keep Synapse from starting beside the block and must go from homeserver.yaml (with --synapse-config those that are there are named):"}
	for _, r := range matrixauth.SettingsToRemove() {
		lines = append(lines, r.Key+": "+r.Why)
	}
	return append(remarks, strings.Join(lines, "\n")), nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
