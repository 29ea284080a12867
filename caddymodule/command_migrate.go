package caddymodule

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func migrateCommand() *cobra.Command {
	return groupCommand("migrate", "Moves a homeserver to this authentication server", migrateMSC3861Command(), migrateSynapseCommand())
}

func migrateMSC3861Command() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "msc3861",
		Short: "Moves homeserver.yaml from experimental_features.msc3861 to this server, with the same secret",
		Args:  cobra.NoArgs,
	}
	synapseFlags(cmd)
	cmd.Flags().String("secret-path", "", "The file that holds the secret, as Synapse sees it; without it the new block has the secret as the old one had it")
	cmd.Flags().BoolVar(&write, "write", false, "Write the change after a backup copy; without it the change is only shown")
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		keeper, err := s.secretKeeper(cmd)
		if err != nil {
			return err
		}
		defer keeper.close() //nolint:errcheck // nothing is left to be done by then
		planned, err := keeper.planMigration(cmd)
		if err != nil {
			return err
		}
		if err := keeper.mayTake(planned.Secret); err != nil {
			return err
		}
		if err := showChange(cmd, planned); err != nil {
			return err
		}
		if !write {
			return say(cmd.ErrOrStderr(), "nothing was written; run it again with --write")
		}
		return keeper.migrate(cmd, planned)
	})
	return cmd
}

// errNoSynapseFiles says that nothing tells where Synapse's configuration is.
var errNoSynapseFiles = errors.New("name Synapse's configuration with --synapse-config: each file and folder that Synapse is started with, in that order")

// planMigration reads Synapse's files and says what would change in them.
func (k keeper) planMigration(cmd *cobra.Command) (*matrixauth.Migration, error) {
	f, err := k.synapseChange(cmd)
	if err != nil {
		return nil, err
	}
	return matrixauth.PlanMigration(f.paths, cmp.Or(f.endpoint, k.endpoint), f.secretPath)
}

// synapseChange is what flags say of a change of Synapse's configuration; the endpoint and the file are empty if they say none.
type synapseChange struct {
	paths                []string
	endpoint, secretPath string
}

func (s site) synapseChange(cmd *cobra.Command) (c synapseChange, err error) {
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return c, err
	}
	if c.paths = files.paths; len(c.paths) == 0 {
		return c, errNoSynapseFiles
	}
	if c.endpoint, err = endpointFlag(cmd); err != nil {
		return c, err
	}
	c.secretPath, err = cmd.Flags().GetString("secret-path")
	return c, err
}

// keeper keeps the secret of a site: the running server, or the file of one that will run.
type keeper struct {
	site
	// operator reaches the running server; nil without one.
	operator *matrixauth.Operator
	endpoint string
	// secret is the configured one; empty if the secret is our own.
	secret string
	// own is the file of our own secret.
	own string
}

func (k keeper) close() error {
	if k.operator == nil {
		return nil
	}
	return k.operator.Close()
}

// secretKeeper finds out who keeps the secret of a site, and in which file.
func (s site) secretKeeper(cmd *cobra.Command) (k keeper, err error) {
	k.site = s
	if k.operator, err = s.reachServer(cmd.Context(), cmd); err != nil && !errors.Is(err, matrixauth.ErrNoServer) {
		return k, err
	}
	d, err := s.delegation(cmd.Context(), k.operator)
	if err != nil && !errors.Is(err, errNotGenerated) {
		return k, errors.Join(err, k.close())
	}
	k.endpoint = d.Endpoint
	generated := s.raw != nil && s.ownsSecret()
	if k.operator != nil && s.raw == nil {
		told, err := matrixauth.TellInstance.Do(cmd.Context(), k.operator, struct{}{})
		if err != nil {
			return k, errors.Join(err, k.close())
		}
		generated = told.SecretGenerated
	}
	if k.own = d.SecretPath; !generated {
		k.own, k.secret = "", d.Secret
	}
	return k, nil
}

// mayTake refuses a migration whose secret would not be ours afterwards, before anything is written.
func (k keeper) mayTake(secret string) error {
	if k.own != "" || k.secret == secret {
		return nil
	}
	option := "secret"
	if k.given.Matrix.SecretFile != "" {
		option = "secret_file"
	}
	return fmt.Errorf("%s: %s differs from the secret in Synapse's file; leave the option out, or give it the same secret", k.file, option)
}

// migrate writes our secret first: a Synapse that was changed could not do without it.
func (k keeper) migrate(cmd *cobra.Command, planned *matrixauth.Migration) error {
	if k.own != "" {
		if err := k.take(cmd, planned.Secret); err != nil {
			return err
		}
	}
	return writeChange(cmd, planned)
}

// take puts Synapse's secret in the place of ours. A running server does it itself: what it says of its
// files may be shown, and root must not be led by it to write (KEY-14).
func (k keeper) take(cmd *cobra.Command, secret string) error {
	if k.operator != nil {
		if _, err := matrixauth.TakeSecret.Do(cmd.Context(), k.operator, matrixauth.SharedSecret{Secret: secret}); err != nil {
			return err
		}
		return say(cmd.ErrOrStderr(), "our secret is now Synapse's, in %s; reload Caddy", k.own)
	}
	if err := k.mayKeepSecret(k.own); err != nil {
		return err
	}
	if err := matrixauth.ReplaceSecret(k.own, secret); err != nil {
		return err
	}
	return say(cmd.ErrOrStderr(), "our secret is now Synapse's, in %s", k.own)
}
