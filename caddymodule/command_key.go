package caddymodule

import (
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func keyCommand() *cobra.Command {
	return groupCommand("key", "The keys that tokens are proven by", keyRenewCommand())
}

func keyRenewCommand() *cobra.Command {
	var p matrixauth.KeyRenewal
	cmd := operatorCommand("renew", "Makes a new key; the old ones go on proving the tokens that they made", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			if p.Leaked {
				if err := confirm(cmd, "Drop the old keys? Nobody is signed out; but until its client refreshes, a token is known by the database alone."); err != nil {
					return err
				}
			}
			made, err := matrixauth.RenewKey.Do(cmd.Context(), o, p)
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "key %d is in %s; keep a copy of that file apart from the backups of the database", made.Number, made.File)
		})
	cmd.Flags().BoolVar(&p.Leaked, "leaked", false, "Drop the old keys, which somebody else may have")
	yesFlag(cmd)
	return cmd
}
