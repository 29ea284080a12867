package caddymodule

import (
	"cmp"
	"errors"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func consentCommand() *cobra.Command {
	return groupCommand("consent", "Consents to apps that are remembered", consentListCommand(), consentWithdrawCommand())
}

func consentListCommand() *cobra.Command {
	cmd := operatorCommand("list NAME", "Lists the apps that need not ask a user again", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			consents, err := matrixauth.ListConsents.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return printList(cmd, consents, []string{"CLIENT", "NAME", "REDIRECT URI", "SCOPE", "GRANTED"}, func(c matrixauth.Consent) []string {
				return []string{c.ClientID, cmp.Or(c.ClientName, "-"), c.RedirectURI, c.Scope, formatTime(c.GrantedAt)}
			})
		})
	jsonFlag(cmd)
	return cmd
}

func consentWithdrawCommand() *cobra.Command {
	var all bool
	cmd := operatorCommand("withdraw NAME [CLIENT]", "Has an app ask a user again, or with --all every app; sessions go on", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			withdrawal := matrixauth.Withdrawal{Name: matrixauth.Name{User: args[0]}, All: all}
			if len(args) == 2 {
				withdrawal.ClientID = args[1]
			}
			if all == (withdrawal.ClientID != "") {
				return errors.New("name one client by its id, or all by --all")
			}
			done, err := matrixauth.WithdrawConsents.Do(cmd.Context(), o, withdrawal)
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%d withdrawn", done.Consents)
		})
	cmd.Flags().BoolVar(&all, "all", false, "Have every app ask again")
	return cmd
}
