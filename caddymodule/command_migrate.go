package caddymodule

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Moves a homeserver to this authentication server"}
	cmd.AddCommand(migrateMSC3861Command())
	return cmd
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
		planned, err := s.planMigration(cmd)
		if err != nil {
			return err
		}
		if err := s.mayTakeSecret(planned.Secret); err != nil {
			return err
		}
		if err := sayText(cmd.OutOrStdout(), planned.Diff); err != nil {
			return err
		}
		for _, note := range planned.Notes {
			if err := say(cmd.ErrOrStderr(), "note: %s", note); err != nil {
				return err
			}
		}
		if !write {
			return say(cmd.ErrOrStderr(), "nothing was written; run it again with --write")
		}
		if err := s.findsSecret(cmd); err != nil {
			return err
		}
		return s.migrate(cmd, planned)
	})
	return cmd
}

// planMigration reads Synapse's files and says what would change in them.
func (s site) planMigration(cmd *cobra.Command) (*matrixauth.Migration, error) {
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return nil, err
	}
	if len(files.paths) == 0 {
		return nil, errors.New("name Synapse's configuration with --synapse-config: each file and folder that Synapse is started with, in that order")
	}
	endpoint, err := endpointFlag(cmd)
	if err != nil {
		return nil, err
	}
	path, err := cmd.Flags().GetString("secret-path")
	if err != nil {
		return nil, err
	}
	return matrixauth.PlanMigration(files.paths, cmp.Or(endpoint, s.synapseEndpoint()), path)
}

// mayTakeSecret refuses a migration whose secret would not be ours afterwards, before anything is written.
func (s site) mayTakeSecret(secret string) error {
	if s.config.Secret == secret || s.ownsSecret() {
		return nil
	}
	option := "secret"
	if s.given.Matrix.SecretFile != "" {
		option = "secret_file"
	}
	return fmt.Errorf("%s: %s differs from the secret in Synapse's file; leave the option out, or give it the same secret", s.file, option)
}

// findsSecret refuses to write our secret where the running server does not look for it: the default place
// lies in the data directory of the server's user, which another user's command does not have. What the
// server's address was learned by is never opened.
func (s site) findsSecret(cmd *cobra.Command) error {
	if !s.ownsSecret() {
		return nil
	}
	operator, _, err := s.reachServer(cmd.Context(), cmd)
	if errors.Is(err, matrixauth.ErrNoServer) {
		return nil
	}
	if err != nil {
		return err
	}
	database := operator.Database()
	if err := operator.Close(); err != nil || database == s.database {
		return err
	}
	return fmt.Errorf("the running server keeps its secret in %s; name its database: --database %s", matrixauth.SecretFile(database), database)
}

// ownsSecret reports whether the secret is in our own generated file.
func (s site) ownsSecret() bool {
	return s.given.Matrix.Secret == "" && s.given.Matrix.SecretFile == ""
}

// migrate writes our secret first: a Synapse that was changed could not do without it.
func (s site) migrate(cmd *cobra.Command, planned *matrixauth.Migration) error {
	if s.ownsSecret() {
		if err := matrixauth.ReplaceSecret(s.secretFile, planned.Secret); err != nil {
			return err
		}
		if err := say(cmd.ErrOrStderr(), "our secret is now Synapse's, in %s; reload Caddy", s.secretFile); err != nil {
			return err
		}
	}
	written, backup, err := planned.Write()
	if err != nil {
		return err
	}
	return say(cmd.OutOrStdout(), "%s is written; the file as it was is %s", written, backup)
}
