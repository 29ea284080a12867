package caddymodule

import (
	"context"
	"errors"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// command is "caddy matrix-auth …".
var command = caddycmd.Command{
	Name:  "matrix-auth",
	Short: "Manages the accounts and sessions of the Matrix authentication server",
	Long: `Manages the accounts and sessions of the Matrix authentication server.

The commands find the configuration in --config, or else in ./Caddyfile or
/etc/caddy/Caddyfile. They act through the running server if there is one, and
on its database otherwise. Results go to standard output, all else to standard
error.

Exit codes: 0 done (and for the doctor: nothing wrong), 1 anything else, 130
interrupted; "migrate synapse" has others too.`,
	CobraFunc: func(root *cobra.Command) {
		root.PersistentFlags().StringP("config", "c", "", "Configuration file (default: ./Caddyfile, then /etc/caddy/Caddyfile)")
		root.PersistentFlags().StringP("adapter", "a", "", "Name of the config adapter, if the file is not a Caddyfile or JSON")
		root.PersistentFlags().String("database", "", "Database file, in place of the configured one")
		root.PersistentFlags().String("service-user", "", "User (name or id) that the server runs as, if caddy.service does not say it and it is not caddy")
		root.PersistentFlags().StringSlice("envfile", nil, "File of variables that the configuration uses, as of caddy run")
		root.PersistentFlags().BoolP("verbose", "v", false, "Let Caddy say what it says while it reads the configuration")
		root.AddCommand(userCommand(), sessionCommand(), clientCommand(), consentCommand(), tokenCommand(), outboxCommand(), registrationTokenCommand(), registrationCommand(), keyCommand(), mailCommand(), synapseConfigCommand(), doctorCommand(), migrateCommand(),
			auditCommand(), backupCommand(), restoreCommand(), forgetCommand(), versionCommand())
		asGroup(root)
		explainUsage(root)
		completeWords(root)
	},
}

// operatorCommand makes a command that reaches the database.
func operatorCommand(use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	cmd.RunE = siteRun(func(cmd *cobra.Command, args []string, found site) error {
		operator, err := found.reach(cmd.Context(), cmd)
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, args, operator), closeOperator(cmd, operator))
	})
	return cmd
}

// closeOperator closes the operator, and says where the line about what was done is if no server has it in its log.
func closeOperator(cmd *cobra.Command, o *matrixauth.Operator) error {
	kept := o.Kept()
	if err := o.Close(); err != nil || kept == 0 {
		return err
	}
	return say(cmd.ErrOrStderr(), "%s", noted)
}

// noted says where the line about what was done is if no server has it in its log.
const noted = "who did this is noted in the database; the server's log has it after the next start"

// siteRun makes the run of a command that needs the configuration and no database.
func siteRun(run func(cmd *cobra.Command, args []string, s site) error) func(*cobra.Command, []string) error {
	return caddyRun(func(cmd *cobra.Command, args []string) error {
		found, err := loadSite(cmd)
		if err != nil {
			return err
		}
		return run(cmd, args, found)
	})
}

// caddyRun keeps Caddy from printing its usage for every refusal, and strangers' words from the terminal.
func caddyRun(run func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cmd.SilenceUsage = true
		if cmd.Context() == nil {
			cmd.SetContext(context.Background())
		}
		err := checkWords(cmd, args)
		if err == nil {
			err = run(cmd, args)
		}
		if err != nil {
			return shownError{err}
		}
		return nil
	}
}
