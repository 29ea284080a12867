package caddymodule

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func clientCommand() *cobra.Command {
	return groupCommand("client", "Apps that use OAuth", clientListCommand(), clientShowCommand(), clientRemoveCommand())
}

func clientListCommand() *cobra.Command {
	var asked matrixauth.ClientQuery
	cmd := operatorCommand("list", "Lists the apps of the configuration and those that registered themselves", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, o *matrixauth.Operator) error {
			list := newList(cmd, []string{"ID", "NAME", "URI", "CONFIGURED", "SESSIONS", "CREATED", "USED"}, func(c matrixauth.RegisteredClient) []string {
				return []string{c.ID, c.Name, c.URI, yesNo(c.Configured), fmt.Sprint(c.Sessions), formatTime(c.CreatedAt), formatTime(c.UsedAt)}
			})
			return list.all(func() (clients []matrixauth.RegisteredClient, more bool, err error) {
				page, err := matrixauth.ListClients.Do(cmd.Context(), o, asked)
				asked.After = page.Next
				return page.Clients, page.Next != "", err
			})
		})
	jsonFlag(cmd)
	return cmd
}

func clientShowCommand() *cobra.Command {
	cmd := operatorCommand("show CLIENT", "Shows an app", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			c, err := matrixauth.ShowClient.Do(cmd.Context(), o, matrixauth.ClientRef{ClientID: args[0]})
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), c)
			}
			rows := [][]string{
				{"Id", c.ID}, {"Name", c.Name}, {"URI", c.URI}, {"Configured", yesNo(c.Configured)}, {"Type", c.ApplicationType}, {"Proves itself by", c.AuthMethod},
				{"Redirect URIs", strings.Join(c.RedirectURIs, " ")}, {"Sessions", fmt.Sprint(c.Sessions)},
				{"Registered", formatTime(c.CreatedAt)}, {"Used", formatTime(c.UsedAt)}, {"First consent", formatTime(c.ProvenAt)},
			}
			return printTable(cmd.OutOrStdout(), rows)
		})
	jsonFlag(cmd)
	return cmd
}

func clientRemoveCommand() *cobra.Command {
	var dryRun bool
	cmd := operatorCommand("remove CLIENT", "Removes an app that registered itself, and ends all its sessions", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, o *matrixauth.Operator) error {
			named := matrixauth.ClientRef{ClientID: args[0]}
			would, err := matrixauth.RemoveClient.Do(cmd.Context(), o, matrixauth.ClientToRemove{ClientRef: named, DryRun: true})
			if err != nil {
				return err
			}
			if dryRun {
				return say(cmd.OutOrStdout(), "%d sessions would end, %d consents would go; nothing is changed", would.Sessions, would.Consents)
			}
			question := fmt.Sprintf("Remove the app %s? It would end %d sessions, and their devices with the keys on them are lost.", args[0], would.Sessions)
			if err := confirm(cmd, question); err != nil {
				return err
			}
			removed, err := matrixauth.RemoveClient.Do(cmd.Context(), o, matrixauth.ClientToRemove{ClientRef: named})
			if err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "removed; %d sessions ended, %d consents withdrawn", removed.Sessions, removed.Consents)
		})
	dryRunFlag(cmd, &dryRun)
	yesFlag(cmd)
	return cmd
}
