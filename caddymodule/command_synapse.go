package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func synapseConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "synapse-config", Short: "Prints the block for Synapse's homeserver.yaml", Args: cobra.NoArgs}
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		s, d, err := s.delegationToPrint(cmd)
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
	if endpoint == "" && !s.synapseIsNear() && matrixauth.IsLoopback(hostOf(d.Endpoint)) {
		remarks = append(remarks, fmt.Sprintf("Synapse is at %s, from where %s may not lead here; name the address that does with --endpoint", s.config.Endpoint, d.Endpoint))
	}
	if d.SecretPath == "" {
		remarks = append(remarks, "the block holds the secret itself: nobody but Synapse's user should be able to read the file that it goes into; with secret_file in the Caddyfile it names a file instead")
		if mode := openOutput(cmd); mode != 0 {
			remarks = append(remarks, fmt.Sprintf("the file that it goes into now has mode %04o, so that everybody on this machine may read the secret: close it before Synapse is restarted", mode))
		}
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

// openOutput returns the mode of the file that standard output goes to, if everybody may read it; 0 otherwise.
func openOutput(cmd *cobra.Command) fs.FileMode {
	out, ok := cmd.OutOrStdout().(*os.File)
	if !ok {
		return 0
	}
	info, err := out.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0 {
		return 0
	}
	return info.Mode().Perm()
}

// obstacles returns what in Synapse's configuration must go before it takes the block: with file and line where
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

// delegationToPrint asks the running server if there is one, and makes our own secret if it is not there yet:
// Synapse may be set up before Caddy has run.
func (s site) delegationToPrint(cmd *cobra.Command) (site, matrixauth.Delegation, error) {
	operator, err := s.reachServer(cmd.Context(), cmd)
	if err == nil {
		err := s.fill(cmd.Context(), operator)
		d, failed := s.delegation(cmd.Context(), operator)
		return s, d, errors.Join(err, failed, operator.Close())
	}
	if !errors.Is(err, matrixauth.ErrNoServer) {
		return s, matrixauth.Delegation{}, err
	}
	d, err := s.delegation(cmd.Context(), nil)
	if !errors.Is(err, errNotGenerated) {
		return s, d, err
	}
	if err := s.mayKeepSecret(d.SecretPath); err != nil {
		return s, d, err
	}
	if d.Secret, err = matrixauth.EnsureSecret(d.SecretPath); err != nil {
		return s, d, err
	}
	return s, d, say(cmd.ErrOrStderr(), "the secret was generated, in %s", d.SecretPath)
}
