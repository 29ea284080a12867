package caddymodule

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func registrationCommand() *cobra.Command {
	return groupCommand("registration", "Accounts that people ask for and that wait for approval",
		registrationListCommand(), registrationApproveCommand(), registrationRejectCommand())
}

func registrationListCommand() *cobra.Command {
	var asked matrixauth.RegistrationQuery
	cmd := operatorCommand("list", "Lists who waits for approval", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			list := newList(cmd, []string{"NAME", "DISPLAY NAME", "EMAIL", "FROM", "SINCE"}, func(r matrixauth.WaitingRegistration) []string {
				return []string{r.Localpart, cmp.Or(r.DisplayName, "-"), cmp.Or(r.Email, "-"), cmp.Or(r.IP, "-"), formatTime(r.WaitsSince)}
			})
			return list.all(func() (waiting []matrixauth.WaitingRegistration, more bool, err error) {
				page, err := matrixauth.ListRegistrations.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Registrations, page.Next != "", err
			})
		})
	jsonFlag(cmd)
	return cmd
}

func registrationApproveCommand() *cobra.Command {
	return operatorCommand("approve NAME", "Makes the account that somebody asks for, and has them told by mail", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			made, err := matrixauth.ApproveRegistration.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s", made.MatrixID)
		})
}

func registrationRejectCommand() *cobra.Command {
	return operatorCommand("reject NAME", "Refuses the account that somebody asks for, and has them told by mail; the name is free again", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			rejected, err := matrixauth.RejectRegistration.Do(cmd.Context(), o, matrixauth.Name{User: args[0]})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "%s is refused", rejected.MatrixID)
		})
}
