package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func userRecoveryCommand() *cobra.Command {
	expires := ""
	cmd := operatorCommand("recovery-link NAME", "Prints a link by which a user sets a new password", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			asked := matrixauth.NewRecoveryLink{Name: matrixauth.Name{User: args[0]}}
			if cmd.Flags().Changed("expires") {
				life, err := caddy.ParseDuration(expires)
				if err != nil {
					return fmt.Errorf("--expires takes a duration such as 30m, 1h or 2d, not %q", expires)
				}
				asked.Seconds = int64(life / time.Second)
			}
			made, err := matrixauth.IssueRecoveryLink.Do(cmd.Context(), o, asked)
			if err != nil {
				return err
			}
			if err := say(cmd.ErrOrStderr(), "for %s, until %s and once; earlier links of the account are worth nothing any more", made.MatrixID, formatTime(made.ExpiresAt)); err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s", made.URL)
		})
	cmd.Flags().StringVar(&expires, "expires", "1h", "How long the link is good for, such as 30m, 1h or 2d")
	return cmd
}
